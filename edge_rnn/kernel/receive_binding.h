#ifndef ERNN_RECEIVE_BINDING_H
#define ERNN_RECEIVE_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* receive_frames(desks, x, seq, rows), receive_csv(...): read once each of M sockets, without waiting, and decode what
 * came, one socket's samples after the other's: x (R, I) float32 and seq (R,) int64, rows (M,) int64 for each.
 *
 * A desk says where a socket stands, and moves on (edge_rnn/daemon/forms.py): in frames (frames.h), or in lines of I
 * numbers (csv.h), which are counted and numbered one after the other; what came of the next line waits in the desk.
 * Gives a list of (m, what came that is no such frame or line, as bytes; b"": the end) and (m, errno). The
 * interpreter's lock is kept: no call waits. Not on Windows.
 */
PyObject *ernn_python_receive_frames(PyObject *module, PyObject *args);
PyObject *ernn_python_receive_csv(PyObject *module, PyObject *args);

#endif
