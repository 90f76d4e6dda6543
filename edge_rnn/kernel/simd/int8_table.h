/* tanh of the exact int8 arithmetic (docs/numeric.md): knots and straight lines between them, all lanes at once. */
#include "int8_dot.h"

/* tanh's knots i = 0..255 with their rises T[i+1] - T[i]: pairs of int32, or six tables of 256 bytes (VBMI). */
#define TABLE_BYTES (PLANES ? 6 * 256 : 8 * 256)

INLINE void fill_table(uint8_t *table) {
    for (int i = 0; i < 256; i++) {
        const int32_t pair[2] = {ernn_tanh_table[i], ernn_tanh_table[i + 1] - ernn_tanh_table[i]};
        for (int b = 0; b < 6 && PLANES; b++) table[256 * b + i] = (uint8_t)(pair[b / 3] >> 8 * (b % 3));
        if (!PLANES) memcpy(table + 8 * i, pair, 8);
    }
}

/* Knot and rise of n vectors of indices 0..255. */
INLINE void knots(const uint8_t *table, const vi *index, vi *knot, vi *rise, const int n) {
#if PLANES
    /* 256 entries of 3 + 3 bytes: a byte lookup serves 64 lanes, so four vectors of indices go together. Packing and
     * unpacking keep each lane's numbers in their 128 bits: there, four bytes of the first vector, then of the second ...
     */
    UNROLL for (int j = 0; j < n; j += 4) {
        const __m512i i0 = (__m512i)index[j], i1 = j + 1 < n ? (__m512i)index[j + 1] : i0;
        const __m512i i2 = j + 2 < n ? (__m512i)index[j + 2] : i0, i3 = j + 3 < n ? (__m512i)index[j + 3] : i0;
        const __m512i low2 = _mm512_packus_epi32(i0, i1), high2 = j + 2 < n ? _mm512_packus_epi32(i2, i3) : low2;
        const __m512i at = _mm512_packus_epi16(low2, high2), zero = _mm512_setzero_si512();
        const __mmask64 upper = _mm512_movepi8_mask(at);
        __m512i byte[6];
        UNROLL for (int b = 0; b < 6; b++) {
            const __m512i *t = (const __m512i *)table + 4 * b;
            const __m512i low = _mm512_permutex2var_epi8(t[0], at, t[1]);
            byte[b] = _mm512_mask_mov_epi8(low, upper, _mm512_permutex2var_epi8(t[2], at, t[3]));
        }
        UNROLL for (int half = 0; half < 2; half++) {
            vi *to = half ? rise + j : knot + j;
            const __m512i b0 = byte[3 * half], b1 = byte[3 * half + 1], b2 = byte[3 * half + 2];
            const __m512i b01 = _mm512_unpacklo_epi8(b0, b1), b23 = _mm512_unpacklo_epi8(b2, zero);
            to[0] = (vi)_mm512_unpacklo_epi16(b01, b23);
            if (j + 1 < n) to[1] = (vi)_mm512_unpackhi_epi16(b01, b23);
            if (j + 2 < n) {
                const __m512i c01 = _mm512_unpackhi_epi8(b0, b1), c23 = _mm512_unpackhi_epi8(b2, zero);
                to[2] = (vi)_mm512_unpacklo_epi16(c01, c23);
                if (j + 3 < n) to[3] = (vi)_mm512_unpackhi_epi16(c01, c23);
            }
        }
    }
#else
    /* A knot and its rise are one 64-bit load. */
    UNROLL for (int v = 0; v < n; v++) {
        int32_t i[V];
        memcpy(i, &index[v], sizeof i);
        const int64_t *t = (const int64_t *)table;
#if V == 16
        wide w = {(vl){t[i[0]], t[i[2]], t[i[4]], t[i[6]], t[i[8]], t[i[10]], t[i[12]], t[i[14]]},
                  (vl){t[i[1]], t[i[3]], t[i[5]], t[i[7]], t[i[9]], t[i[11]], t[i[13]], t[i[15]]}};
#elif V == 8
        wide w = {(vl){t[i[0]], t[i[2]], t[i[4]], t[i[6]]}, (vl){t[i[1]], t[i[3]], t[i[5]], t[i[7]]}};
#elif defined(__aarch64__)
        wide w = {(vl){t[i[0]], t[i[1]]}, (vl){t[i[2]], t[i[3]]}};
#else
        wide w = {(vl){t[i[0]], t[i[2]]}, (vl){t[i[1]], t[i[3]]}};
#endif
        rise[v] = narrow32(w);
#if defined(__aarch64__)
        knot[v] = (vi)vuzp1q_s32((int32x4_t)w.a, (int32x4_t)w.b);
#else
        knot[v] = narrow(w, 0);
#endif
    }
#endif
}

/* tanh in three steps: where |p| lies between the knots, the knots, the line between two of them. */
typedef struct {
    vi index[4 * BLOCK], part[4 * BLOCK], knot[4 * BLOCK], rise[4 * BLOCK];
} between;

/* How far an argument is shifted for its index: p counts 2^-16 for tanh, for sigmoid half of that. */
#define SHIFT_OF(j, first_tanh, last_tanh) ((j) >= (first_tanh) && (j) < (last_tanh) ? 11 : 12)

INLINE void lut_index(between *at, const vi *p, const int n, const int first_tanh, const int last_tanh) {
    UNROLL for (int j = 0; j < n; j++) {
        const int shift = SHIFT_OF(j, first_tanh, last_tanh);
        vi a = mini(absi(p[j]), splati((256 << shift) - 1));
        at->index[j] = a >> shift;
        at->part[j] = a & ((1 << shift) - 1);
    }
}

INLINE void lut_line(const between *at, vi *p, const int n, const int first_tanh, const int last_tanh) {
    UNROLL for (int j = 0; j < n; j++) {
        const int shift = SHIFT_OF(j, first_tanh, last_tanh);
        vi sign = p[j] >> 31;
        vi v = at->knot[j] + ((at->rise[j] * at->part[j] + (1 << (shift - 1))) >> shift);
        p[j] = (v ^ sign) - sign;
    }
}

/* p[j] <- tanh(p[j] * 2^-16) in Q23 for j in [first_tanh, last_tanh), else tanh(p[j] * 2^-17), as sigmoid wants. */
INLINE void lut(const uint8_t *table, vi *p, const int n, const int first_tanh, const int last_tanh) {
    between at;
    lut_index(&at, p, n, first_tanh, last_tanh);
    knots(table, at.index, at.knot, at.rise, n);
    lut_line(&at, p, n, first_tanh, last_tanh);
}
