#ifndef ERNN_RUNS_BINDING_H
#define ERNN_RUNS_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Kernel.runs(x, rows, where, states, out): x (R, I) holds rows[m] samples of stream where[m] of `states` (N, ...), one
 * stream's after the other's; out (R, C). rows and where are (M,) int64.
 */
PyObject *ernn_python_runs(PyObject *kernel, PyObject *args);

#endif
