/* The integer arithmetic of docs/numeric.md, one function a rule. Only int32 operands meet in a 64-bit product: with
 * them kept 32 bits wide a compiler emits one widening multiply (SMULL), not a 64 x 64 one.
 * Right shifts of negative numbers are arithmetic on every compiler this is built with; a test asserts it.
 */
#ifndef ERNN_FIXED_H
#define ERNN_FIXED_H

#include "ernn.h"

static inline int32_t ernn_add32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
static inline int32_t ernn_sub32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
static inline int64_t ernn_mul(int32_t a, int32_t b) { return (int64_t)a * b; }

static inline int16_t ernn_sat16(int32_t v) {
    return (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}

static inline int32_t ernn_sat32(int64_t v) {
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/* (v + 2^(shift-1)) >> shift */
static inline int32_t ernn_round_shift(int32_t v, unsigned shift) {
    return ernn_add32(v, (int32_t)(1u << (shift - 1))) >> shift;
}

/* rq(acc) = (acc * m + 2^(S-1)) >> S, through the high half: S + k >= 33. */
static inline int32_t ernn_requant(int32_t acc, int32_t m, unsigned k, unsigned shift) {
    int32_t high = (int32_t)(ernn_mul((int32_t)((uint32_t)acc << k), m) >> 32);
    return ernn_round_shift(high, shift);
}

/* (a * q + 2^23) >> 24, q in [0, 2^24] */
static inline int32_t ernn_mulr24(int32_t a, int32_t q) {
    return (int32_t)((ernn_mul(a, q) + (1 << 23)) >> 24);
}

/* tanh of p * 2^-(shift+5), Q23: chords over the table's knots, odd. */
static inline int32_t ernn_lut(int32_t p, unsigned shift) {
    uint32_t a = p < 0 ? 0u - (uint32_t)p : (uint32_t)p;
    uint32_t last = (256u << shift) - 1;
    if (a > last) a = last;
    const int32_t *knot = ernn_tanh_table + (a >> shift);
    uint32_t rise = (uint32_t)(knot[1] - knot[0]) * (a & ((1u << shift) - 1));
    int32_t v = knot[0] + (int32_t)((rise + (1u << (shift - 1))) >> shift);
    return p < 0 ? -v : v;
}

static inline int32_t ernn_tanh(int32_t p) { return ernn_lut(p, 11); }                /* Q16 -> Q23 */
static inline int32_t ernn_sigmoid(int32_t p) { return (1 << 23) + ernn_lut(p, 12); } /* Q16 -> Q24 */

/* acc[r] = sum_j w[r][j] * x[j] of one row group; returns where the next one starts. */
static inline const int8_t *ernn_dot4(const int8_t *w, const int16_t *x, unsigned columns, int32_t acc[4]) {
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (const int16_t *end = x + columns; x != end; x += 8, w += 32) {
        for (int j = 0; j < 8; j++) {
            int32_t v = x[j];
            a0 += w[j] * v;
            a1 += w[8 + j] * v;
            a2 += w[16 + j] * v;
            a3 += w[24 + j] * v;
        }
    }
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    return w;
}

#endif
