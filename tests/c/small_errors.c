/* R2: every 1-, 2- and 3-bit error of frames on the wire, delimiters included, into the decoder.
 *
 *     small_errors RAW_LENGTH...     lengths of raw frames, head and CRC included; a line of JSON on stdout
 *
 * Decoding goes on from where the last flipped bit was: three nested loops of "flip, feed up to the next flip".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ernn_frame.h"

static uint8_t wire[300];
static unsigned bytes;
static uint64_t errors, accepted, wrong;
static ernn_frame sent;
static unsigned sent_length;

static void collect(void *user, const uint8_t *data, unsigned count) {
    (void)user;
    memcpy(wire + bytes, data, count);
    bytes += count;
}

static void feed(ernn_decoder *d, uint8_t byte) {
    if (!ernn_decode(d, byte)) return;
    accepted++;
    wrong += d->length != sent_length || memcmp(d->frame.byte, sent.byte, sent_length) != 0;
}

/* Flip `flips` more bits at or behind bit `from`; the decoder has everything before bit `from`'s byte. */
static void flip(const ernn_decoder *before, unsigned from, unsigned flips) {
    ernn_decoder d = *before;
    unsigned at = from / 8;
    for (unsigned bit = from; bit < bytes * 8; bit++) {
        if (bit / 8 != at) feed(&d, wire[at++]);
        wire[at] ^= (uint8_t)(1u << (bit & 7));
        ernn_decoder rest = d;
        for (unsigned i = at; i < bytes; i++) feed(&rest, wire[i]);
        feed(&rest, 0);
        errors++;
        if (flips > 1) flip(&d, bit + 1, flips - 1);
        wire[at] ^= (uint8_t)(1u << (bit & 7));
    }
}

int main(int argc, char **argv) {
    for (int n = 1; n < argc; n++) {
        const unsigned payload = (unsigned)atoi(argv[n]) - 8;
        uint32_t r = 12345u + (uint32_t)n;
        for (unsigned i = 0; i < 4 + payload; i++) {
            r = r * 1664525u + 1013904223u;
            sent.byte[i] = r >> 29 ? (uint8_t)(r >> 16) : 0;
        }
        bytes = 1;
        wire[0] = 0;
        ernn_encode(&sent, payload, collect, 0);
        sent_length = payload + 8;
        static const ernn_decoder fresh;
        const uint64_t before = wrong;
        flip(&fresh, 0, 3);
        if (wrong != before) fprintf(stderr, "frame %d of %u bytes: %" PRIu64 " wrong\n", n, sent_length, wrong - before);
    }
    printf("{\"errors\": %" PRIu64 ", \"accepted\": %" PRIu64 ", \"wrong\": %" PRIu64 "}\n", errors, accepted, wrong);
    return 0;
}
