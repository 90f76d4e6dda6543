/* Reading many sockets in one call; edge_rnn/daemon/intake.py is the only caller. */
#include "receive_binding.h"

#ifndef _WIN32
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "csv.h"
#include "csv_binding.h"
#include "frames.h"

enum { READ_BYTES = 1 << 16, LONGEST_KEPT = 488, CELLS = 512 };

/* edge_rnn/daemon/forms.py has the same as dtypes. */
typedef struct {
    int32_t fd;
    uint32_t session, last;
    float scale;
    int64_t offset;
} frames_desk;

typedef struct {
    int32_t fd;
    uint32_t kept; /* bytes of a line that has not ended */
    int64_t number, lines;
    char tail[LONGEST_KEPT];
} csv_desk;

/* Reads one socket once into `in`, of which lines use the samples alone; what is not plain comes back as bytes (none: its
 * end), or as an errno. NULL: nothing.
 */
typedef PyObject *receive(void *desk, ernn_frames *in);

/* What recv said instead of a size. */
static PyObject *trouble(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? NULL : PyLong_FromLong(errno);
}

static PyObject *receive_frames(void *desk, ernn_frames *in) {
    frames_desk *from = desk;
    uint8_t bytes[READ_BYTES];
    const ssize_t size = recv(from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0) return trouble();
    in->scale = from->scale;
    in->session = from->session;
    in->last = from->last;
    in->offset = from->offset;
    const size_t used = ernn_take_frames(in, bytes, (size_t)size);
    from->last = in->last;
    from->offset = in->offset;
    return used == (size_t)size && used ? NULL : PyBytes_FromStringAndSize((char *)bytes + used, size - (Py_ssize_t)used);
}

/* Takes whole lines as long as they are plain; gives how many bytes that were. */
static size_t take_lines(csv_desk *from, ernn_frames *in, const char *text, size_t length) {
    double cells[CELLS];
    size_t used = 0, rows = 1;
    while (rows) {
        const size_t room = in->room - in->rows, most = CELLS / in->channels;
        used += ernn_csv(text + used, length - used, in->channels, LONGEST_KEPT, NULL, ernn_number_as_python, cells,
                         room < most ? room : most, &rows);
        float *to = in->x + in->rows * in->channels;
        for (size_t i = 0; i < rows * in->channels; i++) to[i] = (float)cells[i];
        for (size_t i = 0; i < rows; i++) in->seq[in->rows++] = from->number++;
        from->lines += (int64_t)rows;
    }
    return used;
}

static PyObject *receive_lines(void *desk, ernn_frames *in) {
    csv_desk *from = desk;
    char text[LONGEST_KEPT + READ_BYTES];
    if (from->kept > LONGEST_KEPT) return PyErr_Format(PyExc_ValueError, "receive: a desk keeps %u bytes", from->kept);
    memcpy(text, from->tail, from->kept);
    const ssize_t size = recv(from->fd, text + from->kept, READ_BYTES, MSG_DONTWAIT);
    if (size < 0) return trouble();
    if (size == 0) return PyBytes_FromStringAndSize(NULL, 0);
    const size_t length = from->kept + (size_t)size, used = take_lines(from, in, text, length), left = length - used;
    const int waits = left <= LONGEST_KEPT && !memchr(text + used, '\n', left);
    from->kept = waits ? (uint32_t)left : 0;
    if (!waits) return PyBytes_FromStringAndSize(text + used, (Py_ssize_t)left);
    memcpy(from->tail, text + used, left);
    return NULL;
}

static PyObject *receive_all(char *desks, size_t size, Py_ssize_t count, receive *one, ernn_frames *in, int64_t *rows) {
    PyObject *others = PyList_New(0);
    for (Py_ssize_t m = 0; others && m < count; m++) {
        const size_t before = in->rows;
        PyObject *rest = one(desks + (size_t)m * size, in);
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

static PyObject *receive_from(PyObject *args, size_t size, receive *one) {
    Py_buffer desks = {0}, x = {0}, seq = {0}, rows = {0};
    ernn_frames in = {0};
    if (!PyArg_ParseTuple(args, "w*w*w*w*", &desks, &x, &seq, &rows)) return NULL;
    PyObject *result = NULL;
    in.room = (size_t)seq.len / sizeof(int64_t);
    const size_t width = in.room ? (size_t)x.len / in.room : 0;
    const Py_ssize_t count = rows.len / (Py_ssize_t)sizeof(int64_t);
    if (!in.room || !width || width % sizeof(float) || width * in.room != (size_t)x.len ||
        desks.len != count * (Py_ssize_t)size) {
        PyErr_SetString(PyExc_ValueError, "receive: expected M desks, x (R, I) float32, seq (R,) int64, rows (M,) int64");
    } else {
        in.channels = (uint32_t)(width / sizeof(float));
        in.x = x.buf;
        in.seq = seq.buf;
        result = receive_all(desks.buf, size, count, one, &in, rows.buf);
    }
    PyBuffer_Release(&desks);
    PyBuffer_Release(&x);
    PyBuffer_Release(&seq);
    PyBuffer_Release(&rows);
    return result;
}

PyObject *ernn_python_receive_frames(PyObject *module, PyObject *args) {
    (void)module;
    return receive_from(args, sizeof(frames_desk), receive_frames);
}

PyObject *ernn_python_receive_csv(PyObject *module, PyObject *args) {
    (void)module;
    return receive_from(args, sizeof(csv_desk), receive_lines);
}
#endif
