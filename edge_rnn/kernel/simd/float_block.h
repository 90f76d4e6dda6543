/* One block of a float32 layer's units for one instruction set: all gates' sums accumulate in registers, the activations
 * follow in registers, one sequential stream of weights feeds it all. S streams (or steps, where only inputs are summed)
 * may share each weight.
 *
 * A block is NB vectors of units: biases first, then for each input, then for each h, the weights of the gates. The order
 * of additions in a sum is the same for whoever asks, so that steps one by one and a whole sequence give the same bits.
 *
 * A far layer's W_hh outgrows the nearest cache: its steps turn back where the last one ended, to find there what is near
 * still. So its blocks are one vector wide, and its products of h are two halves that may be read in either order.
 */
#include "real.h"

enum { DENSE = ERNN_DENSE, RNN = ERNN_RNN, GRU = ERNN_GRU, LSTM = ERNN_LSTM };

/* The streams of a step: the addresses are stream 0's, the others follow by the strides (bytes). */
typedef struct {
    const uint8_t *x, *h;
    uint8_t *c, *out; /* out is h, or a scratch from which h is copied at the layer's end */
    size_t x_stride, h_stride, out_stride; /* c has h's */
    int backwards; /* whether weights are taken from the last block on: no bit depends on it */
} place;

#if V == 16 || defined(__aarch64__)
#define TILE 6 /* streams that share a weight: 24 sums of 32 registers */
#else
#define TILE 3
#endif

#define GATES(kind) ((kind) == GRU ? 3 : (kind) == LSTM ? 4 : 1)
#define SUMS(kind) ((kind) == GRU || (kind) == LSTM ? 4 : 1) /* GRU keeps n's two halves apart */

/* A lone gate sums in chains, or it would wait for each addition: an RNN's inputs always in 4, what S = 1 ends with in 8. */
#define INPUT_CHAINS(kind, S, N) ((kind) == RNN ? 4 : (kind) == DENSE ? HIDDEN_CHAINS(kind, S, N) : 1)
#define HIDDEN_CHAINS(kind, S, N) (GATES(kind) > 1 || (S) > 1 ? 1 : (N) == 1 ? 8 : 4)

/* One column of inputs x, one of each stream: acc[(s * SUMS + gate) * N + v] += w * x[s]; a GRU's hidden n has its own sum. */
INLINE void column(vf *acc, const int kind, const int hidden, const int S, const int N, const int NB, const float *w,
                   const vf *x) {
    const int A = SUMS(kind), G = GATES(kind);
    UNROLL for (int g = 0; g < G; g++) {
        UNROLL for (int v = 0; v < N; v++) {
            const vf weight = loadf(w + (g * NB + v) * V);
            const int sum = kind == GRU && hidden && g == 2 ? 3 : g;
            UNROLL for (int s = 0; s < S; s++) acc[(s * A + sum) * N + v] += weight * x[s];
        }
    }
}

INLINE void spread(vf *x, const int S, const uint8_t *in, size_t stride) {
    UNROLL for (int s = 0; s < S; s++) x[s] = splat(*(const float *)(in + (size_t)s * stride));
}

/* Four columns of one stream, a block of one vector. Gives where the next weights lie. */
INLINE const float *four(vf *acc, const int kind, const int hidden, const float *w, const uint8_t *in) {
    vf x[4];
    spread4(x, (const float *)in);
    UNROLL for (int k = 0; k < 4; k++, w += GATES(kind) * V) column(acc, kind, hidden, 1, 1, 1, w, x + k);
    return w;
}

/* n of them, a multiple of four. */
INLINE void whole_fours(vf *acc, const int kind, const int hidden, const float *w, const uint8_t *in, int n) {
    for (const uint8_t *end = in + 4 * (size_t)n; in < end; in += 16) w = four(acc, kind, hidden, w, in);
}

/* n columns: column k in chain k % C, the rest of n / C straight in acc. */
INLINE void columns(vf *acc, const int kind, const int hidden, const int C, const int S, const int N, const int NB,
                    const float *w, const uint8_t *in, size_t stride, int n) {
    const int G = GATES(kind), one = S * N, all = C * one, at_once = S > 1 ? C : C > 4 ? C : 4;
    const uint8_t *end = in + 4 * (size_t)n;
    vf x[TILE > 4 ? TILE : 4], chain[4 * TILE > 8 ? 4 * TILE : 8];
    if (C > 1)
        UNROLL for (int j = 0; j < all; j++) chain[j] = (vf){0};
    if (at_once > 1)
        for (; in + 4 * at_once <= end; in += 4 * at_once) {
            UNROLL for (int k = 0; k < at_once; k++, w += G * NB * V) {
                if (S > 1)
                    spread(x, S, in + 4 * k, stride);
                else if (k % 4 == 0)
                    spread4(x, (const float *)in + k);
                column(C > 1 ? chain + k % C * one : acc, C > 1 ? DENSE : kind, hidden, S, N, NB, w, S > 1 ? x : x + k % 4);
            }
        }
    for (; in < end; in += 4, w += G * NB * V) {
        spread(x, S, in, stride);
        column(acc, kind, hidden, S, N, NB, w, x);
    }
    if (C > 1) {
        if (C == 8)
            UNROLL for (int j = 0; j < 4 * one; j++) chain[j] += chain[4 * one + j];
        UNROLL for (int j = 0; j < 2 * one; j++) chain[j] += chain[2 * one + j];
        UNROLL for (int j = 0; j < one; j++) acc[j] += chain[j] + chain[one + j];
    }
}

/* 2 half columns of a block of one vector, added as two sums, half a multiple of 4. a + b is b + a, so the later half may
 * go first; narrow vectors, which would wait for each addition, take both side by side.
 */
INLINE void halves(vf *acc, const int kind, const int hidden, const int S, const float *w, const uint8_t *in, size_t stride,
                   int half, int backwards) {
    const int G = GATES(kind), all = SUMS(kind) * S;
    const float *v = w + (size_t)half * G * V;
    const uint8_t *behind = in + 4 * (size_t)half;
    vf a[TILE * 4], b[TILE * 4];
    UNROLL for (int j = 0; j < all; j++) a[j] = b[j] = (vf){0};
    if (S > 1) {
        columns(a, kind, hidden, 1, S, 1, 1, w, in, stride, half);
        columns(b, kind, hidden, 1, S, 1, 1, v, behind, stride, half);
    } else if (V == 16) {
        whole_fours(a, kind, hidden, backwards ? v : w, backwards ? behind : in, half);
        whole_fours(b, kind, hidden, backwards ? w : v, backwards ? in : behind, half);
    } else {
        for (int k = 0; k < half; k += 4, in += 16, behind += 16) {
            w = four(a, kind, hidden, w, in);
            v = four(b, kind, hidden, v, behind);
        }
    }
    UNROLL for (int j = 0; j < all; j++) acc[j] += a[j] + b[j];
}

/* Biases and products of the inputs: N of a block's NB vectors. */
INLINE void input_sums(vf *acc, const int kind, const int far, const int S, const int N, const int NB, const float *w,
                       const uint8_t *x, size_t stride, int inputs) {
    const int A = SUMS(kind);
    UNROLL for (int s = 0; s < S; s++)
        UNROLL for (int a = 0; a < A; a++)
            UNROLL for (int v = 0; v < N; v++) acc[(s * A + a) * N + v] = loadf(w + (a * NB + v) * V);
    w += A * NB * V;
    if (far && V < 16) {
        const int half = inputs / 8 * 4;
        halves(acc, kind, 0, S, w, x, stride, half, 0);
        w += (size_t)GATES(kind) * 2 * half * V, x += 8 * half, inputs -= 2 * half;
    }
    columns(acc, kind, 0, INPUT_CHAINS(kind, S, N), S, N, NB, w, x, stride, inputs);
}

/* Products of h, added. Many streams share each weight: they need no halves, and a register for every sum. */
INLINE void hidden_sums(vf *acc, const int kind, const int far, const int S, const int N, const int NB, const float *w,
                        const place *at, int inputs, int columns_of_h) {
    w += (SUMS(kind) + (size_t)GATES(kind) * inputs) * NB * V;
    if (far && S == 1)
        halves(acc, kind, 1, 1, w, at->h, 0, columns_of_h / 2, at->backwards);
    else
        columns(acc, kind, 1, HIDDEN_CHAINS(kind, S, N), S, N, NB, w, at->h, at->h_stride, columns_of_h);
}

/* From the sums to h', from lane `unit` of each array on. */
INLINE void activate(const vf *acc, const int kind, const int S, const int N, const int relu, const place *at, int unit) {
    UNROLL for (int s = 0; s < S; s++) {
        UNROLL for (int v = 0; v < N; v++) {
            const vf *gate = acc + s * SUMS(kind) * N + v;
            const size_t lane = 4 * (size_t)(unit + v * V), mine = (size_t)s * at->h_stride + lane;
            vf h;
            if (kind == GRU) {
                const vf r = sigmoid_(gate[0]), keep = gate_over(gate[N]), old = loadf(at->h + mine);
                const vf over = gate_over(gate[2 * N] + gate[3 * N] * r);
                h = old + ((over - 2.0f) - old * over) / (keep * over); /* old + (1 - z) (n - old) */
            } else if (kind == LSTM) {
                const vf lost = sigmoid_(gate[N]), over = gate_over(gate[2 * N]), old = loadf(at->c + mine); /* 1 - f */
                const vf c = (old - lost * old) + (over - 2.0f) / (gate_over(gate[0]) * over);              /* + i g */
                const vf over_c = gate_over(c * (float)TANH_FOLD);
                storef(at->c + mine, c);
                h = (over_c - 2.0f) / (gate_over(gate[3 * N]) * over_c); /* o tanh(c) */
            } else {
                h = relu ? maxf(gate[0], (vf){0}) : kind == RNN ? tanh_(gate[0]) : gate[0];
            }
            storef(at->out + (size_t)s * at->out_stride + lane, h);
        }
    }
}

/* A block of S streams: N of its NB vectors. */
INLINE void block(const int kind, const int far, const int S, const int N, const int NB, const int relu, const float *w,
                  const place *at, int unit, int inputs, int units) {
    vf acc[TILE * 4 * 2];
    input_sums(acc, kind, far && S == 1, S, N, NB, w, at->x, at->x_stride, inputs);
    if (kind != DENSE) hidden_sums(acc, kind, far, S, N, NB, w, at, inputs, units);
    activate(acc, kind, S, N, relu, at, unit);
}

/* Floats of a layer's weights for one unit. */
#define ROW(kind, inputs, units) (SUMS(kind) + (size_t)GATES(kind) * ((size_t)(inputs) + ((kind) == DENSE ? 0 : (units))))
