/* The integer arithmetic of docs/numeric.md, one function a rule. Only int32 operands meet in a 64-bit product: with
 * them kept 32 bits wide a compiler emits one widening multiply (SMULL), not a 64 x 64 one.
 * Right shifts of negative numbers are arithmetic on every compiler this is built with; a test asserts it.
 */
#ifndef ERNN_FIXED_H
#define ERNN_FIXED_H

#include "ernn.h"

static inline int32_t ernn_add32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
static inline int32_t ernn_sub32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }

/* The 64-bit product. On cores without one: four products of 16-bit halves (matrix.c), not the 64 x 64 of libgcc. */
#if ERNN_THUMB1
int64_t ernn_mul(int32_t a, int32_t b);
#else
static inline int64_t ernn_mul(int32_t a, int32_t b) { return (int64_t)a * b; }
#endif

static inline int32_t ernn_high(int32_t a, int32_t b) { return (int32_t)(ernn_mul(a, b) >> 32); }

#ifdef __ARM_FEATURE_SAT
#include "ernn_arm.h"
#else
static inline int16_t ernn_sat16(int32_t v) { return (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v); }
#define ERNN_ONE_ADDRESS(pointer) ((void)0)
#define ERNN_CLAMP(v, bits) ((v) >> (bits) ? (UINT32_C(1) << (bits)) - 1 : (v))
#endif

/* sat32(v >> 27) */
static inline int32_t ernn_sat32_shift27(int64_t v) {
    const int32_t high = (int32_t)(v >> 32);
    if (((uint32_t)high + (UINT32_C(1) << 26)) >> 27) return high >> 31 ^ INT32_MAX;
    return (int32_t)((uint32_t)high << 5 | (uint32_t)v >> 27);
}


/* (v + 2^(shift-1)) >> shift */
static inline int32_t ernn_round_shift(int32_t v, unsigned shift) {
    return ernn_add32(v, (int32_t)(UINT32_C(1) << (shift - 1))) >> shift;
}

/* rq(acc) = (acc * m + 2^(S-1)) >> S, through the high half: S + k >= 33. */
static inline int32_t ernn_requant(int32_t acc, int32_t m, unsigned k, unsigned shift) {
    return ernn_round_shift(ernn_high((int32_t)((uint32_t)acc << k), m), shift);
}

#if ERNN_DSP
#include "ernn_arm_dsp.h"
#else
/* (a * b + 2^31) >> 32 */
static inline int32_t ernn_mulr32(int32_t a, int32_t b) {
    return (int32_t)((ernn_mul(a, b) + ((int64_t)1 << 31)) >> 32);
}

/* (a * q + 2^23) >> 24, |a| <= 2^29, q in [0, 2^24] */
static inline int32_t ernn_mulr24(int32_t a, int32_t q) { return (int32_t)((ernn_mul(a, q) + (1 << 23)) >> 24); }
#endif

/* |p|, at most 2^bits - 1. bits is a constant. */
#define ERNN_MAGNITUDE(p, sign, bits) ERNN_CLAMP((uint32_t)((p) ^ (sign)) - (uint32_t)(sign), bits)

#if ERNN_PACKED_TABLE
/* Knot i is the upper three bytes of the word that begins one byte before them. */
static inline int32_t ernn_knot(const uint8_t *packed) {
    uint32_t word;
    __builtin_memcpy(&word, packed, 4);
    return (int32_t)(word >> 8);
}
#define ERNN_KNOTS(i, low, high)                                     \
    const uint8_t *knot = ernn_tanh_packed + 3 * (i);                \
    int32_t low = ernn_knot(knot);                                   \
    __asm("" : "+r"(low)); /* shifted once, not at both its uses */   \
    const int32_t high = ernn_knot(knot + 3)
#else
#define ERNN_KNOTS(i, low, high)                       \
    const int32_t *knot = ernn_tanh_table + (i);       \
    ERNN_ONE_ADDRESS(knot);                            \
    const int32_t low = knot[0], high = knot[1]
#endif

/* A chord over the table's knots, which lie 2^shift apart; a < 256 * 2^shift. */
static inline int32_t ernn_chord(uint32_t a, unsigned shift) {
    ERNN_KNOTS(a >> shift, low, high);
    const uint32_t rise = (uint32_t)(high - low) * (a & ((UINT32_C(1) << shift) - 1));
    return low + (int32_t)((rise + (UINT32_C(1) << (shift - 1))) >> shift);
}

#if ERNN_THUMB1 /* a call is cheap there beside its arithmetic, and flash is dear: the chord once, in matrix.c */
int32_t ernn_odd_chord(int32_t p, unsigned shift);
static inline int32_t ernn_tanh(int32_t p) { return ernn_odd_chord(p, 11); }
static inline int32_t ernn_sigmoid(int32_t p) { return (INT32_C(1) << 23) + ernn_odd_chord(p, 12); }
#else
/* Q16 -> Q23 */
static inline int32_t ernn_tanh(int32_t p) {
    const int32_t sign = p >> 31;
    return (ernn_chord(ERNN_MAGNITUDE(p, sign, 19), 11) ^ sign) - sign;
}

/* Q16 -> Q24 */
static inline int32_t ernn_sigmoid(int32_t p) {
    const int32_t sign = p >> 31;
    return (INT32_C(1) << 23) + (ernn_chord(ERNN_MAGNITUDE(p, sign, 20), 12) ^ sign) - sign;
}
#endif

/* out[j] = add[j] + rq(W x) of `rows` rows from `row` on, both multiples of 4; add may be out. */
void ernn_times(const ernn_int8_matrix *matrix, unsigned row, unsigned rows, const int16_t *x, const int32_t *add,
                int32_t *out);

#endif
