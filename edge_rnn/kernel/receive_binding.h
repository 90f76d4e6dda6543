#ifndef ERNN_RECEIVE_BINDING_H
#define ERNN_RECEIVE_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* receive(desks, x, seq, rows): read once each of M sockets, without waiting, and decode the DATA frames that came, one
 * socket's after the other's: x (R, I) float32 and seq (R,) int64, rows (M,) int64 for each.
 *
 * A desk is fd i32, session u32, last u32, scale f32, offset i64 (frames.h); last and offset move on. Gives a list of
 * (m, what came that is no such frame, as bytes; b"": the end) and (m, errno). The interpreter's lock is kept: no call
 * waits. Not on Windows.
 */
PyObject *ernn_python_receive(PyObject *module, PyObject *args);

#endif
