/* float32 layers for one instruction set: all gates of a block of units accumulate in registers, the activations
 * follow in registers, one sequential stream of weights feeds it all. S streams may share each weight (groups).
 *
 * A block is NB vectors of units: biases first, then for each input, then for each h, every gate's weights.
 * Sigmoid's halves are folded at load: sigma(x) = 0.5 + 0.5 tanh(x / 2), so the gates below are tanh values.
 */
#include "../ernn_tanh.h"
#include "vec.h"

enum { DENSE = ERNN_DENSE, RNN = ERNN_RNN, GRU = ERNN_GRU, LSTM = ERNN_LSTM };

/* The streams of a step: the addresses are stream 0's, the others follow by `stride` bytes. */
typedef struct {
    const uint8_t *x, *h, *c;
    uint8_t *out, *cell;
    size_t stride;
} place;

INLINE vf tanh_(vf x) {
    x = minf(maxf(x, splat(-ERNN_TANH_LIMIT)), splat(ERNN_TANH_LIMIT));
    vf y = x * x;
    vf p = ((ERNN_TANH_P3 * y + ERNN_TANH_P2) * y + ERNN_TANH_P1) * y + ERNN_TANH_P0;
    vf q = (((ERNN_TANH_Q4 * y + ERNN_TANH_Q3) * y + ERNN_TANH_Q2) * y + ERNN_TANH_Q1) * y + 1.0f;
    return x * p / q;
}

#define GATES(kind) ((kind) == GRU ? 3 : (kind) == LSTM ? 4 : 1)
#define SUMS(kind) ((kind) == GRU || (kind) == LSTM ? 4 : 1) /* GRU keeps n's two halves apart */
#define CHAINS 4 /* a lone gate sums in four chains, or it would wait for each addition */

/* acc[(s * SUMS + gate) * N + v] += w * in[s][k], k < n */
INLINE const float *rows(vf *acc, const int kind, const int hidden, const int S, const int N, const int NB,
                         const float *w, const uint8_t *in, size_t stride, int n) {
    const int G = GATES(kind), A = SUMS(kind);
    int k = 0;
    if (G == 1 && S == 1) {
        for (; k + CHAINS <= n; k += CHAINS, w += CHAINS * NB * V) {
            UNROLL for (int u = 0; u < CHAINS; u++) {
                vf x = splat(((const float *)in)[k + u]);
                UNROLL for (int v = 0; v < N; v++) acc[u * N + v] += loadf(w + (u * NB + v) * V) * x;
            }
        }
    }
    for (; k < n; k++, w += G * NB * V) {
        vf x[6];
        UNROLL for (int s = 0; s < S; s++) x[s] = splat(((const float *)(in + (size_t)s * stride))[k]);
        UNROLL for (int g = 0; g < G; g++) {
            UNROLL for (int v = 0; v < N; v++) {
                vf weight = loadf(w + (g * NB + v) * V);
                const int sum = kind == GRU && hidden && g == 2 ? 3 : g;
                UNROLL for (int s = 0; s < S; s++) acc[(s * A + sum) * N + v] += weight * x[s];
            }
        }
    }
    return w;
}

/* N of a block's NB vectors, from lane `unit` of each array on. */
INLINE void block(const int kind, const int S, const int N, const int NB, const int relu, const float *w, place at,
                  int unit, int inputs, int units) {
    const int A = SUMS(kind);
    vf acc[6 * 4 * 2] = {0};
    UNROLL for (int s = 0; s < S; s++)
        UNROLL for (int a = 0; a < A; a++)
            UNROLL for (int v = 0; v < N; v++) acc[(s * A + a) * N + v] = loadf(w + (a * NB + v) * V);
    w += A * NB * V;
    w = rows(acc, kind, 0, S, N, NB, w, at.x, at.stride, inputs);
    if (kind != DENSE) rows(acc, kind, 1, S, N, NB, w, at.h, at.stride, units);
    if (A == 1 && S == 1)
        UNROLL for (int v = 0; v < N; v++) acc[v] = (acc[v] + acc[N + v]) + (acc[2 * N + v] + acc[3 * N + v]);
    UNROLL for (int s = 0; s < S; s++) {
        UNROLL for (int v = 0; v < N; v++) {
            const vf *gate = acc + s * A * N + v;
            const size_t place_ = (size_t)s * at.stride + 4 * (size_t)(unit + v * V);
            vf h;
            if (kind == GRU) {
                vf r = tanh_(gate[0]), z = 0.5f + 0.5f * tanh_(gate[N]), half = gate[3 * N];
                vf n = tanh_((gate[2 * N] + half) + half * r);
                h = n + z * (loadf(at.h + place_) - n);
            } else if (kind == LSTM) {
                vf i = 0.5f + 0.5f * tanh_(gate[0]), f = 0.5f + 0.5f * tanh_(gate[N]);
                vf c = f * loadf(at.c + place_) + i * tanh_(gate[2 * N]);
                storef(at.cell + place_, c);
                h = (0.5f + 0.5f * tanh_(gate[3 * N])) * tanh_(c);
            } else {
                h = relu ? maxf(gate[0], (vf){0}) : kind == RNN ? tanh_(gate[0]) : gate[0];
            }
            storef(at.out + place_, h);
        }
    }
}

#define BLOCK(name, kind, S, N, NB, relu)                                                                           \
    static __attribute__((noinline)) void name(const float *w, const place *at, int unit, int inputs, int units) {  \
        block(kind, S, N, NB, relu, w, *at, unit, inputs, units);                                                   \
    }
#define BLOCKS(name, kind, S, relu)          \
    BLOCK(name##_1_2, kind, 1, 2, 2, relu)   \
    BLOCK(name##_1_1, kind, 1, 1, 1, relu)   \
    BLOCK(name##_s_2, kind, S, 1, 2, relu)   \
    BLOCK(name##_s_1, kind, S, 1, 1, relu)   \
    static const block_fn name[4] = {name##_1_2, name##_1_1, name##_s_2, name##_s_1};

#if V == 16 || defined(__aarch64__)
#define TILE 6 /* streams that share a weight: 24 sums of 32 registers */
#else
#define TILE 3
#endif

typedef void (*block_fn)(const float *w, const place *at, int unit, int inputs, int units);
BLOCKS(dense_blocks, DENSE, TILE, 0)
BLOCKS(dense_relu_blocks, DENSE, TILE, 1)
BLOCKS(rnn_blocks, RNN, TILE, 0)
BLOCKS(rnn_relu_blocks, RNN, TILE, 1)
BLOCKS(gru_blocks, GRU, TILE, 0)
BLOCKS(lstm_blocks, LSTM, TILE, 0)

static const block_fn *blocks_of(const ernn_packed_layer *layer) {
    switch (layer->kind) {
        case ERNN_GRU: return gru_blocks;
        case ERNN_LSTM: return lstm_blocks;
        case ERNN_RNN: return layer->activation == ERNN_RELU ? rnn_relu_blocks : rnn_blocks;
        default: return layer->activation == ERNN_RELU ? dense_relu_blocks : dense_blocks;
    }
}

/* One layer of S = 1 or TILE streams; x is where its input lies. */
static void float_layer(const ernn_packed *model, const ernn_packed_layer *layer, uint8_t *streams, size_t x,
                        const int tile) {
    const block_fn *run = blocks_of(layer);
    const int padded = (int)layer->padded, units = layer->units, inputs = layer->inputs;
    const int G = GATES(layer->kind), A = SUMS(layer->kind);
    const int direct = layer->kind == ERNN_DENSE || padded <= (tile ? V : 2 * V); /* all of h is read before h' */
    const size_t rows_ = (size_t)A + (size_t)G * (size_t)(inputs + (layer->kind == ERNN_DENSE ? 0 : units));
    uint8_t *h = streams + layer->h, *c = streams + layer->c, *out = direct ? h : streams + model->fresh;
    const place at = {streams + x, h, c, out, c, model->scratch_bytes};
    const float *w = (const float *)((const uint8_t *)model + layer->weights);
    for (int unit = 0; unit < padded;) {
        const int whole = padded - unit >= 2 * V;
        if (!tile) {
            run[whole ? 0 : 1](w, &at, unit, inputs, units);
        } else {
            run[whole ? 2 : 3](w, &at, unit, inputs, units);
            if (whole) run[2](w + V, &at, unit + V, inputs, units);
        }
        w += rows_ * (size_t)(whole ? 2 * V : V);
        unit += whole ? 2 * V : V;
    }
    if (direct) return;
    for (int s = 0; s < (tile ? TILE : 1); s++, h += model->scratch_bytes, out += model->scratch_bytes)
        for (int j = 0; j < padded; j += V) storef(h + 4 * j, loadf(out + 4 * j));
}

/* x - mean into the stream's scratch; the division by std is in the weights. */
INLINE int take_float(const ernn_packed *model, uint8_t *stream, const float *x) {
    const float *mean = (const float *)((const uint8_t *)model + model->edge);
    int bad = 0;
    for (int j = 0; j < model->inputs; j += V) {
        vf v = headf(x + j, model->inputs - j);
        bad |= any_nonfinite(v);
        storef(stream + model->x + 4 * j, v - loadf(mean + j));
    }
    return bad;
}

INLINE void give_float(const ernn_packed *model, const uint8_t *stream, float *y) {
    const uint8_t *logits = stream + model->layer[model->layers - 1].h;
    for (int j = 0; j < model->outputs; j += V) put(y + j, loadf(logits + 4 * j), model->outputs - j);
}

static void float_layers(const ernn_packed *model, uint8_t *streams, const int tile) {
    size_t x = model->x;
    for (int l = 0; l < model->layers; l++) {
        float_layer(model, &model->layer[l], streams, x, tile);
        x = model->layer[l].h;
    }
}

/* The caller's state into a stream's scratch, whole vectors with zeros behind the true width; and back. */
INLINE void copy_in(uint8_t *to, const uint8_t *from, int units) {
    for (int j = 0; j < units; j += V) storef(to + 4 * j, headf((const float *)from + j, units - j));
}

INLINE void copy_out(uint8_t *to, const uint8_t *from, int units) {
    for (int j = 0; j < units; j += V) put((float *)to + j, loadf(from + 4 * j), units - j);
}

INLINE void float_carry(const ernn_packed *model, uint8_t *stream, uint8_t *const *states, size_t s, const int out) {
    for (int l = 0; l < model->layers; l++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const size_t at = 4 * s * layer->units;
        for (int c = 0; layer->kind != ERNN_DENSE && c < (layer->kind == ERNN_LSTM ? 2 : 1); c++, states++) {
            uint8_t *mine = stream + (c ? layer->c : layer->h);
            if (out)
                copy_out(*states + at, mine, layer->units);
            else
                copy_in(mine, *states + at, layer->units);
        }
    }
}

static ernn_status float_run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s,
                             size_t steps, const float *x, float *y) {
    float_carry(model, scratch, states, s, 0);
    for (size_t t = 0; t < steps; t++, x += model->inputs, y += model->outputs) {
        if (take_float(model, scratch, x)) return ERNN_NOT_FINITE;
        float_layers(model, scratch, 0);
        give_float(model, scratch, y);
    }
    float_carry(model, scratch, states, s, 1);
    return ERNN_OK;
}

static void float_group(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                        float *y) {
    const size_t I = model->inputs, C = model->outputs, stride = model->scratch_bytes;
    size_t s = 0;
    for (; s + TILE <= n; s += TILE, x += TILE * I, y += TILE * C) {
        for (size_t t = 0; t < TILE; t++) {
            float_carry(model, scratch + t * stride, states, s + t, 0);
            take_float(model, scratch + t * stride, x + t * I);
        }
        float_layers(model, scratch, 1);
        for (size_t t = 0; t < TILE; t++) {
            give_float(model, scratch + t * stride, y + t * C);
            float_carry(model, scratch + t * stride, states, s + t, 1);
        }
    }
    for (; s < n; s++, x += I, y += C) float_run(model, scratch, states, s, 1, x, y);
}
