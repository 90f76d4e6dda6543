/* The integer arithmetic of docs/numeric.md, four rows or units at once, for Helium (MVE: Cortex-M55, M85). Every
 * function gives the bits of its namesake in ernn_fixed.h.
 */
#ifndef ERNN_HELIUM_H
#define ERNN_HELIUM_H

#include <arm_mve.h>

#include "ernn.h"

/* add + rq(W x) of four rows from `row` on. Not inline: copies of its loop would take more flash than its calls time. */
__attribute__((noinline)) static int32x4_t ernn_times4(const ernn_int8_matrix *matrix, unsigned row, const int16_t *x, int32x4_t add) {
    const int8_t *w = matrix->w + row * matrix->columns;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (unsigned tiles = matrix->columns / 8; tiles; tiles--, x += 8, w += 32) {
        const int16x8_t v = vld1q_s16(x);
        a0 = vmladavaq_s16(a0, vldrbq_s16(w), v);
        a1 = vmladavaq_s16(a1, vldrbq_s16(w + 8), v);
        a2 = vmladavaq_s16(a2, vldrbq_s16(w + 16), v);
        a3 = vmladavaq_s16(a3, vldrbq_s16(w + 24), v);
    }
    int32x4_t acc = {a0, a1, a2, a3};
    acc = vmulhq_s32(vshlq_r_s32(acc, matrix->k), vld1q_s32(matrix->m + row));
    return vaddq_s32(vrshlq_n_s32(acc, -(int32_t)matrix->shift), add);
}

/* (a * q + 2^23) >> 24; 4a saturates at |a| = 2^29, and the product is right all the same. */
static inline int32x4_t ernn_mulr24_4(int32x4_t a, int32x4_t q) {
    return vrmulhq_s32(vqshlq_n_s32(a, 2), vshlq_n_s32(q, 6));
}

#define ERNN_CHORD4(p, shift)                                                                       \
    const uint32x4_t a = vminq_u32(vreinterpretq_u32_s32(vabsq_s32(p)), vdupq_n_u32((256u << shift) - 1)); \
    const uint32x4_t i = vshrq_n_u32(a, shift);                                                     \
    const int32x4_t low = vldrwq_gather_shifted_offset_s32(ernn_tanh_table, i);                     \
    const int32x4_t high = vldrwq_gather_shifted_offset_s32(ernn_tanh_table + 1, i);                \
    const uint32x4_t part = vandq_u32(a, vdupq_n_u32((1u << shift) - 1));                           \
    const uint32x4_t rise = vmulq_u32(vreinterpretq_u32_s32(vsubq_s32(high, low)), part);           \
    const int32x4_t v = vaddq_s32(low, vreinterpretq_s32_u32(vrshrq_n_u32(rise, shift)));           \
    const int32x4_t odd = vnegq_m_s32(v, v, vcmpltq_n_s32(p, 0))

/* f(p, 12). Not inline either: six copies in an LSTM. */
__attribute__((noinline)) static int32x4_t ernn_odd_chord4(int32x4_t p) {
    ERNN_CHORD4(p, 12);
    return odd;
}

/* Q16 -> Q23: f(p, 11) is f(2p, 12) to the bit (docs/numeric.md). */
static inline int32x4_t ernn_tanh4(int32x4_t p) { return ernn_odd_chord4(vqshlq_n_s32(p, 1)); }

/* Q16 -> Q24 */
static inline int32x4_t ernn_sigmoid4(int32x4_t p) { return vaddq_n_s32(ernn_odd_chord4(p), 1 << 23); }

/* sat32((c * f8 + i * g + 2^26) >> 27): the 64-bit sum as two words with the carries made by comparisons. */
static inline int32x4_t ernn_cell4(int32x4_t c, int32x4_t f8, int32x4_t i, int32x4_t g) {
    const uint32x4_t one = vreinterpretq_u32_s32(vmulq_s32(c, f8)), two = vreinterpretq_u32_s32(vmulq_s32(i, g));
    const uint32x4_t sum = vaddq_u32(one, two), low = vaddq_n_u32(sum, 1u << 26);
    int32x4_t high = vaddq_s32(vmulhq_s32(c, f8), vmulhq_s32(i, g));
    high = vaddq_m_n_s32(high, high, 1, vcmphiq_u32(one, sum));
    high = vaddq_m_n_s32(high, high, 1, vcmphiq_u32(sum, low));
    const int32x4_t word = vqshlq_n_s32(high, 5), tail = vreinterpretq_s32_u32(vshrq_n_u32(low, 27));
    return vorrq_m_s32(word, word, tail, vcmpgeq_n_s32(high, -(1 << 26))); /* not where it saturated at -2^31 */
}

/* The low halves of four words, which are in range. */
static inline void ernn_store4(int16_t *to, int32x4_t v) { vstrhq_s32(to, v); }

static inline int32x4_t ernn_sat16_4(int32x4_t v) {
    return vreinterpretq_s32_s16(vqmovnbq_s32(vdupq_n_s16(0), v));
}

#endif
