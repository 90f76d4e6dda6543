#include "frames.h"

#include <string.h>

#include "../../firmware_bridge/device/ernn_frame.h"

enum { DATA = 0x40, DATA_HEAD = 10 };

/* One frame of `length` bytes without its zero; 0 when it is not a DATA frame of ours. */
static int take(ernn_frames *in, const uint8_t *code, size_t length) {
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

size_t ernn_take_frames(ernn_frames *in, const uint8_t *bytes, size_t count) {
    const uint8_t *from = bytes, *end = bytes + count, *zero;
    while (from < end && (zero = memchr(from, 0, (size_t)(end - from)))) {
        if (zero > from && !take(in, from, (size_t)(zero - from))) break;
        from = zero + 1;
    }
    return (size_t)(from - bytes);
}
