/* DATA frames of the wire, one way (docs/wire.md), decoded by the board's own decoder; edge_rnn/endpoints/sockets.py is
 * the only caller.
 */
#include "frames_binding.h"

#include <string.h>

#include "../../firmware_bridge/device/ernn_frame.h"

enum { DATA = 0x40, DATA_HEAD = 10 };

typedef struct {
    float scale;
    unsigned session, channels;
    uint32_t last;
    int64_t offset;
    float *x;
    int64_t *seq;
    size_t room, rows;
} intake;

/* One frame of `length` bytes without its zero; 0 when it is not a DATA frame of ours. */
static int take(intake *in, const uint8_t *code, size_t length) {
    ernn_decoder d; /* its frame is not cleared: the decoder reads what it wrote */
    d.crc_errors = d.framing_errors = 0;
    d.length = d.left = d.started = d.bad = 0;
    if (length > ERNN_FRAME_BYTES + 1) return 0;
    for (size_t i = 0; i < length; i++) ernn_decode(&d, code[i]);
    if (!ernn_decode(&d, 0)) return 0;
    const size_t head = ERNN_FRAME_HEAD + DATA_HEAD;
    if (d.frame.byte[0] != DATA || d.frame.half[1] != in->session || d.length < head + 4u) return 0;
    uint32_t first;
    memcpy(&first, d.frame.byte + ERNN_FRAME_HEAD + 4, sizeof first);
    const size_t rows = d.frame.byte[head - 2] | (size_t)d.frame.byte[head - 1] << 8;
    const size_t codes = rows * in->channels;
    if (rows == 0 || d.length - head - 4u != 2 * codes || rows > in->room - in->rows) return 0;
    if ((int64_t)first < (int64_t)in->last - ((int64_t)1 << 31)) in->offset += (int64_t)1 << 32;
    in->last = first;
    float *to = in->x + in->rows * in->channels;
    for (size_t i = 0; i < codes; i++) {
        int16_t value;
        memcpy(&value, d.frame.byte + head + 2 * i, sizeof value);
        to[i] = (float)value * in->scale;
    }
    for (size_t i = 0; i < rows; i++) in->seq[in->rows + i] = in->offset + first + (int64_t)i;
    in->rows += rows;
    return 1;
}

PyObject *ernn_python_frames(PyObject *module, PyObject *args) {
    Py_buffer data = {0}, x = {0}, seq = {0};
    intake in = {0};
    unsigned long last;
    long long offset;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*IfkLw*w*", &data, &in.session, &in.scale, &last, &offset, &x, &seq)) return NULL;
    PyObject *result = NULL;
    in.room = (size_t)seq.len / sizeof(int64_t);
    const size_t width = in.room ? (size_t)x.len / in.room : 0;
    if (!in.room || !width || width % sizeof(float) || width * in.room != (size_t)x.len) {
        PyErr_SetString(PyExc_ValueError, "frames: expected x (R, I) float32 and seq (R,) int64 with R, I > 0");
    } else {
        in.channels = (unsigned)(width / sizeof(float));
        in.last = (uint32_t)last;
        in.offset = offset;
        in.x = x.buf;
        in.seq = seq.buf;
        const uint8_t *from = data.buf, *end = from + data.len, *zero;
        while (from < end && (zero = memchr(from, 0, (size_t)(end - from)))) {
            if (zero > from && !take(&in, from, (size_t)(zero - from))) break;
            from = zero + 1;
        }
        result = Py_BuildValue("nnkL", (Py_ssize_t)(from - (const uint8_t *)data.buf), (Py_ssize_t)in.rows,
                               (unsigned long)in.last, (long long)in.offset);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&x);
    PyBuffer_Release(&seq);
    return result;
}
