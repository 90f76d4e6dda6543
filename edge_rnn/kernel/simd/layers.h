/* Every kind of layer with one instruction set's products: the portable kernel's files once more, as they are, but with
 * vectors in the place of ernn_dotf, ernn_times, a FastGRNN's gates and a softmax. For networks with a layer that pack.h
 * does not know: portable.c packs them, keeps their states and calls the two steps that come of it (variant.c).
 */
#include "../ernn_fixed.h"
#include "../ernn_real.h"

INLINE float sum_of(vf v) {
#if V == 16
    return _mm512_reduce_add_ps((__m512)v);
#elif V == 8
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    return (v[0] + v[1]) + (v[2] + v[3]);
#endif
}

/* w x of n floats, in four chains: an addition need not wait for the one before. */
INLINE float product_of(const float *w, const float *x, unsigned n) {
    vf a = {0}, b = {0}, c = {0}, d = {0};
    for (; n >= 4 * V; n -= 4 * V, w += 4 * V, x += 4 * V) {
        a += loadf(w) * loadf(x);
        b += loadf(w + V) * loadf(x + V);
        c += loadf(w + 2 * V) * loadf(x + 2 * V);
        d += loadf(w + 3 * V) * loadf(x + 3 * V);
    }
    for (; n >= V; n -= V, w += V, x += V) a += loadf(w) * loadf(x);
#if V == 4
    float rest = 0.0f; /* no masked loads */
    for (unsigned j = 0; j < n; j++) rest += w[j] * x[j];
    return sum_of((a + b) + (c + d)) + rest;
#else
    if (n) b += headf(w, (int)n) * headf(x, (int)n);
    return sum_of((a + b) + (c + d));
#endif
}

/* acc[r] = sum_j w[r][j] * x[j] of four rows in tiles (ernn.h): sums of integers, the same in every order. */
INLINE const int8_t *four_rows(const int8_t *w, const int16_t *x, unsigned columns, int32_t acc[4]) {
    const int16_t *end = x + columns;
#if V == 16
    __m512i sum = _mm512_setzero_si512();
    for (; x != end; x += 8, w += 32) {
        const __m512i weights = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)w));
        const __m512i eight = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)x));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(weights, eight)); /* VNNI's one instruction would wait for the last */
    }
    sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_BADC));
    sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_CDAB));
    _mm_storeu_si128((__m128i *)acc, _mm512_castsi512_si128(_mm512_maskz_compress_epi32(0x1111, sum)));
#elif V == 8
    __m256i a = _mm256_setzero_si256(), b = a;
    for (; x != end; x += 8, w += 32) {
        const __m256i eight = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)x));
        const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w));
        const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 16)));
        a = _mm256_add_epi32(a, _mm256_madd_epi16(low, eight));
        b = _mm256_add_epi32(b, _mm256_madd_epi16(high, eight));
    }
    a = _mm256_hadd_epi32(a, b); /* rows 0 0 2 2, 1 1 3 3 */
    a = _mm256_hadd_epi32(a, a);
    _mm_storeu_si128((__m128i *)acc, _mm_unpacklo_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)));
#elif defined(__aarch64__)
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (; x != end; x += 8) {
        const int16x8_t eight = vld1q_s16(x);
        UNROLL for (int r = 0; r < 4; r++, w += 8) {
            const int16x8_t weights = vmovl_s8(vld1_s8(w));
            sum[r] = vmlal_s16(sum[r], vget_low_s16(weights), vget_low_s16(eight));
            sum[r] = vmlal_high_s16(sum[r], weights, eight);
        }
    }
    vst1q_s32(acc, vpaddq_s32(vpaddq_s32(sum[0], sum[1]), vpaddq_s32(sum[2], sum[3])));
#else
    vi sum[4] = {{0}};
    for (; x != end; x += 8) {
        const __m128i eight = _mm_loadu_si128((const __m128i *)x);
        UNROLL for (int r = 0; r < 4; r++, w += 8) {
            const __m128i bytes = _mm_loadl_epi64((const __m128i *)w);
            sum[r] += (vi)_mm_madd_epi16(_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8), eight);
        }
    }
    UNROLL for (int r = 0; r < 4; r++) acc[r] = (sum[r][0] + sum[r][1]) + (sum[r][2] + sum[r][3]);
#endif
    return w;
}

void ernn_times(const ernn_int8_matrix *matrix, unsigned row, unsigned rows, const int16_t *x, const int32_t *add,
                int32_t *out) {
    const int8_t *w = matrix->w + (size_t)row * matrix->columns;
    for (const int32_t *m = matrix->m + row, *end = m + rows; m != end; m += 4, add += 4, out += 4) {
        int32_t acc[4];
        w = four_rows(w, x, matrix->columns, acc);
        UNROLL for (int r = 0; r < 4; r++) out[r] = add[r] + ernn_requant(acc[r], m[r], matrix->k, matrix->shift);
    }
}

INLINE int lanes(unsigned n) { return n < V ? (int)n : V; }

void ernn_fastgrnn_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new) {
    const unsigned I = layer->inputs, H = layer->units;
    for (unsigned unit = 0; unit < H; unit++)
        h_new[unit] = product_of(layer->w_ih + (size_t)unit * I, x, I) + product_of(layer->w_hh + (size_t)unit * H, h, H);
    for (unsigned unit = 0; unit < H; unit += V) {
        const int n = lanes(H - unit);
        const vf a = headf(h_new + unit, n), z = sigmoid_((float)SIGMOID_FOLD * (a + headf(layer->b + unit, n)));
        const vf t = tanh_((float)TANH_FOLD * (a + headf(layer->bn + unit, n)));
        put(h_new + unit, (layer->zeta[0] * (1.0f - z) + layer->nu[0]) * t + z * headf(h + unit, n), n);
    }
}

/* What attention.c's `head` does: softmax(q . k / sqrt(width) + bias) v over the rows from `first` on. */
static void head(const float *q, const float *k, const float *v, const float *bias, unsigned first, unsigned rows, unsigned width,
                 unsigned units, float *score, float *out) {
    const float scale = 1.0f / ernn_sqrtf((float)width);
    float most = 0.0f;
    for (unsigned t = first; t < rows; t++) {
        score[t] = product_of(q, k + (size_t)t * units, width) * scale + bias[t];
        most = t == first || score[t] > most ? score[t] : most;
    }
    for (unsigned t = first; t < rows; t += V) {
        const int n = lanes(rows - t);
        put(score + t, exp2_(maxf(headf(score + t, n) - most, splat(-80.0f)) * (0.5f * ERNN_TANH_SCALE)), n);
    }
    vf total = {0};
    for (unsigned t = first; t < rows; t += V) total += headf(score + t, lanes(rows - t));
    const float share = 1.0f / sum_of(total);
    for (unsigned j = 0; j < width; j += V) {
        const int n = lanes(width - j);
        const float *row = v + (size_t)first * units + j;
        vf mixed[4] = {{0}};
        unsigned t = first;
        for (; t + 4 <= rows; t += 4)
            UNROLL for (int chain = 0; chain < 4; chain++, row += units) mixed[chain] += score[t + chain] * headf(row, n);
        for (; t < rows; t++, row += units) mixed[0] += score[t] * headf(row, n);
        put(out + j, ((mixed[0] + mixed[1]) + (mixed[2] + mixed[3])) * share, n);
    }
}

#define ernn_dotf product_of
#include "../attention.c"
#include "../dense.c"
#include "../fastgrnn.c"
#include "../gru.c"
#include "../lstm.c"
#include "../network.c"
#include "../past.c"
#include "../rnn.c"
#undef ernn_dotf
