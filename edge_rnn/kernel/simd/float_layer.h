/* A float32 layer's blocks in turn: for one stream, for TILE streams at once, and for a span of one stream's steps.
 *
 * A span: first the inputs' products of all its steps, which wait for nothing and share each weight, then the recurrence
 * with W_hh alone. Every other step takes the blocks backwards: what it read last is in the nearest cache still.
 */
#include "float_narrow.h"

#define SPAN 12 /* steps that a layer makes before the next layer's turn: whole tiles */
/* Bytes of weights up to which a step sums its own inputs: with wide vectors that hides in the chain h -> h'. */
#define NEAR (V == 16 ? 24576 : V == 8 ? 8192 : 0)

INLINE void copy_vectors(uint8_t *to, const uint8_t *from, int padded) {
    for (int j = 0; j < padded; j += V) storef(to + 4 * j, loadf(from + 4 * j));
}

/* Whether W_hh outgrows the nearest cache by far. A far layer's columns of h are padded, so that halves are whole fours. */
#define FAR(kind, units) (V > 4 && GATES(kind) > 1 && 4 * GATES(kind) * (size_t)(units) * (size_t)(units) > 65536)
#define BLOCK_VECTORS(far, left) ((far) || (left) < 2 * V ? 1 : 2)
#define COLUMNS_OF_H(far, layer) ((far) ? (int)(layer)->padded : (layer)->units)

/* A layer's blocks, from the first on or from the last. Each address follows from the one before: made anew from `unit`, it
 * comes so late that the step takes 2 % longer.
 */
#define EACH_BLOCK(unit, w, row, wide, last, backwards)                                                    \
    for (int unit = (backwards) ? (w += (row) * (size_t)(last), (last)) : 0, turn = (backwards) ? -(wide) : (wide); \
         unit >= 0 && unit <= (last); unit += turn, w += (ptrdiff_t)(row) * turn)

/* All of a layer for S = 1 or TILE streams; h' goes over h only after all of h was read. */
INLINE void float_layer(const int kind, const int far, const int S, const int relu, const ernn_packed_layer *layer,
                        const float *w, const place *at) {
    const int padded = (int)layer->padded, inputs = layer->inputs, units = COLUMNS_OF_H(far, layer);
    const int wide = far ? V : 2 * V, last = (padded - 1) / wide * wide;
    if (kind == DENSE && COLUMNS(units) == 4) {
        narrow_layer(4, S, relu, layer, w, at);
        return;
    }
    if (kind == DENSE && COLUMNS(units) == 2) {
        narrow_layer(2, S, relu, layer, w, at);
        return;
    }
    EACH_BLOCK(unit, w, ROW(kind, inputs, units), wide, last, at->backwards) {
        if (BLOCK_VECTORS(far, padded - unit) == 1) {
            block(kind, far, S, 1, 1, relu, w, at, unit, inputs, units);
        } else {
            block(kind, 0, S, S == 1 ? 2 : 1, 2, relu, w, at, unit, inputs, units);
            if (S > 1) block(kind, 0, S, 1, 2, relu, w + V, at, unit + V, inputs, units);
        }
    }
    for (int s = 0; kind != DENSE && at->out != at->h && s < S; s++)
        copy_vectors((uint8_t *)at->h + (size_t)s * at->h_stride, at->out + (size_t)s * at->out_stride, padded);
}

/* Sums of the inputs of S steps: N of a block's NB vectors. */
INLINE void input_tile(const int kind, const int far, const int S, const int N, const int NB, const float *w,
                       const uint8_t *x, size_t stride, int inputs, float *sums) {
    vf acc[TILE * 4 * 2];
    input_sums(acc, kind, far, S, N, NB, w, x, stride, inputs);
    const int A = SUMS(kind), G = GATES(kind);
    UNROLL for (int s = 0; s < S; s++)
        UNROLL for (int g = 0; g < G; g++)
            UNROLL for (int v = 0; v < N; v++) storef(sums + ((s * G + g) * NB + v) * V, acc[(s * A + g) * N + v]);
}

/* Those of a span's steps, for a block of N vectors. */
INLINE void input_span(const int kind, const int far, const int N, const float *w, const place *at, int inputs, float *sums,
                       int steps) {
    const uint8_t *x = at->x;
    int t = 0;
    for (; t + TILE <= steps; t += TILE, x += TILE * at->x_stride, sums += TILE * GATES(kind) * N * V)
        for (int v = 0; v < N; v++) input_tile(kind, far, TILE, 1, N, w + v * V, x, at->x_stride, inputs, sums + v * V);
    for (; t < steps; t++, x += at->x_stride, sums += GATES(kind) * N * V)
        input_tile(kind, far, 1, N, N, w, x, at->x_stride, inputs, sums);
}

/* A block of N vectors for which the inputs' sums are there already. */
INLINE void recur(const int kind, const int far, const int N, const int relu, const float *w, const float *sums,
                  const place *at, int unit, int inputs, int units) {
    vf acc[4 * 2];
    const int all = SUMS(kind) * N;
    UNROLL for (int j = 0; j < all; j++) acc[j] = loadf((kind == GRU && j >= 3 * N ? w : sums) + j * V);
    hidden_sums(acc, kind, far, 1, N, N, w, at, inputs, units);
    activate(acc, kind, 1, N, relu, at, unit);
}

/* A step of a span: its blocks, forwards or backwards; h' has a row of its own, so none waits for another. */
INLINE void span_step(const int kind, const int far, const int relu, const int shared, const ernn_packed_layer *layer,
                      const float *w, const float *sums, int t, const place *at) {
    const int padded = (int)layer->padded, inputs = layer->inputs, units = COLUMNS_OF_H(far, layer), G = GATES(kind);
    const int wide = far ? V : 2 * V, last = (padded - 1) / wide * wide;
    EACH_BLOCK(unit, w, ROW(kind, inputs, units), wide, last, at->backwards) {
        const int N = BLOCK_VECTORS(far, padded - unit);
        const float *sum = sums + G * ((size_t)SPAN * unit + t * N * V);
        if (shared && N == 2)
            recur(kind, 0, 2, relu, w, sum, at, unit, inputs, units);
        else if (shared)
            recur(kind, far, 1, relu, w, sum, at, unit, inputs, units);
        else if (N == 2)
            block(kind, 0, 1, 2, 2, relu, w, at, unit, inputs, units);
        else
            block(kind, 0, 1, 1, 1, relu, w, at, unit, inputs, units);
    }
}

/* At most SPAN steps of one stream: x and out are rows that follow by their strides, h and c the state. */
INLINE void float_span(const int kind, const int far, const int relu, const ernn_packed_layer *layer, const float *w,
                       const place *at, float *sums, int steps) {
    const int padded = (int)layer->padded, inputs = layer->inputs, wide = far ? V : 2 * V;
    const size_t row = ROW(kind, inputs, COLUMNS_OF_H(far, layer));
    place now = *at;
    if (kind == DENSE) {
        for (int t = 0; t < steps; t++, now.x += at->x_stride, now.out += at->out_stride)
            float_layer(kind, 0, 1, relu, layer, w, &now);
        return;
    }
    const int shared = far || 4 * row * (size_t)padded > NEAR;
    for (int unit = 0; shared && unit < padded; unit += wide) {
        float *sum = sums + (size_t)SPAN * GATES(kind) * unit;
        if (BLOCK_VECTORS(far, padded - unit) == 2)
            input_span(kind, 0, 2, w + row * unit, at, inputs, sum, steps);
        else
            input_span(kind, far, 1, w + row * unit, at, inputs, sum, steps);
    }
    for (int t = 0; t < steps; t++, now.x += at->x_stride, now.h = now.out, now.out += at->out_stride) {
        now.backwards = t & 1;
        if (shared)
            span_step(kind, far, relu, 1, layer, w, sums, t, &now);
        else
            span_step(kind, 0, relu, 0, layer, w, sums, t, &now);
    }
    copy_vectors((uint8_t *)at->h, now.h, padded);
}

/* One layer's function for one stream, for TILE streams, for a span of steps (packed_layer's `run`). */
typedef void (*float_fn)(const ernn_packed_layer *layer, const float *w, const place *at);
typedef void (*span_fn)(const ernn_packed_layer *layer, const float *w, const place *at, float *sums, int steps);
typedef void (*any_fn)(void);
#define FLOAT_LAYER(name, kind, far, relu)                                                                 \
    static void name##_one(const ernn_packed_layer *layer, const float *w, const place *at) {              \
        float_layer(kind, far, 1, relu, layer, w, at);                                                     \
    }                                                                                                      \
    static void name##_tile(const ernn_packed_layer *layer, const float *w, const place *at) {             \
        float_layer(kind, far, TILE, relu, layer, w, at);                                                  \
    }                                                                                                      \
    static void name##_span(const ernn_packed_layer *layer, const float *w, const place *at, float *sums, int steps) { \
        float_span(kind, far, relu, layer, w, at, sums, steps);                                            \
    }                                                                                                      \
    static const any_fn name[3] = {(any_fn)name##_one, (any_fn)name##_tile, (any_fn)name##_span};
FLOAT_LAYER(dense_layer, DENSE, 0, 0)
FLOAT_LAYER(dense_relu_layer, DENSE, 0, 1)
FLOAT_LAYER(rnn_layer, RNN, 0, 0)
FLOAT_LAYER(rnn_relu_layer, RNN, 0, 1)
FLOAT_LAYER(gru_layer, GRU, 0, 0)
FLOAT_LAYER(lstm_layer, LSTM, 0, 0)
FLOAT_LAYER(far_gru_layer, GRU, V > 4, 0)
FLOAT_LAYER(far_lstm_layer, LSTM, V > 4, 0)

static const any_fn *float_layer_of(int kind, int far, int relu) {
    switch (kind) {
        case ERNN_GRU: return far ? far_gru_layer : gru_layer;
        case ERNN_LSTM: return far ? far_lstm_layer : lstm_layer;
        case ERNN_RNN: return relu ? rnn_relu_layer : rnn_layer;
        default: return relu ? dense_relu_layer : dense_layer;
    }
}
