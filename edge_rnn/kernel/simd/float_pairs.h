/* Many streams' products of h, two columns of every four with one multiplication instead of two (Winograd, 1968):
 *
 *     a p + b q = (b + p) (a + q) - a b - p q
 *
 * for weights a, b of a unit and numbers p, q of a stream. Sums of a b are packed with the weights, a sum of p q serves
 * all units of a stream. What is saved is two additions more, which cost nothing where they have units of their own: on
 * AMD's Zen, and there only is this chosen. All pairs would wait for the additions, half of them leave both busy.
 *
 * p and q are a layer's h, within +-1; layers of large weights (pack_pairs.h) and states that came from elsewhere and are
 * larger are left to float_layer.h. So the sums of a b and p q, which leave nothing but their rounding, stay small. A padded
 * unit's h is that rounding, and meets no weight.
 */
#include "float_layer.h"

/* What a column's sums are of: a GRU keeps the n of its h apart. */
#define SUM_OF(kind, hidden, g) ((kind) == GRU && (hidden) && (g) == 2 ? 3 : (g))

/* No load moves across it: the compiler would load a column's weights at once, and have no registers for the sums. */
#define IN_ORDER __asm__ volatile("" ::: "memory")

/* Where the weights of the vector of units from `unit` on begin, of vectors in blocks of one or two. */
INLINE int vectors_at(int far, int unit, int padded) { return BLOCK_VECTORS(far, padded - unit / (2 * V) * 2 * V); }
INLINE size_t vector_at(const int kind, int far, int unit, const ernn_packed_layer *layer) {
    const int wide = far ? V : 2 * V, first = unit / wide * wide;
    return ROW(kind, layer->inputs, COLUMNS_OF_H(far, layer)) * (size_t)first + (size_t)(unit - first);
}

#if V == 16
INLINE int adds_beside_products(void) { return __builtin_cpu_is("amd") != 0; }

/* Sums of - p q of each of TILE streams; `all` are whole fours. Gives whether a number is far from what a state may be. */
INLINE int stream_products(float *to, const uint8_t *in, size_t stride, int all) {
    vf farthest = {0};
    for (int s = 0; s < TILE; s++, in += stride) {
        vf sum = {0};
        for (int j = 0; j < all; j += V) {
            const vf v = headf((const float *)in + j, all - j);
            sum -= v * (vf)_mm512_permute_ps((__m512)v, 0xb1);
            farthest = maxf(farthest, (vf)((vi)v & INT32_MAX));
        }
        to[s] = _mm512_mask_reduce_add_ps(0x4444, (__m512)sum);
    }
    return any_beyond(farthest, splat(2.0f));
}

/* All columns of one vector of units; `of_unit` are the sums of its - a b, gate by gate. */
INLINE void paired_columns(vf *acc, const int kind, const int hidden, int NB, const float *w, const uint8_t *in,
                           size_t stride, int all, const float *of_unit, const float *of_stream) {
    const int A = SUMS(kind), G = GATES(kind), row = G * NB * V;
    vf x[TILE];
    UNROLL for (int g = 0; g < G; g++)
        UNROLL for (int s = 0; s < TILE; s++) acc[s * A + SUM_OF(kind, hidden, g)] += loadf(of_unit + g * V) + of_stream[s];
    for (; all >= 4; all -= 4, in += 16, w += 4 * row) {
        UNROLL for (int k = 0; k < 2; k++) {
            IN_ORDER;
            spread(x, TILE, in + 4 * k, stride);
            UNROLL for (int g = 0; g < G; g++) {
                IN_ORDER;
                const vf weight = loadf(w + k * row + g * NB * V);
                UNROLL for (int s = 0; s < TILE; s++) acc[s * A + SUM_OF(kind, hidden, g)] += weight * x[s];
            }
        }
        UNROLL for (int g = 0; g < G; g++) {
            IN_ORDER;
            const vf a = loadf(w + 2 * row + g * NB * V), b = loadf(w + 3 * row + g * NB * V);
            UNROLL for (int s = 0; s < TILE; s++) {
                const float *p = (const float *)(in + (size_t)s * stride) + 2;
                acc[s * A + SUM_OF(kind, hidden, g)] += (b + p[0]) * (a + p[1]);
            }
        }
    }
    IN_ORDER;
    columns(acc, kind, hidden, 1, TILE, 1, NB, w, in, stride, all);
}

/* A layer of TILE streams. Behind its weights, vector by vector of units: sums of - a b of h, then of the inputs. A bias
 * comes last: where it holds a gate shut, each of the sums before would be rounded to the bias's digits.
 */
INLINE void paired_layer(const int kind, const int both, const ernn_packed_layer *layer, const float *w, const place *at) {
    const int padded = (int)layer->padded, inputs = layer->inputs, units = layer->units, A = SUMS(kind), G = GATES(kind);
    const int far = FAR(kind, units);
    const float *products = w + ROW(kind, inputs, COLUMNS_OF_H(far, layer)) * padded;
    float of_h[TILE], of_x[TILE];
    if (stream_products(of_h, at->h, at->h_stride, units & ~3) ||
        (both && stream_products(of_x, at->x, at->x_stride, inputs & ~3))) {
        ((float_fn)float_layer_of(kind, far, 0)[1])(layer, w, at);
        return;
    }
    for (int unit = 0; unit < padded; unit += V, products += (1 + both) * G * V) {
        const int NB = vectors_at(far, unit, padded);
        const float *bias = w + vector_at(kind, far, unit, layer), *first = bias + A * NB * V;
        vf acc[TILE * 4] = {{0}};
        if (both)
            paired_columns(acc, kind, 0, NB, first, at->x, at->x_stride, inputs, products + G * V, of_x);
        else
            columns(acc, kind, 0, 1, TILE, 1, NB, first, at->x, at->x_stride, inputs);
        paired_columns(acc, kind, 1, NB, first + (size_t)G * inputs * NB * V, at->h, at->h_stride, units, products, of_h);
        UNROLL for (int a = 0; a < A; a++)
            UNROLL for (int s = 0; s < TILE; s++) acc[s * A + a] += loadf(bias + a * NB * V);
        activate(acc, kind, TILE, 1, 0, at, unit);
    }
    for (int s = 0; at->out != at->h && s < TILE; s++)
        copy_vectors((uint8_t *)at->h + (size_t)s * at->h_stride, at->out + (size_t)s * at->out_stride, padded);
}

#define PAIRED_LAYER(name, kind, both)                                                        \
    static void name(const ernn_packed_layer *layer, const float *w, const place *at) {       \
        paired_layer(kind, both, layer, w, at);                                               \
    }
PAIRED_LAYER(gru_paired, GRU, 0)
PAIRED_LAYER(gru_all_paired, GRU, 1)
PAIRED_LAYER(lstm_paired, LSTM, 0)
PAIRED_LAYER(lstm_all_paired, LSTM, 1)

static any_fn paired_layer_of(int kind, int both) {
    if (kind == ERNN_GRU) return (any_fn)(both ? gru_all_paired : gru_paired);
    return (any_fn)(both ? lstm_all_paired : lstm_paired);
}
#else
INLINE int adds_beside_products(void) { return 0; }
static any_fn paired_layer_of(int kind, int both) { return (void)kind, (void)both, NULL; }
#endif
