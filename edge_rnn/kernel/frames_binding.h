#ifndef ERNN_FRAMES_BINDING_H
#define ERNN_FRAMES_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* frames(data, session, scale, last, offset, x, seq): DATA frames of one session at the front of `data` into samples
 * x (R, I) float32 = code * scale, and their numbers seq (R,) int64 = first + offset, ... `last` is the first number of
 * the frame before; a number that wraps raises `offset` by 2^32. Stops before whatever is not such a frame, whole and
 * true. Gives (bytes, rows, last, offset) after them.
 */
PyObject *ernn_python_frames(PyObject *module, PyObject *args);

#endif
