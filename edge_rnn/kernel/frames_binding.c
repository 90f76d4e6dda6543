/* frames.h for Python; firmware_bridge/oneway.py is the only caller, through edge_rnn/endpoints/sockets.py. */
#include "frames_binding.h"

#include "frames.h"

PyObject *ernn_python_frames(PyObject *module, PyObject *args) {
    Py_buffer data = {0}, x = {0}, seq = {0};
    ernn_frames in = {0};
    unsigned long last;
    unsigned session;
    long long offset;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*IfkLw*w*", &data, &session, &in.scale, &last, &offset, &x, &seq)) return NULL;
    PyObject *result = NULL;
    in.room = (size_t)seq.len / sizeof(int64_t);
    const size_t width = in.room ? (size_t)x.len / in.room : 0;
    if (!in.room || !width || width % sizeof(float) || width * in.room != (size_t)x.len) {
        PyErr_SetString(PyExc_ValueError, "frames: expected x (R, I) float32 and seq (R,) int64 with R, I > 0");
    } else {
        in.session = session;
        in.channels = (uint32_t)(width / sizeof(float));
        in.last = (uint32_t)last;
        in.offset = offset;
        in.x = x.buf;
        in.seq = seq.buf;
        const size_t used = ernn_take_frames(&in, data.buf, (size_t)data.len);
        result = Py_BuildValue("nnkL", (Py_ssize_t)used, (Py_ssize_t)in.rows, (unsigned long)in.last,
                               (long long)in.offset);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&x);
    PyBuffer_Release(&seq);
    return result;
}
