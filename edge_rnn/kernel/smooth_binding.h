#ifndef ERNN_SMOOTH_BINDING_H
#define ERNN_SMOOTH_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* smooth(p, last, alpha): p (T, K) probabilities become their moving averages, last (K,) goes on from where it was and
 * NaN means nothing came yet; alpha (K,); all float64.
 */
PyObject *ernn_python_smooth(PyObject *module, PyObject *args);

#endif
