/* The instruction sets behind four-letter words: V lanes of float (vf) and int32 (vi), and the dozen operations that
 * GCC's vector extensions do not spell. headf and put touch the first n floats only; headf gives zeros behind them. Everything above this file is the same source for every set.
 *
 * Two 64-bit vectors (wide) hold the products of all lanes: even and odd lanes on x86, low and high half on ARM;
 * only `narrow` needs to know which.
 */
#ifndef ERNN_VEC_H
#define ERNN_VEC_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

#if defined(__AVX512F__)
#include <immintrin.h>
#define V 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define V 8
#else
#define V 4
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)
#define PLANES 1 /* activations as two byte planes for vpdpbusd */
#define KP 4     /* columns that meet in one multiply-accumulate */
typedef int8_t weight_t;
#else
#define PLANES 0
#define KP 2
typedef int16_t weight_t;
#endif

typedef float vf __attribute__((vector_size(4 * V), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * V), aligned(4), may_alias));
typedef int64_t vl __attribute__((vector_size(4 * V), aligned(4), may_alias));
typedef struct { vl a, b; } wide;

INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vi splati(int32_t x) { return x - (vi){0}; }
INLINE vf loadf(const void *p) { return *(const vf *)p; }
INLINE vi loadi(const void *p) { return *(const vi *)p; }
INLINE void storef(void *p, vf v) { *(vf *)p = v; }
INLINE void storei(void *p, vi v) { *(vi *)p = v; }
INLINE vi select_(vi mask, vi a, vi b) { return (mask & a) | (~mask & b); }

#if V == 16

INLINE vf minf(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vf maxf(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vi mini(vi a, vi b) { return (vi)_mm512_min_epi32((__m512i)a, (__m512i)b); }
INLINE vi maxi(vi a, vi b) { return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b); }
INLINE vi absi(vi a) { return (vi)_mm512_abs_epi32((__m512i)a); }
INLINE vi roundi(vf a) { return (vi)_mm512_cvtps_epi32((__m512)a); }
INLINE vf tofloat(vi a) { return (vf)_mm512_cvtepi32_ps((__m512i)a); }
INLINE vf roundf_(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a where it lies in [-most, most], else the nearer end */
INLINE vf within(vf a, float most) { return (vf)_mm512_range_ps((__m512)a, (__m512)splat(most), 2); }
/* Each lane's table[j % 32] */
INLINE vi lookup32(vi j, const int32_t *table) {
    return (vi)_mm512_permutex2var_epi32((__m512i)loadi(table), (__m512i)j, (__m512i)loadi(table + V));
}
INLINE __mmask16 first(int n) { return (__mmask16)((1u << n) - 1); }
INLINE vf headf(const float *p, int n) { return n >= V ? loadf(p) : (vf)_mm512_maskz_loadu_ps(first(n), p); }
INLINE int any_beyond(vf v, vf reach) {
    return _mm512_cmp_ps_mask(_mm512_abs_ps((__m512)v), (__m512)reach, _CMP_NLE_UQ) != 0;
}
INLINE wide mul(vi a, vi b) {
    __m512i x = (__m512i)a, y = (__m512i)b;
    return (wide){(vl)_mm512_mul_epi32(x, y), (vl)_mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(y, 32))};
}
INLINE vi narrow32(wide w) {
    return (vi)_mm512_mask_shuffle_epi32((__m512i)w.b, 0x5555, (__m512i)w.a, 0xF5);
}
INLINE vi narrow(wide w, const int shift) {
    __m512i even = _mm512_srli_epi64((__m512i)w.a, shift), odd = _mm512_slli_epi64((__m512i)w.b, 32 - shift);
    return (vi)_mm512_mask_blend_epi32(0xAAAA, even, odd);
}
INLINE vi shift_left(vi a, int n) { return (vi)_mm512_sll_epi32((__m512i)a, _mm_cvtsi32_si128(n)); }
INLINE vi shift_right(vi a, int n) { return (vi)_mm512_sra_epi32((__m512i)a, _mm_cvtsi32_si128(n)); }

#elif V == 8

INLINE vf minf(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vf maxf(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vi mini(vi a, vi b) { return (vi)_mm256_min_epi32((__m256i)a, (__m256i)b); }
INLINE vi maxi(vi a, vi b) { return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b); }
INLINE vi absi(vi a) { return (vi)_mm256_abs_epi32((__m256i)a); }
INLINE vi roundi(vf a) { return (vi)_mm256_cvtps_epi32((__m256)a); }
INLINE vf tofloat(vi a) { return (vf)_mm256_cvtepi32_ps((__m256i)a); }
INLINE vf roundf_(vf a) { return (vf)_mm256_round_ps((__m256)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vi first(int n) { return splati(n) > (vi){0, 1, 2, 3, 4, 5, 6, 7}; }
INLINE vf headf(const float *p, int n) {
    return n >= V ? loadf(p) : (vf)_mm256_maskload_ps(p, (__m256i)first(n));
}
INLINE int any_beyond(vf v, vf reach) {
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)(vf)((vi)v & 0x7fffffff), (__m256)reach, _CMP_NLE_UQ));
}
INLINE wide mul(vi a, vi b) {
    __m256i x = (__m256i)a, y = (__m256i)b;
    return (wide){(vl)_mm256_mul_epi32(x, y), (vl)_mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(y, 32))};
}
INLINE vi narrow(wide w, const int shift) {
    __m256i even = _mm256_srli_epi64((__m256i)w.a, shift), odd = _mm256_slli_epi64((__m256i)w.b, 32 - shift);
    return (vi)_mm256_blend_epi32(even, odd, 0xAA);
}
INLINE vi narrow32(wide w) { return narrow(w, 32); }
INLINE vi shift_left(vi a, int n) { return (vi)_mm256_sll_epi32((__m256i)a, _mm_cvtsi32_si128(n)); }
INLINE vi shift_right(vi a, int n) { return (vi)_mm256_sra_epi32((__m256i)a, _mm_cvtsi32_si128(n)); }

#else

INLINE vf headf(const float *p, int n) {
    vf v = {0};
    if (n >= V) return loadf(p);
    for (int j = 0; j < V && j < n; j++) v[j] = p[j];
    return v;
}
INLINE vi shift_left(vi a, int n) { return a << n; }
INLINE vi shift_right(vi a, int n) { return a >> n; }
INLINE vi mini(vi a, vi b) { return select_(a < b, a, b); }
INLINE vi maxi(vi a, vi b) { return select_(a > b, a, b); }
INLINE vi absi(vi a) {
    vi sign = a >> 31;
    return (a ^ sign) - sign;
}

#if defined(__aarch64__)

INLINE vf minf(vf a, vf b) { return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b); }
INLINE vf maxf(vf a, vf b) { return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
INLINE vi roundi(vf a) { return (vi)vcvtnq_s32_f32((float32x4_t)a); }
INLINE vf tofloat(vi a) { return (vf)vcvtq_f32_s32((int32x4_t)a); }
INLINE vf roundf_(vf a) { return (vf)vrndnq_f32((float32x4_t)a); }
INLINE int any_beyond(vf v, vf reach) {
    return vminvq_u32(vcaleq_f32((float32x4_t)v, (float32x4_t)reach)) == 0;
}
INLINE wide mul(vi a, vi b) {
    int32x4_t x = (int32x4_t)a, y = (int32x4_t)b;
    return (wide){(vl)vmull_s32(vget_low_s32(x), vget_low_s32(y)), (vl)vmull_high_s32(x, y)};
}
INLINE vi narrow(wide w, const int shift) {
    return (vi)vshrn_high_n_s64(vshrn_n_s64((int64x2_t)w.a, shift), (int64x2_t)w.b, shift);
}

#elif defined(__SSE2__)

INLINE vf minf(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
INLINE vf maxf(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
INLINE vi roundi(vf a) { return (vi)_mm_cvtps_epi32((__m128)a); }
INLINE vf tofloat(vi a) { return (vf)_mm_cvtepi32_ps((__m128i)a); }
INLINE vf roundf_(vf a) { return (a + 12582912.0f) - 12582912.0f; } /* |a| < 2^22 */
INLINE int any_beyond(vf v, vf reach) {
    return _mm_movemask_ps(_mm_cmpnle_ps((__m128)(vf)((vi)v & 0x7fffffff), (__m128)reach));
}
/* Signed from unsigned: ab = |a b|_u - 2^32 (a < 0 ? b : 0) - 2^32 (b < 0 ? a : 0). */
INLINE wide mul(vi a, vi b) {
    vi fix = ((a >> 31) & b) + ((b >> 31) & a);
    __m128i x = (__m128i)a, y = (__m128i)b;
    vl even = (vl)_mm_mul_epu32(x, y), odd = (vl)_mm_mul_epu32(_mm_srli_epi64(x, 32), _mm_srli_epi64(y, 32));
    vl high = {-1, -1};
    return (wide){even - (vl)_mm_slli_epi64((__m128i)fix, 32), odd - (vl)((vl)fix & (high << 32))};
}
INLINE vi narrow(wide w, const int shift) {
    vi even = (vi)_mm_srli_epi64((__m128i)w.a, shift), odd = (vi)_mm_slli_epi64((__m128i)w.b, 32 - shift);
    return select_((vi){-1, 0, -1, 0}, even, odd);
}

#endif
INLINE vi narrow32(wide w) { return narrow(w, 32); }
#endif

/* Whether one of n numbers is NaN, Inf or larger than reach. */
INLINE int beyond(const float *x, size_t n, float reach) {
    int bad = 0;
    for (size_t j = 0; j < n; j += V) bad |= any_beyond(headf(x + j, n - j < V ? (int)(n - j) : V), splat(reach));
    return bad;
}

/* n floats, n <= V. Masked stores are slow on some machines, forward to no load, and hold up loads 4 KB away for a whole
 * step: so four at a time, the last four overlapping.
 */
INLINE void copy(float *to, const float *from, int n) {
    typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
    for (int j = 0; j + 4 <= n; j += 4) *(four *)(to + j) = *(const four *)(from + j);
    if (n >= 4)
        *(four *)(to + n - 4) = *(const four *)(from + n - 4);
    else
        for (int j = 0; j < n; j++) to[j] = from[j];
}

INLINE void put(float *p, vf v, int n) {
    float few[V];
    if (n >= V) {
        storef(p, v);
    } else {
        storef(few, v);
        copy(p, few, n);
    }
}

/* V int16 as int32; behind the first n there are zeros. */
INLINE vi widen(const int16_t *p, int n) {
    int16_t few[V] = {0};
    if (n < V) p = memcpy(few, p, sizeof *p * (size_t)n);
#if V == 16
    return (vi)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p));
#elif V == 8
    return (vi)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__aarch64__)
    return (vi)vmovl_s16(vld1_s16(p));
#else
    return (vi){p[0], p[1], p[2], p[3]};
#endif
}

/* Four numbers, each in all lanes: one load and shuffles, where loads are what a step waits for. */
INLINE void spread4(vf *to, const float *p) {
#if V == 16
    const __m512 four = _mm512_broadcast_f32x4(_mm_loadu_ps(p));
    to[0] = (vf)_mm512_permute_ps(four, 0x00), to[1] = (vf)_mm512_permute_ps(four, 0x55);
    to[2] = (vf)_mm512_permute_ps(four, 0xaa), to[3] = (vf)_mm512_permute_ps(four, 0xff);
#elif V == 8
    const __m256 four = _mm256_broadcast_ps((const __m128 *)p);
    to[0] = (vf)_mm256_permute_ps(four, 0x00), to[1] = (vf)_mm256_permute_ps(four, 0x55);
    to[2] = (vf)_mm256_permute_ps(four, 0xaa), to[3] = (vf)_mm256_permute_ps(four, 0xff);
#else
    UNROLL for (int k = 0; k < 4; k++) to[k] = splat(p[k]);
#endif
}

/* Lane j is p[lane[j]], 0 <= lane[j] < 4. */
INLINE vf pick4(const float *p, const int32_t *lane) {
#if V == 16
    return (vf)_mm512_permutevar_ps(_mm512_broadcast_f32x4(_mm_loadu_ps(p)), (__m512i)loadi(lane));
#elif V == 8
    return (vf)_mm256_permutevar_ps(_mm256_broadcast_ps((const __m128 *)p), (__m256i)loadi(lane));
#else
    return (vf){p[lane[0]], p[lane[1]], p[lane[2]], p[lane[3]]};
#endif
}

/* The upper half of the lanes for the lower one and back; then of each half. */
INLINE vf swap_halves(vf v) {
#if V == 16
    return (vf)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0x4e);
#elif V == 8
    return (vf)_mm256_permute2f128_ps((__m256)v, (__m256)v, 1);
#else
    return (vf){v[2], v[3], v[0], v[1]};
#endif
}
INLINE vf swap_quarters(vf v) {
#if V == 16
    return (vf)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0xb1);
#elif V == 8
    return (vf)_mm256_permute_ps((__m256)v, 0x4e);
#else
    return (vf){v[1], v[0], v[3], v[2]};
#endif
}

#if V != 16
/* a where it lies in [-most, most], else the nearer end */
INLINE vf within(vf a, float most) { return maxf(minf(a, splat(most)), splat(-most)); }
/* p 2^k for p near 1 and an integral k, |k| < 126. */
INLINE vf scale2(vf p, vf k) { return (vf)((vi)p + (roundi(k) << 23)); }
#endif

INLINE wide add_wide(wide w, int64_t v) { return (wide){w.a + v, w.b + v}; }

#endif
