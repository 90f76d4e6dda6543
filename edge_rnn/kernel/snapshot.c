/* A stream's state as bytes, little-endian, the same on every engine and core: units in order, whatever ERNN_LANE is.
 * Each function returns where the next array begins.
 */
#include <string.h>

#include "ernn_fixed.h"

uint8_t *ernn_save_buf(uint8_t *to, const int16_t *buf, unsigned n) {
    for (unsigned j = 0; j < n; j++) {
        *to++ = (uint8_t)(uint16_t)buf[j];
        *to++ = (uint8_t)((uint16_t)buf[j] >> 8);
    }
    return to;
}

const uint8_t *ernn_load_buf(const uint8_t *from, int16_t *buf, unsigned n) {
    for (unsigned j = 0; j < n; j++, from += 2) buf[j] = (int16_t)(from[0] | (uint16_t)from[1] << 8);
    return from;
}

uint8_t *ernn_save_h(uint8_t *to, const int16_t *h, unsigned units) {
    for (unsigned j = 0; j < units; j++) {
        const uint16_t v = (uint16_t)h[ERNN_LANE(j)];
        *to++ = (uint8_t)v;
        *to++ = (uint8_t)(v >> 8);
    }
    return to;
}

uint8_t *ernn_save_s(uint8_t *to, const int32_t *s, unsigned units) {
    for (unsigned j = 0; j < units; j++)
        for (unsigned shift = 0; shift < 32; shift += 8) *to++ = (uint8_t)((uint32_t)s[j] >> shift);
    return to;
}

const uint8_t *ernn_load_h(const uint8_t *from, int16_t *h, unsigned units) {
    for (unsigned j = 0; j < units; j++, from += 2) h[ERNN_LANE(j)] = (int16_t)(from[0] | (uint16_t)from[1] << 8);
    return from;
}

const uint8_t *ernn_load_s(const uint8_t *from, int32_t *s, unsigned units) {
    for (unsigned j = 0; j < units; j++, from += 4)
        s[j] = (int32_t)(from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24);
    return from;
}

uint8_t *ernn_save_float(uint8_t *to, const float *v, unsigned units) {
    for (unsigned j = 0; j < units; j++) {
        int32_t bits;
        memcpy(&bits, v + j, 4);
        to = ernn_save_s(to, &bits, 1);
    }
    return to;
}

const uint8_t *ernn_load_float(const uint8_t *from, float *v, unsigned units) {
    for (unsigned j = 0; j < units; j++) {
        int32_t bits;
        from = ernn_load_s(from, &bits, 1);
        memcpy(v + j, &bits, 4);
    }
    return from;
}
