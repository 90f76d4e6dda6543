#ifndef ERNN_SOFTMAX_BINDING_H
#define ERNN_SOFTMAX_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* What edge_rnn/detect.py's softmax does before and after the exponential, to NumPy's bits, in place of e (R, C) float64:
 *
 * below_largest(e): each row less its largest.
 * shares(e): each row divided by its sum, which is added column by column.
 */
PyObject *ernn_python_below_largest(PyObject *module, PyObject *e);
PyObject *ernn_python_shares(PyObject *module, PyObject *e);

#endif
