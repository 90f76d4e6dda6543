/* The exact int8 layers for one instruction set: the integers of docs/numeric.md, lane by lane. What a layer is told is
 * its place; nothing here knows of the caller's states.
 */
#include "int8_woven.h"

/* p[j] += rq(W_hh h) for the packed gates from..to; a GRU's n gets its hidden part in `apart`. */
INLINE const weight_t *add_hidden(vi *p, vi *apart, const int kind, const int from, const int to, const int N,
                                  const weight_t *w, const int8_place *at) {
    const row_constants *row = at->constants + from * N;
    const int GN = (to - from) * N;
    vi ah[4 * BLOCK];
    UNROLL for (int j = 0; j < GN; j++) ah[j] = PLANES ? row[j].correction_hh : (vi){0};
    w = dot(ah, GN, w, at->h, at->h_plane, at->h_groups);
    UNROLL for (int j = 0; j < GN; j++) {
        const vi hidden = requant(ah[j], row[j].m_hh, at->k_hh, at->shift_hh);
        if (kind == GRU && from + j / N == 2)
            apart[j % N] = hidden;
        else
            p[from * N + j] += hidden;
    }
    return w;
}

INLINE void int8_block(const int kind, const int N, const int relu, const int head, const int8_place *at) {
    const int G = GATES(kind), GN = G * N, F = FIRST(kind);
    const row_constants *row = at->constants;
    vi p[4 * BLOCK], apart[BLOCK], h[BLOCK];
    UNROLL for (int j = 0; j < GN; j++) p[j] = PLANES ? row[j].correction_ih : (vi){0};
    const weight_t *w = dot(p, GN, at->w, at->x, at->x_plane, at->x_groups);
    UNROLL for (int j = 0; j < GN; j++) p[j] = requant(p[j], row[j].m_ih, at->k_ih, at->shift_ih) + row[j].b;
    if (kind != DENSE) w = add_hidden(p, apart, kind, 0, F, N, w, at);
    if (kind == DENSE && head) {
        UNROLL for (int v = 0; v < N; v++) storei(at->state + 4 * v * V, p[v]);
        return;
    }
    if (kind == DENSE) {
        UNROLL for (int v = 0; v < N; v++) {
            if (relu) p[v] = maxi(p[v], (vi){0});
            h[v] = sat16(round_shift(p[v], at->shift));
        }
    }
    if (kind == RNN) {
        if (!relu) lut(at->table, p, N, 0, N);
        UNROLL for (int v = 0; v < N; v++)
            h[v] = relu ? sat16(round_shift(maxi(p[v], (vi){0}), at->shift)) : sat16((p[v] + 128) >> 8);
    }
    if (kind == GRU) {
        const vi *bn = (const vi *)(row + GN);
        vi zn[2 * BLOCK];
        if (F < G) {
            lut(at->table, p, N, 0, 0); /* r, in the shadow of z's and n's products */
            add_hidden(p, apart, kind, F, G, N, w, at);
        } else {
            lut(at->table, p, 2 * N, 0, 0);
        }
        UNROLL for (int v = 0; v < N; v++) {
            zn[v] = p[N + v];
            zn[N + v] = p[2 * N + v] + mulr24(apart[v] + bn[v], p[v] + ONE);
        }
        if (F < G)
            lut(at->table, zn, 2 * N, N, 2 * N);
        else
            lut(at->table, zn + N, N, 0, N);
        gru_state(h, at->state, zn, zn + N, N);
    }
    if (kind == LSTM) { /* i, g, f, o */
        vi to[2 * BLOCK]; /* tanh(c), o */
        lut(at->table, p, F * N, N, 2 * N);
        if (F < G) add_hidden(p, apart, kind, F, G, N, w, at); /* o, in the shadow of what c waits for */
        UNROLL for (int v = 0; v < N; v++) {
            wide old = mul(loadi(at->state + 4 * v * V), p[2 * N + v] + ONE), fresh = mul(p[v] + ONE, p[N + v]);
            wide sum = {(old.a << 3) + fresh.a, (old.b << 3) + fresh.b};
            sum = add_wide(sum, 1 << 26);
            vi high = narrow32(sum), c = narrow(sum, 27), sign = high >> 31;
            c = select_((high >> 26) == sign, c, sign ^ 0x7fffffff);
            storei(at->state + 4 * v * V, c);
            to[v] = (c >> 4) + ((c >> 3) & 1);
        }
        UNROLL for (int v = 0; v < N; v++) to[N + v] = p[3 * N + v];
        lut(at->table, to, F < G ? 2 * N : N, 0, N);
        UNROLL for (int v = 0; v < N; v++)
            h[v] = mini(narrow32(add_wide(mul(to[N + v] + ONE, to[v]), (int64_t)1 << 31)), splati(32767));
    }
    store_h(at->out, at->h_plane, h, N);
}

INLINE void next_block(int8_place *at, size_t weights, const int kind, const int N) {
    at->w += (size_t)N * weights;
    at->constants = (const row_constants *)((const uint8_t *)at->constants + CONSTANT_BYTES(kind, N));
    at->out += N * V * (PLANES ? 1 : 2), at->state += 4 * N * V;
}

/* All blocks of a layer; h' goes over h only after all of h was read. */
INLINE void int8_layer(const int kind, const int relu, const int head, const int8_place *layer) {
    int8_place at = *layer;
    const size_t weights = (size_t)(at.x_groups + at.h_groups) * (size_t)GATES(kind) * V * KP;
    int left = at.padded;
    for (; BLOCK_MOST(kind) == 4 && left >= 4 * V; left -= 4 * V) {
        if (BY_GATE(kind, BLOCK))
            gru_alone(&at);
        else
            int8_block(kind, BLOCK, relu, head, &at);
        next_block(&at, weights, kind, BLOCK);
    }
    for (; left >= 2 * V; left -= 2 * V) {
        int8_block(kind, 2, relu, head, &at);
        next_block(&at, weights, kind, 2);
    }
    if (left) int8_block(kind, 1, relu, head, &at);
    if (kind != DENSE && layer->out != layer->h) {
        const size_t bytes = ACTIVATION_BYTES(at.padded);
        for (size_t j = 0; j < bytes; j += 2 * V) memcpy(layer->h + j, layer->out + j, 2 * V);
    }
}

typedef void (*int8_fn)(const int8_place *layer);
#define INT8_LAYER(name, kind, relu, head) \
    static void name(const int8_place *layer) { int8_layer(kind, relu, head, layer); }
INT8_LAYER(head_int8, DENSE, 0, 1)
INT8_LAYER(dense_int8, DENSE, 0, 0)
INT8_LAYER(dense_relu_int8, DENSE, 1, 0)
INT8_LAYER(rnn_int8, RNN, 0, 0)
INT8_LAYER(rnn_relu_int8, RNN, 1, 0)
INT8_LAYER(gru_int8, GRU, 0, 0)
INT8_LAYER(lstm_int8, LSTM, 0, 0)
static void woven_int8(const int8_place *layer) { gru_woven(layer); }

static int8_fn int8_layer_of(int kind, int relu, int head) {
    switch (kind) {
        case ERNN_GRU: return gru_int8;
        case ERNN_LSTM: return lstm_int8;
        case ERNN_RNN: return relu ? rnn_relu_int8 : rnn_int8;
        default: return head ? head_int8 : relu ? dense_relu_int8 : dense_int8;
    }
}
