#ifndef ERNN_AVERAGES_BINDING_H
#define ERNN_AVERAGES_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* averages(p, last, alpha, stops): the rows p (R, K) of M streams, one after the other and the n-th ending before row
 * stops[n], become their moving averages; `last` (M, K) goes on from where it was, NaN: nothing came yet. All float64,
 * stops (M,) int64.
 */
PyObject *ernn_python_averages(PyObject *module, PyObject *args);

#endif
