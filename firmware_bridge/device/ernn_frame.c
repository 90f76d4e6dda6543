/* The framing of docs/wire.md. Decoding works byte by byte in place, so that the buffer is one raw frame. */
#include "ernn_frame.h"

static void take(ernn_decoder *d, uint8_t byte) {
    if (d->length == ERNN_FRAME_BYTES)
        d->bad = 1;
    else
        d->frame.byte[d->length++] = byte;
}

void ernn_decode_drop(ernn_decoder *d) {
    if (d->started) d->framing_errors++;
    d->started = 0;
}

int ernn_decode(ernn_decoder *d, uint8_t byte) {
    if (byte != 0) {
        if (!d->started) {
            d->started = 1;
            d->length = d->bad = 0;
            d->left = (uint8_t)(byte - 1);
        } else if (d->left == 0) { /* a code byte: the block before it stands for its bytes and a zero */
            take(d, 0);
            d->left = (uint8_t)(byte - 1);
        } else {
            take(d, byte);
            d->left--;
        }
        return 0;
    }
    if (!d->started) return 0;
    if (d->bad || d->left || d->length < ERNN_FRAME_HEAD + 4u) {
        ernn_decode_drop(d);
        return 0;
    }
    d->started = 0;
    const unsigned covered = d->length - 4u;
    const uint8_t *tail = d->frame.byte + covered;
    const uint32_t said = tail[0] | (uint32_t)tail[1] << 8 | (uint32_t)tail[2] << 16 | (uint32_t)tail[3] << 24;
    if (ernn_crc32(d->frame.byte, covered) == said) return 1;
    d->crc_errors++;
    return 0;
}

void ernn_encode(ernn_frame *frame, unsigned payload, ernn_write write, void *user) {
    unsigned end = ERNN_FRAME_HEAD + payload;
    uint32_t crc = ernn_crc32(frame->byte, end);
    for (unsigned i = 0; i < 4; i++, crc >>= 8) frame->byte[end++] = (uint8_t)crc;
    unsigned first = 0;
    for (unsigned i = 0; i <= end; i++) {
        if (i < end && frame->byte[i] != 0) continue;
        const uint8_t code = (uint8_t)(i - first + 1);
        write(user, &code, 1);
        if (i > first) write(user, frame->byte + first, i - first);
        first = i + 1;
    }
    const uint8_t zero = 0;
    write(user, &zero, 1);
}
