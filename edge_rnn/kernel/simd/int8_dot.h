/* Products of int8 weights and int16 activations for one instruction set, their sums rescaled, and activations in the
 * form in which they meet the weights.
 *
 * PLANES (VNNI): h is two planes of bytes, low (unsigned) and high + 128; each meets the same int8 weights in one
 * vpdpbusd: sum w h = (sum w high' << 8) + sum w low - 32768 sum w. Otherwise weights are widened to int16 at load
 * and pairs of columns meet in a multiply-add of int16 pairs.
 */
#include "vec.h"

/* Vectors of a block at most: with 32 registers four, so that fewer chains of activations are waited for; LSTM's four
 * gates leave room for two.
 */
#define BLOCK (V == 16 ? 4 : 2)
#define BLOCK_MOST(kind) ((kind) == LSTM ? 2 : BLOCK)
#define BLOCK_OF(kind, left) ((left) >= BLOCK_MOST(kind) * V ? BLOCK_MOST(kind) : (left) >= 2 * V ? 2 : 1)
/* Bytes of `padded` activations, and from the low to the high plane. */
#define ACTIVATION_BYTES(padded) (2 * (size_t)(padded))
#define PLANE(padded) (PLANES ? (size_t)(padded) : 0)

/* The products of groups from..to - 1, whose weights begin at w, are added to acc, those of the high plane to high. Gives
 * the end of these weights.
 */
#if PLANES

INLINE const weight_t *some_products(vi *acc, vi *high, const int GN, const weight_t *w, const uint8_t *in, size_t plane,
                                     int from, int to) {
    in += KP * from;
    for (int k = from; k < to; k++, w += GN * V * KP, in += KP) {
        int32_t low4, high4;
        memcpy(&low4, in, 4);
        memcpy(&high4, in + plane, 4);
        const __m512i l = _mm512_set1_epi32(low4), h = _mm512_set1_epi32(high4);
        UNROLL for (int j = 0; j < GN; j++) {
            __m512i weight = _mm512_loadu_si512(w + j * V * KP);
            __asm__("" : "+v"(weight)); /* loaded once: a load in each product would be more than one a cycle */
            acc[j] = (vi)_mm512_dpbusd_epi32((__m512i)acc[j], l, weight);
            high[j] = (vi)_mm512_dpbusd_epi32((__m512i)high[j], h, weight);
        }
    }
    return w;
}

INLINE void store_h(uint8_t *out, size_t plane, const vi *h, const int N) {
    UNROLL for (int v = 0; v < N; v++) {
        const __m512i wide_h = (__m512i)h[v];
        const __m128i high = _mm512_cvtepi32_epi8(_mm512_srli_epi32(wide_h, 8));
        _mm_storeu_si128((__m128i *)(out + v * V), _mm512_cvtepi32_epi8(wide_h));
        _mm_storeu_si128((__m128i *)(out + plane + v * V), _mm_xor_si128(high, _mm_set1_epi8(-128)));
    }
}

#else

INLINE const weight_t *some_products(vi *acc, vi *high, const int GN, const weight_t *w, const uint8_t *in, size_t plane,
                                     int from, int to) {
    (void)high, (void)plane;
    in += 4 * from;
    for (int k = from; k < to; k++, w += GN * V * KP, in += 4) {
#if defined(__aarch64__)
        const int16x8_t x = vcombine_s16(vdup_n_s16(((const int16_t *)in)[0]), vdup_n_s16(((const int16_t *)in)[1]));
        UNROLL for (int j = 0; j < GN; j++) {
            const int16x8_t weight = vld1q_s16(w + j * V * KP); /* the first column's four rows, then the second's */
            int32x4_t sum = vmlal_s16((int32x4_t)acc[j], vget_low_s16(weight), vget_low_s16(x));
            acc[j] = (vi)vmlal_high_s16(sum, weight, x);
        }
#else
        int32_t pair;
        memcpy(&pair, in, 4);
        const vi x = splati(pair);
        UNROLL for (int j = 0; j < GN; j++) {
            const vi weight = loadi(w + j * V * KP);
#if V == 16
            acc[j] += (vi)_mm512_madd_epi16((__m512i)x, (__m512i)weight);
#elif V == 8
            acc[j] += (vi)_mm256_madd_epi16((__m256i)x, (__m256i)weight);
#else
            acc[j] += (vi)_mm_madd_epi16((__m128i)x, (__m128i)weight);
#endif
        }
#endif
    }
    return w;
}

INLINE void store_h(uint8_t *out, size_t plane, const vi *h, const int N) {
    (void)plane;
    UNROLL for (int v = 0; v < N; v++) {
#if V == 16
        _mm256_storeu_si256((__m256i *)(out + 2 * v * V), _mm512_cvtsepi32_epi16((__m512i)h[v]));
#elif V == 8
        const __m256i packed = _mm256_packs_epi32((__m256i)h[v], (__m256i)h[v]);
        _mm_storeu_si128((__m128i *)(out + 2 * v * V), _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
#elif defined(__aarch64__)
        vst1_s16((int16_t *)(out + 2 * v * V), vqmovn_s32((int32x4_t)h[v]));
#else
        const __m128i packed = _mm_packs_epi32((__m128i)h[v], (__m128i)h[v]);
        _mm_storel_epi64((__m128i *)(out + 2 * v * V), packed);
#endif
    }
}

#endif

INLINE vi joined(vi low, vi high) {
    if (!PLANES) return low;
    return low + (high << 8);
}

/* acc += the products of all groups. One vector's sums would wait for each other: every fourth group has its own. */
INLINE const weight_t *dot(vi *acc, const int GN, const weight_t *w, const uint8_t *in, size_t plane, int groups) {
    const int W = GN == 1 ? 4 : 1;
    vi low[4 * BLOCK], high[4 * BLOCK];
    int k = 0;
    UNROLL for (int j = 0; j < W * GN; j++) low[j] = j < GN ? acc[j] : (vi){0}, high[j] = (vi){0};
    for (; W > 1 && k + W <= groups; k += W)
        UNROLL for (int j = 0; j < W; j++) w = some_products(low + j, high + j, 1, w, in, plane, k + j, k + j + 1);
    w = some_products(low, high, GN, w, in, plane, k, groups);
    UNROLL for (int j = GN; j < W * GN; j++) low[0] += low[j], high[0] += high[j];
    UNROLL for (int j = 0; j < GN; j++) acc[j] = joined(low[j], high[j]);
    return w;
}

/* The caller's h (int16) into planes or padded int16, and back. */
INLINE void h_in(uint8_t *to, const int16_t *from, int units, int padded) {
    for (int j = 0; j < units; j += V) {
        const vi h = widen(from + j, units - j);
        store_h(to + (PLANES ? 1 : 2) * j, PLANE(padded), &h, 1);
    }
}

INLINE void h_out(int16_t *to, const uint8_t *from, int units, int padded) {
#if PLANES
    for (int j = 0; j < units; j += V) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(from + j));
        const __m128i high = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(from + padded + j)), _mm_set1_epi8(-128));
        const __m512i h = _mm512_or_si512(_mm512_slli_epi32(_mm512_cvtepi8_epi32(high), 8), _mm512_cvtepu8_epi32(low));
        if (units - j >= V)
            _mm256_storeu_si256((__m256i *)(to + j), _mm512_cvtepi32_epi16(h));
        else
            _mm512_mask_cvtepi32_storeu_epi16(to + j, first(units - j), h);
    }
#else
    (void)padded;
    int j = 0;
    for (; j + V <= units; j += V) memcpy(to + j, from + 2 * j, 2 * V);
    if (j < units) memcpy(to + j, from + 2 * j, 2 * (size_t)(units - j));
#endif
}

INLINE vi sat16(vi v) { return maxi(mini(v, splati(32767)), splati(-32768)); }

INLINE vi round_shift(vi v, int shift) { return shift_right(v + splati((int32_t)(1u << (shift - 1))), shift); }

INLINE vi requant(vi acc, vi m, int k, int shift) {
    if (__builtin_expect(k, 0)) acc = shift_left(acc, k);
    return round_shift(narrow32(mul(acc, m)), shift);
}

INLINE vi mulr24(vi a, vi q) { return narrow(add_wide(mul(a, q), 1 << 23), 24); }
