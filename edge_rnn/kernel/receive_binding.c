/* Reading many sockets in one call; edge_rnn/daemon/intake.py is the only caller. */
#include "receive_binding.h"

#ifndef _WIN32
#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "frames.h"

enum { READ_BYTES = 1 << 16 };

/* edge_rnn/daemon/intake.py has the same as a dtype. */
typedef struct {
    int32_t fd;
    uint32_t session, last;
    float scale;
    int64_t offset;
} desk;

/* Reads one socket once; what is not plain frames comes back as bytes (none: its end), or as an errno. NULL: nothing. */
static PyObject *receive_one(desk *from, ernn_frames *in) {
    uint8_t bytes[READ_BYTES];
    const ssize_t size = recv(from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? NULL : PyLong_FromLong(errno);
    in->scale = from->scale;
    in->session = from->session;
    in->last = from->last;
    in->offset = from->offset;
    const size_t used = ernn_take_frames(in, bytes, (size_t)size);
    from->last = in->last;
    from->offset = in->offset;
    return used == (size_t)size && used ? NULL : PyBytes_FromStringAndSize((char *)bytes + used, size - (Py_ssize_t)used);
}

static PyObject *receive_all(desk *desks, Py_ssize_t count, ernn_frames *in, int64_t *rows) {
    PyObject *others = PyList_New(0);
    for (Py_ssize_t m = 0; others && m < count; m++) {
        const size_t before = in->rows;
        PyObject *rest = receive_one(&desks[m], in);
        rows[m] = (int64_t)(in->rows - before);
        if (!rest) {
            if (PyErr_Occurred()) Py_CLEAR(others);
            continue;
        }
        PyObject *pair = Py_BuildValue("nN", m, rest);
        if (!pair || PyList_Append(others, pair) < 0) Py_CLEAR(others);
        Py_XDECREF(pair);
    }
    return others;
}

PyObject *ernn_python_receive(PyObject *module, PyObject *args) {
    Py_buffer desks = {0}, x = {0}, seq = {0}, rows = {0};
    ernn_frames in = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "w*w*w*w*", &desks, &x, &seq, &rows)) return NULL;
    PyObject *result = NULL;
    in.room = (size_t)seq.len / sizeof(int64_t);
    const size_t width = in.room ? (size_t)x.len / in.room : 0;
    const Py_ssize_t count = rows.len / (Py_ssize_t)sizeof(int64_t);
    if (!in.room || !width || width % sizeof(float) || width * in.room != (size_t)x.len ||
        desks.len != count * (Py_ssize_t)sizeof(desk)) {
        PyErr_SetString(PyExc_ValueError, "receive: expected M desks, x (R, I) float32, seq (R,) int64, rows (M,) int64");
    } else {
        in.channels = (uint32_t)(width / sizeof(float));
        in.x = x.buf;
        in.seq = seq.buf;
        result = receive_all(desks.buf, count, &in, rows.buf);
    }
    PyBuffer_Release(&desks);
    PyBuffer_Release(&x);
    PyBuffer_Release(&seq);
    PyBuffer_Release(&rows);
    return result;
}
#endif
