/* R1: frames through flips, cuts, inserts and bursts into the decoder, by the hundred million bytes.
 *
 *     noise SEED BYTES [dump|until-wrong]     a line of JSON on stderr
 *
 * dump: the noise itself on stdout, for the other decoder. until-wrong: ends at the first wrong frame.
 *
 * A frame carries its number, from which all of it follows: what is accepted is remade and compared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ernn_frame.h"

static uint64_t next(uint64_t *s) { /* xorshift64*: Vigna 2016 */
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 2685821657736338717u;
}

static uint8_t wire[1024];
static unsigned length;

static void collect(void *user, const uint8_t *bytes, unsigned count) {
    (void)user;
    memcpy(wire + length, bytes, count);
    length += count;
}

/* Frame number n: its payload's length and bytes come from n. */
static unsigned make(ernn_frame *frame, uint32_t n) {
    uint64_t s = n * 0x9e3779b97f4a7c15u + 1;
    const unsigned payload = 4 + (unsigned)(next(&s) >> 33) % (ERNN_LINK_MAX_PAYLOAD - 3);
    frame->byte[0] = (uint8_t)next(&s);
    frame->byte[1] = (uint8_t)n;
    frame->half[1] = (uint16_t)(n >> 8);
    frame->word[1] = n;
    for (unsigned i = 8; i < 4 + payload; i++) {
        const uint64_t r = next(&s);
        frame->byte[i] = r >> 61 ? (uint8_t)(r >> 32) : 0; /* an eighth is zeros: short blocks too */
    }
    return payload;
}

int main(int argc, char **argv) {
    uint64_t s = argc > 1 ? strtoull(argv[1], 0, 0) * 2 + 1 : 1, total = argc > 2 ? strtoull(argv[2], 0, 0) : 1000000;
    const int dump = argc > 3 && argv[3][0] == 'd', until_wrong = argc > 3 && !dump;
    static ernn_decoder decoder;
    uint64_t fed = 0, accepted = 0, wrong = 0, late = 0;
    int in_step = 1;
    for (uint32_t n = 0; fed < total && !(until_wrong && wrong); n++) {
        static ernn_frame frame;
        length = 0;
        ernn_encode(&frame, make(&frame, n), collect, 0);
        const int clean = next(&s) >> 63;
        if (!clean) {
            const unsigned at = (unsigned)(next(&s) >> 33) % length, left = length - at;
            unsigned span = 1 + (unsigned)(next(&s) >> 33) % 12;
            switch (next(&s) >> 62) {
            case 0: /* one to eight flips */
                for (unsigned i = 0; i < span && i < 8; i++)
                    wire[(next(&s) >> 33) % length] ^= (uint8_t)(1u << (next(&s) >> 61));
                break;
            case 1: /* a cut */
                if (span > left) span = left;
                memmove(wire + at, wire + at + span, left - span);
                length -= span;
                break;
            case 2: /* an insert */
                memmove(wire + at + span, wire + at, left);
                for (unsigned i = 0; i < span; i++) wire[at + i] = (uint8_t)(next(&s) >> 33);
                length += span;
                break;
            default: /* a burst */
                for (unsigned i = 0; i < span && i < left; i++) wire[at + i] = (uint8_t)(next(&s) >> 33);
            }
        }
        int came = 0;
        for (unsigned i = 0; i < length; i++) {
            if (!ernn_decode(&decoder, wire[i])) continue;
            static ernn_frame sent;
            const ernn_frame *got = &decoder.frame;
            const unsigned payload = make(&sent, got->word[1]);
            const int same = decoder.length == payload + 8 && memcmp(sent.byte, got->byte, payload + 4) == 0;
            accepted++;
            wrong += !same;
            came |= same && got->word[1] == n;
        }
        late += clean && in_step && !came;
        if (length) in_step = wire[length - 1] == 0;
        fed += length;
        if (dump) fwrite(wire, 1, length, stdout);
    }
    fprintf(stderr,
            "{\"bytes\": %" PRIu64 ", \"accepted\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"late\": %" PRIu64
            ", \"crc_errors\": %" PRIu32 ", \"framing_errors\": %" PRIu32 "}\n",
            fed, accepted, wrong, late, decoder.crc_errors, decoder.framing_errors);
    return 0;
}
