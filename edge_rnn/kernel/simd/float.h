/* float32 layers for one instruction set: all gates of a block of units accumulate in registers, the activations
 * follow in registers, one sequential stream of weights feeds it all. S streams may share each weight (groups).
 *
 * A block is NB vectors of units: biases first, then for each input, then for each h, the weights of the gates.
 * Sigmoid's halves are folded at load: sigma(x) = 0.5 + 0.5 tanh(x / 2), so the gates below are tanh values.
 */
#include "real.h"

enum { DENSE = ERNN_DENSE, RNN = ERNN_RNN, GRU = ERNN_GRU, LSTM = ERNN_LSTM };

/* The streams of a step: the addresses are stream 0's, the others follow by the strides (bytes). */
typedef struct {
    const uint8_t *x, *h;
    uint8_t *c, *out; /* out is h, or a scratch from which h is copied at the layer's end */
    size_t x_stride, h_stride, out_stride; /* c has h's */
} place;

#define GATES(kind) ((kind) == GRU ? 3 : (kind) == LSTM ? 4 : 1)
#define SUMS(kind) ((kind) == GRU || (kind) == LSTM ? 4 : 1) /* GRU keeps n's two halves apart */
#define CHAINS(N) ((N) == 1 ? 8 : 4) /* a lone gate sums in chains, or it would wait for each addition */

/* One column: acc[(s * SUMS + gate) * N + v] += w * in[s]; a GRU's hidden n has a sum of its own. */
INLINE void column(vf *acc, const int kind, const int hidden, const int S, const int N, const int NB, const float *w,
                   const uint8_t *in, size_t stride) {
    const int A = SUMS(kind), G = GATES(kind);
    vf x[6];
    UNROLL for (int s = 0; s < S; s++) x[s] = splat(*(const float *)(in + (size_t)s * stride));
    UNROLL for (int g = 0; g < G; g++) {
        UNROLL for (int v = 0; v < N; v++) {
            const vf weight = loadf(w + (g * NB + v) * V);
            const int sum = kind == GRU && hidden && g == 2 ? 3 : g;
            UNROLL for (int s = 0; s < S; s++) acc[(s * A + sum) * N + v] += weight * x[s];
        }
    }
}

/* n columns; gives where the weights of the next ones lie. */
INLINE const float *rows(vf *acc, const int kind, const int hidden, const int S, const int N, const int NB,
                         const float *w, const uint8_t *in, size_t stride, int n) {
    const int A = SUMS(kind), G = GATES(kind), chains = A == 1 && S == 1 ? CHAINS(N) : 1;
    const uint8_t *end = in + 4 * (size_t)n;
    if (chains > 1)
        for (; in + 4 * chains <= end; in += 4 * chains, w += chains * NB * V) {
            UNROLL for (int u = 0; u < chains; u++) {
                const vf x = splat(((const float *)in)[u]);
                UNROLL for (int v = 0; v < N; v++) acc[u * N + v] += loadf(w + (u * NB + v) * V) * x;
            }
        }
    if (S == 1)
        _Pragma("GCC unroll 2") for (; in < end; in += 4, w += G * NB * V)
            column(acc, kind, hidden, S, N, NB, w, in, stride);
    for (; in < end; in += 4, w += G * NB * V) column(acc, kind, hidden, S, N, NB, w, in, stride);
    return w;
}

/* N of a block's NB vectors, from lane `unit` of each array on. */
INLINE void block(const int kind, const int S, const int N, const int NB, const int relu, const float *w,
                  const place *at, int unit, int inputs, int units) {
    const int A = SUMS(kind);
    vf acc[6 * 4 * 2] = {0};
    UNROLL for (int s = 0; s < S; s++)
        UNROLL for (int a = 0; a < A; a++)
            UNROLL for (int v = 0; v < N; v++) acc[(s * A + a) * N + v] = loadf(w + (a * NB + v) * V);
    w += A * NB * V;
    w = rows(acc, kind, 0, S, N, NB, w, at->x, at->x_stride, inputs);
    if (kind != DENSE) rows(acc, kind, 1, S, N, NB, w, at->h, at->h_stride, units);
    if (A == 1 && S == 1 && N == 1)
        acc[0] = ((acc[0] + acc[1]) + (acc[2] + acc[3])) + ((acc[4] + acc[5]) + (acc[6] + acc[7]));
    if (A == 1 && S == 1 && N == 2) {
        acc[0] = (acc[0] + acc[2]) + (acc[4] + acc[6]);
        acc[1] = (acc[1] + acc[3]) + (acc[5] + acc[7]);
    }
    UNROLL for (int s = 0; s < S; s++) {
        UNROLL for (int v = 0; v < N; v++) {
            const vf *gate = acc + s * A * N + v;
            const size_t lane = 4 * (size_t)(unit + v * V), mine = (size_t)s * at->h_stride + lane;
            vf h;
            if (kind == GRU) {
                const vf r = sigmoid_(gate[0]), lost = sigmoid_(gate[N]), old = loadf(at->h + mine); /* lost: 1 - z */
                const vf n = tanh_(gate[2 * N] + gate[3 * N] * r);
                h = old + lost * (n - old);
            } else if (kind == LSTM) {
                const vf i = sigmoid_(gate[0]), lost = sigmoid_(gate[N]), old = loadf(at->c + mine); /* lost: 1 - f */
                const vf c = (old - lost * old) + i * tanh_(gate[2 * N]);
                storef(at->c + mine, c);
                h = sigmoid_(gate[3 * N]) * tanh_(c * (float)TANH_FOLD);
            } else {
                h = relu ? maxf(gate[0], (vf){0}) : kind == RNN ? tanh_(gate[0]) : gate[0];
            }
            storef(at->out + (size_t)s * at->out_stride + lane, h);
        }
    }
}

#if V == 16 || defined(__aarch64__)
#define TILE 6 /* streams that share a weight: 24 sums of 32 registers */
#else
#define TILE 3
#endif

/* All blocks of a layer for S = 1 or TILE streams; h' goes over h only after all of h was read. */
INLINE void float_layer(const int kind, const int S, const int relu, const ernn_packed_layer *layer, const float *w,
                        const place *at) {
    const int padded = (int)layer->padded, inputs = layer->inputs, units = layer->units;
    const size_t row = (size_t)SUMS(kind) + (size_t)GATES(kind) * (size_t)(inputs + (kind == DENSE ? 0 : units));
    int unit = 0;
    for (; unit + 2 * V <= padded; unit += 2 * V, w += row * 2 * V) {
        block(kind, S, S == 1 ? 2 : 1, 2, relu, w, at, unit, inputs, units);
        if (S > 1) block(kind, S, 1, 2, relu, w + V, at, unit + V, inputs, units);
    }
    if (unit < padded) block(kind, S, 1, 1, relu, w, at, unit, inputs, units);
    for (int s = 0; kind != DENSE && at->out != at->h && s < S; s++)
        for (int j = 0; j < padded; j += V)
            storef((uint8_t *)at->h + (size_t)s * at->h_stride + 4 * j, loadf(at->out + (size_t)s * at->out_stride + 4 * j));
}

typedef void (*float_fn)(const ernn_packed_layer *layer, const float *w, const place *at);
#define FLOAT_LAYER(name, kind, relu)                                                                      \
    static void name##_one(const ernn_packed_layer *layer, const float *w, const place *at) {              \
        float_layer(kind, 1, relu, layer, w, at);                                                          \
    }                                                                                                      \
    static void name##_tile(const ernn_packed_layer *layer, const float *w, const place *at) {             \
        float_layer(kind, TILE, relu, layer, w, at);                                                       \
    }                                                                                                      \
    static const float_fn name[2] = {name##_one, name##_tile};
FLOAT_LAYER(dense_layer, DENSE, 0)
FLOAT_LAYER(dense_relu_layer, DENSE, 1)
FLOAT_LAYER(rnn_layer, RNN, 0)
FLOAT_LAYER(rnn_relu_layer, RNN, 1)
FLOAT_LAYER(gru_layer, GRU, 0)
FLOAT_LAYER(lstm_layer, LSTM, 0)

static const float_fn *float_layer_of(int kind, int relu) {
    switch (kind) {
        case ERNN_GRU: return gru_layer;
        case ERNN_LSTM: return lstm_layer;
        case ERNN_RNN: return relu ? rnn_relu_layer : rnn_layer;
        default: return relu ? dense_relu_layer : dense_layer;
    }
}

INLINE void copy_in(uint8_t *to, const uint8_t *from, int units) {
    for (int j = 0; j < units; j += V) storef(to + 4 * j, headf((const float *)from + j, units - j));
}

INLINE void copy_out(uint8_t *to, const uint8_t *from, int units) {
    for (int j = 0; j < units; j += V) put((float *)to + j, loadf(from + 4 * j), units - j);
}

/* Where every layer of 1 or TILE streams reads and writes. A state stays with the caller where whole vectors fit it
 * (in_place), else it is copied into the scratch here and back by `leave`.
 */
INLINE void enter(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, const int tile, place *at) {
    const size_t stride = model->scratch_bytes;
    const uint8_t *x = scratch + model->x;
    size_t x_stride = stride;
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const size_t bytes = 4 * (size_t)layer->units;
        uint8_t *h = scratch + layer->h, *c = scratch + layer->c;
        *at = (place){x, h, c, h, x_stride, stride, stride};
        if (layer->kind != ERNN_DENSE) {
            uint8_t *from_h = *states++ + s * bytes, *from_c = layer->kind == ERNN_LSTM ? *states++ + s * bytes : NULL;
            if (layer->in_place)
                at->h = at->out = from_h, at->c = from_c, at->h_stride = at->out_stride = bytes;
            for (size_t t = 0; !layer->in_place && t < (tile ? TILE : 1); t++) {
                copy_in(h + t * stride, from_h + t * bytes, layer->units);
                if (from_c) copy_in(c + t * stride, from_c + t * bytes, layer->units);
            }
            if (!layer->direct[tile]) at->out = scratch + model->fresh, at->out_stride = stride;
        }
        x = at->h, x_stride = at->h_stride;
    }
}

INLINE void leave(const ernn_packed *model, uint8_t *const *states, size_t s, const int tile, const place *at) {
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const size_t bytes = 4 * (size_t)layer->units;
        for (int c = 0; layer->kind != ERNN_DENSE && c < (layer->kind == ERNN_LSTM ? 2 : 1); c++, states++)
            for (size_t t = 0; !layer->in_place && t < (tile ? TILE : 1); t++)
                copy_out(*states + (s + t) * bytes, (c ? at->c : at->h) + t * at->h_stride, layer->units);
    }
}

/* x - mean into the scratch; the division by std is in the weights. Gives whether something no state may meet was there. */
INLINE int take_float(const ernn_packed *model, uint8_t *scratch, const float *x) {
    const float *mean = (const float *)((const uint8_t *)model + model->edge);
    const int inputs = model->inputs;
    uint8_t *to = scratch + model->x;
    int bad = 0;
    for (int j = 0; j < inputs; j += V) {
        const vf v = headf(x + j, inputs - j);
        bad |= any_beyond(v, splat(model->reach));
        storef(to + 4 * j, v - loadf(mean + j));
    }
    return bad;
}

INLINE void give_float(const ernn_packed *model, const uint8_t *scratch, float *y) {
    const float *logits = (const float *)(scratch + model->layer[model->layers - 1].h);
    const int outputs = model->outputs;
    for (int j = 0; j < outputs; j += V) copy(y + j, logits + j, outputs - j < V ? outputs - j : V);
}

INLINE void float_layers(const ernn_packed *model, const place *at, const int tile) {
    const ernn_packed_layer *layer = model->layer, *end = layer + model->layers;
    for (; layer < end; layer++, at++)
        ((float_fn)layer->run[tile])(layer, (const float *)((const uint8_t *)model + layer->weights), at);
}

static ernn_status float_run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s,
                             size_t steps, const float *x, float *y) {
    place at[ERNN_MAX_LAYERS];
    if (steps > 1 && beyond(x, steps * model->inputs, model->reach)) return ERNN_NOT_FINITE;
    if (steps == 1 && take_float(model, scratch, x)) return ERNN_NOT_FINITE;
    enter(model, scratch, states, s, 0, at);
    for (size_t t = 0; t < steps; t++, x += model->inputs, y += model->outputs) {
        if (steps > 1) take_float(model, scratch, x);
        float_layers(model, at, 0);
        give_float(model, scratch, y);
    }
    if (model->copied) leave(model, states, s, 0, at);
    return ERNN_OK;
}

/* What `bind` leaves behind a scratch: the places of all layers, then the caller's states. */
INLINE uint8_t **float_bound(const ernn_packed *model, uint8_t *scratch, place **at) {
    *at = (place *)(scratch + model->scratch_bytes);
    return (uint8_t **)(*at + model->layers);
}

static void float_bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    place *at;
    memcpy(float_bound(model, scratch, &at), states, ernn_state_arrays(model) * sizeof *states);
    enter(model, scratch, states, 0, 0, at);
}

static ernn_status float_step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    place *at;
    uint8_t *const *states = float_bound(model, scratch, &at);
    if (model->copied) return float_run(model, scratch, states, 0, 1, x, y);
    if (take_float(model, scratch, x)) return ERNN_NOT_FINITE;
    float_layers(model, at, 0);
    give_float(model, scratch, y);
    return ERNN_OK;
}

static void float_group(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                        float *y) {
    const size_t I = model->inputs, C = model->outputs, stride = model->scratch_bytes;
    place at[ERNN_MAX_LAYERS];
    size_t s = 0;
    for (; s + TILE <= n; s += TILE, x += TILE * I, y += TILE * C) {
        enter(model, scratch, states, s, 1, at);
        for (size_t t = 0; t < TILE; t++) take_float(model, scratch + t * stride, x + t * I);
        float_layers(model, at, 1);
        for (size_t t = 0; t < TILE; t++) give_float(model, scratch + t * stride, y + t * C);
        if (model->copied) leave(model, states, s, 1, at);
    }
    for (; s < n; s++, x += I, y += C) float_run(model, scratch, states, s, 1, x, y);
}
