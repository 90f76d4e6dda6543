/* Stepper.step(sample)                    (I,) -> `out`, the same array each time; nothing is allocated
 *
 * A sample that is not plain float32, or holds NaN or too much, goes to `convert`, which gives contiguous float32 or
 * raises; the state has not moved then.
 */
#ifndef ERNN_STEPPER_BINDING_H
#define ERNN_STEPPER_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Kernel.bind(states, out, convert): a Stepper. */
PyObject *ernn_python_bind(PyObject *kernel, PyObject *args);

/* The type into the module, and NumPy's own objects that samples are compared with; -1 with an error. */
int ernn_add_stepper(PyObject *module);

#endif
