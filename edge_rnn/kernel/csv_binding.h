#ifndef ERNN_CSV_BINDING_H
#define ERNN_CSV_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* csv(text, at, limit, longest, out, row): plain lines of `text` from byte `at` on into rows of `out` (R, K) float64,
 * from `row` on; limit (K,) float64. Gives (at, row) after the last plain line.
 */
PyObject *ernn_python_csv(PyObject *module, PyObject *args);

/* An ernn_number (csv.h) that gives what Python's float() gives. */
int ernn_number_as_python(const char *text, size_t length, double *value);

#endif
