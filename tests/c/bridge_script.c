/* Runs the device's end on a script from stdin and writes what it says to stdout: the Python board must say the same.
 *
 * A script is records: op u8 | now u32 | length u16 | bytes. F feeds, P pushes a sample, L logs, S flushes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ernn_link.h"

static void write_out(void *user, const uint8_t *bytes, unsigned count) {
    (void)user;
    fwrite(bytes, 1, count, stdout);
}

#if ERNN_LINK_MODEL
static uint32_t state[4];

static void step(void *user, const int16_t *x, int32_t *y) {
    (void)user;
    for (unsigned i = 0; i < 4; i++) state[i] = state[i] * 31 + (uint32_t)x[i % 3] + i;
    memcpy(y, state, 12);
}

static void zero(void *user) {
    (void)user;
    memset(state, 0, sizeof state);
}

static uint8_t wire_state[16];

static void save(void *user) {
    (void)user;
    memcpy(wire_state, state, sizeof state);
}

static void load(void *user) {
    (void)user;
    memcpy(state, wire_state, sizeof state);
}
#endif

#if ERNN_LINK_BLOB
static uint8_t blob[1000];

static int blob_begin(void *user, uint32_t size) {
    (void)user;
    return size <= sizeof blob;
}
static const uint8_t *blob_write(void *user, uint32_t offset, const uint8_t *bytes, unsigned count) {
    (void)user;
    return memcpy(blob + offset, bytes, count);
}
static int blob_apply(void *user, uint32_t size) {
    (void)user;
    return size != 13;
}
#endif

static const ernn_link_board board = {
    .info = {.role = ERNN_LINK_ROLE,
             .credits = ERNN_LINK_ANSWERS,
             .max_payload = ERNN_LINK_MAX_PAYLOAD,
             .dtype = 1,
             .tick_hz = 1000000,
#if ERNN_LINK_MODEL
             .scale = 1.0f,
             .model_hash = 0x1234abcd,
             .inputs = 3,
             .outputs = 3,
             .state_bytes = 16,
             .model_kind = 2,
#else
             .rate_mhz = 100000,
             .scale = 1.0f,
#endif
             .channels = 3},
    .write = write_out,
    .silence = 100000,
    .rows_per_frame = 2,
#if ERNN_LINK_MODEL
    .step = step,
    .zero = zero,
    .state = wire_state,
    .save = save,
    .load = load,
#endif
#if ERNN_LINK_BLOB
    .blob_begin = blob_begin,
    .blob_write = blob_write,
    .blob_apply = blob_apply,
#endif
};

int main(void) {
    static ernn_link link;
    uint8_t head[7];
    if (!ernn_link_start(&link, &board)) return 2;
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        uint32_t now;
        uint16_t length;
        memcpy(&now, head + 1, 4);
        memcpy(&length, head + 5, 2);
        uint8_t *bytes = calloc(length + 1u, 1); /* exactly as long as what is in it, for the sanitizer */
        if (fread(bytes, 1, length, stdin) != length) return 3;
        if (head[0] == 'F') ernn_link_feed(&link, bytes, length, now);
        if (head[0] == 'L') ernn_link_log(&link, (char *)bytes);
#if ERNN_LINK_STREAM
        int16_t sample[3];
        if (head[0] == 'P') {
            memcpy(sample, bytes, 6);
            ernn_link_push(&link, sample, now);
        }
        if (head[0] == 'S') ernn_link_flush(&link);
#endif
        free(bytes);
    }
    return 0;
}
