/* The exact int8 layers for one instruction set: the integers of docs/numeric.md, lane by lane.
 *
 * PLANES (VNNI): h is two planes of bytes, low (unsigned) and high + 128; each meets the same int8 weights in one
 * vpdpbusd: sum w h = (sum w high' << 8) + sum w low - 32768 sum w. Otherwise weights are widened to int16 at load
 * and pairs of columns meet in a multiply-add of int16 pairs.
 * A block's weights are [k / KP][gate][vector][V rows][KP columns], first for the input, then for h (in two
 * phases where vectors are wide, so that the first gates' activations run in the shadow of the others' products).
 * LSTM's gates are kept in the order i, g, f, o. Its constants
 * are, for each gate and vector, the fields of `row_constants`.
 */
#include "vec.h"

/* Vectors of a block at most: with 32 registers four, so that fewer chains of activations are waited for; LSTM's four
 * gates leave room for two.
 */
#define BLOCK (V == 16 ? 4 : 2)
#define BLOCK_MOST(kind) ((kind) == LSTM ? 2 : BLOCK)
#define BLOCK_OF(kind, left) ((left) >= BLOCK_MOST(kind) * V ? BLOCK_MOST(kind) : (left) >= 2 * V ? 2 : 1)
/* Gates of the first phase: GRU's r, LSTM's i, g and f. */
#define FIRST(kind) (V == 16 && (kind) == GRU ? 1 : V == 16 && (kind) == LSTM ? 3 : GATES(kind))
/* The bundle's gate behind the packed one. */
#define GATE(kind, packed) ((kind) == LSTM && ((packed) == 1 || (packed) == 2) ? 3 - (packed) : (packed))

typedef struct {
    vi correction_ih, m_ih; /* -32768 sum w (PLANES); the multiplier */
    vi correction_hh, m_hh;
    vi b;
} row_constants;

/* Where one layer reads and writes, and its numbers; a block's when it is passed to int8_block. */
typedef struct {
    const weight_t *w;
    const row_constants *constants; /* GATES * N a block, then GRU: N vectors of b_hn */
    const uint8_t *x;               /* activations; the high plane follows by the distances below */
    uint8_t *h, *out, *state;       /* h, h' (planes or int16), s or c or logits */
    size_t x_plane, h_plane;
    int x_groups, h_groups; /* groups of KP columns */
    int k_ih, k_hh, shift_ih, shift_hh, shift, padded;
    const uint8_t *table; /* of knots: see fill_table */
    /* The caller's array that h follows from (GRU: s, else h itself), and what it was after the last bound step. */
    uint8_t *theirs, *kept;
    size_t theirs_bytes;
} int8_place;

/* tanh's knots i = 0..255 with their rises T[i+1] - T[i]: pairs of int32, or six tables of 256 bytes (VBMI). */
#define TABLE_BYTES (PLANES ? 6 * 256 : 8 * 256)

INLINE void fill_table(uint8_t *table) {
    for (int i = 0; i < 256; i++) {
        const int32_t pair[2] = {ernn_tanh_table[i], ernn_tanh_table[i + 1] - ernn_tanh_table[i]};
        for (int b = 0; b < 6 && PLANES; b++) table[256 * b + i] = (uint8_t)(pair[b / 3] >> 8 * (b % 3));
        if (!PLANES) memcpy(table + 8 * i, pair, 8);
    }
}

#if PLANES

INLINE const weight_t *dot(vi *acc, const int GN, const weight_t *w, const uint8_t *in, size_t plane, int groups) {
    vi high[4 * BLOCK];
    UNROLL for (int j = 0; j < GN; j++) high[j] = (vi){0};
    for (int k = 0; k < groups; k++, w += GN * V * KP, in += KP) {
        int32_t low4, high4;
        memcpy(&low4, in, 4);
        memcpy(&high4, in + plane, 4);
        const __m512i l = _mm512_set1_epi32(low4), h = _mm512_set1_epi32(high4);
        UNROLL for (int j = 0; j < GN; j++) {
            const __m512i weight = _mm512_loadu_si512(w + j * V * KP);
            acc[j] = (vi)_mm512_dpbusd_epi32((__m512i)acc[j], l, weight);
            high[j] = (vi)_mm512_dpbusd_epi32((__m512i)high[j], h, weight);
        }
    }
    UNROLL for (int j = 0; j < GN; j++) acc[j] += high[j] << 8;
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

INLINE const weight_t *dot(vi *acc, const int GN, const weight_t *w, const uint8_t *in, size_t plane, int groups) {
    (void)plane;
    for (int k = 0; k < groups; k++, w += GN * V * KP, in += 4) {
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

INLINE vi sat16(vi v) { return maxi(mini(v, splati(32767)), splati(-32768)); }

INLINE vi round_shift(vi v, int shift) { return shift_right(v + splati((int32_t)(1u << (shift - 1))), shift); }

INLINE vi requant(vi acc, vi m, int k, int shift) {
    if (__builtin_expect(k, 0)) acc = shift_left(acc, k);
    return round_shift(narrow32(mul(acc, m)), shift);
}

INLINE vi mulr24(vi a, vi q) { return narrow(add_wide(mul(a, q), 1 << 23), 24); }

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

/* p[j] <- tanh(p[j] * 2^-16) in Q23 for j in [first_tanh, last_tanh), tanh(p[j] * 2^-17), which sigmoid wants, for the others */
INLINE void lut(const uint8_t *table, vi *p, const int n, const int first_tanh, const int last_tanh) {
    vi index[4 * BLOCK], part[4 * BLOCK], knot[4 * BLOCK], rise[4 * BLOCK];
    UNROLL for (int j = 0; j < n; j++) {
        const int shift = j >= first_tanh && j < last_tanh ? 11 : 12;
        vi a = mini(absi(p[j]), splati((256 << shift) - 1));
        index[j] = a >> shift;
        part[j] = a & ((1 << shift) - 1);
    }
    knots(table, index, knot, rise, n);
    UNROLL for (int j = 0; j < n; j++) {
        const int shift = j >= first_tanh && j < last_tanh ? 11 : 12;
        vi sign = p[j] >> 31;
        vi v = knot[j] + ((rise[j] * part[j] + (1 << (shift - 1))) >> shift);
        p[j] = (v ^ sign) - sign;
    }
}

enum { ONE = 1 << 23 }; /* sigma(p) = 2^23 + f(p, 12) */

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
        UNROLL for (int v = 0; v < N; v++) {
            vi n28 = zn[N + v] << 5, s = loadi(at->state + 4 * v * V);
            s = n28 + mulr24(s - n28, zn[v] + ONE);
            storei(at->state + 4 * v * V, s);
            h[v] = sat16((s + 4096) >> 13);
        }
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

/* Bytes of `padded` activations, and from the low to the high plane. */
#define ACTIVATION_BYTES(padded) (2 * (size_t)(padded))
#define PLANE(padded) (PLANES ? (size_t)(padded) : 0)
#define CONSTANT_BYTES(kind, N) ((size_t)(GATES(kind) * (N)) * sizeof(row_constants) + ((kind) == GRU ? (N) : 0) * sizeof(vi))

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

static int8_fn int8_layer_of(int kind, int relu, int head) {
    switch (kind) {
        case ERNN_GRU: return gru_int8;
        case ERNN_LSTM: return lstm_int8;
        case ERNN_RNN: return relu ? rnn_relu_int8 : rnn_int8;
        default: return head ? head_int8 : relu ? dense_relu_int8 : dense_int8;
    }
}

INLINE void int8_layers(const ernn_packed *model, const int8_place *at) {
    const ernn_packed_layer *layer = model->layer, *end = layer + model->layers;
    for (; layer < end; layer++, at++) ((int8_fn)layer->run[0])(at);
}

/* x_q = sat16(rint(x / sx)): a true division, rounded half to even. */
INLINE int take_int8(const ernn_packed *model, uint8_t *stream, const float *x) {
    const float *sx = (const float *)((const uint8_t *)model + model->edge);
    const size_t plane = PLANE((model->inputs + V - 1) / V * V);
    int bad = 0;
    for (int j = 0; j < model->inputs; j += V) {
        vf v = headf(x + j, model->inputs - j);
        bad |= any_beyond(v, splat(model->reach));
        vi q = roundi(maxf(minf(v / loadf(sx + j), splat(32767.0f)), splat(-32768.0f)));
        store_h(stream + model->x + (PLANES ? 1 : 2) * j, plane, &q, 1);
    }
    return bad;
}

INLINE void take_int16(const ernn_packed *model, uint8_t *stream, const int16_t *xq) {
    const size_t plane = PLANE((model->inputs + V - 1) / V * V);
    for (int j = 0; j < model->inputs; j += V) {
        const vi q = widen(xq + j, model->inputs - j);
        store_h(stream + model->x + (PLANES ? 1 : 2) * j, plane, &q, 1);
    }
}

INLINE void give_int8(const ernn_packed *model, const uint8_t *stream, float *y) {
    const uint8_t *logits = stream + model->layer[model->layers - 1].h;
    for (int j = 0; j < model->outputs; j += V)
        put(y + j, tofloat(loadi(logits + 4 * j)) * splat(1.0f / 65536), model->outputs - j);
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

/* Where every layer reads and writes: h in the scratch, c or s too unless whole vectors fit the caller's. */
INLINE void int8_places(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, int8_place *at) {
    const uint8_t *x = scratch + model->x, *base = (const uint8_t *)model;
    size_t x_plane = PLANE((model->inputs + V - 1) / V * V);
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const int units = layer->units, padded = (int)layer->padded;
        uint8_t *h = scratch + layer->h;
        *at = (int8_place){
            .w = (const weight_t *)(base + layer->weights), .constants = (const row_constants *)(base + layer->constants),
            .x = x, .h = h, .out = layer->direct[0] ? h : scratch + model->fresh, .state = scratch + layer->c,
            .x_plane = x_plane, .h_plane = PLANE(padded),
            .x_groups = (layer->inputs + KP - 1) / KP, .h_groups = (units + KP - 1) / KP,
            .k_ih = layer->k[0], .k_hh = layer->k[1], .shift_ih = layer->requant[0], .shift_hh = layer->requant[1],
            .shift = layer->shift, .padded = padded, .table = base + model->table,
        };
        x = h, x_plane = PLANE(padded);
        if (layer->kind == ERNN_DENSE) {
            at->h_groups = 0, at->state = h;
            continue;
        }
        at->theirs_bytes = (layer->kind == ERNN_GRU ? 4 : 2) * (size_t)units;
        at->theirs = *states + s * at->theirs_bytes;
        if (layer->kind != ERNN_GRU) states++;
        if (layer->kind == ERNN_RNN) continue;
        if (layer->in_place) at->state = *states + 4 * s * layer->units;
        states++;
    }
}

/* h in this variant's form, from the caller's array that it follows from. */
INLINE void load_h(const ernn_packed_layer *layer, const int8_place *at) {
    if (layer->kind != ERNN_GRU) h_in(at->h, (const int16_t *)at->theirs, layer->units, at->padded);
    for (int j = 0; layer->kind == ERNN_GRU && j < at->padded; j += V) {
        const vi from_s = sat16((loadi(at->state + 4 * j) + 4096) >> 13);
        store_h(at->h + (PLANES ? 1 : 2) * j, PLANE(at->padded), &from_s, 1);
    }
}

INLINE void int8_enter(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, int8_place *at) {
    int8_places(model, scratch, states, s, at);
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        if (layer->kind == ERNN_DENSE) continue;
        if (layer->kind != ERNN_GRU) states++;
        if (layer->kind != ERNN_RNN && !layer->in_place) copy_in(at->state, *states + 4 * s * layer->units, layer->units);
        if (layer->kind != ERNN_RNN) states++;
        load_h(layer, at);
    }
}

INLINE void int8_leave(const ernn_packed *model, uint8_t *const *states, size_t s, const int8_place *at) {
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const int units = layer->units;
        if (layer->kind == ERNN_DENSE) continue;
        if (layer->kind != ERNN_GRU) h_out((int16_t *)*states++ + s * layer->units, at->h, units, (int)layer->padded);
        if (layer->kind == ERNN_RNN) continue;
        if (!layer->in_place) copy_out(*states + 4 * s * layer->units, at->state, units);
        states++;
    }
}

static ernn_status int8_run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                            const float *x, float *y) {
    int8_place at[ERNN_MAX_LAYERS];
    if (steps > 1 && beyond(x, steps * model->inputs, model->reach)) return ERNN_NOT_FINITE;
    if (steps == 1 && take_int8(model, scratch, x)) return ERNN_NOT_FINITE;
    int8_enter(model, scratch, states, s, at);
    for (size_t t = 0; t < steps; t++, x += model->inputs, y += model->outputs) {
        if (steps > 1) take_int8(model, scratch, x);
        int8_layers(model, at);
        give_int8(model, scratch, y);
    }
    int8_leave(model, states, s, at);
    return ERNN_OK;
}

/* What `bind` leaves behind a scratch: the places of all layers, the caller's states, and what h followed from. */
INLINE uint8_t **int8_bound(const ernn_packed *model, uint8_t *scratch, int8_place **at) {
    *at = (int8_place *)(scratch + model->scratch_bytes);
    return (uint8_t **)(*at + model->layers);
}

static void int8_bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    int8_place *at;
    uint8_t **pointers = int8_bound(model, scratch, &at), *kept = (uint8_t *)(pointers + 2 * model->layers);
    memcpy(pointers, states, ernn_state_arrays(model) * sizeof *states);
    int8_places(model, scratch, states, 0, at);
    for (int l = 0; l < model->layers; l++, at++) {
        at->kept = kept;
        for (size_t j = 0; j < at->theirs_bytes; j++) kept[j] = (uint8_t)~at->theirs[j]; /* so that it is loaded */
        kept += at->theirs_bytes;
    }
}

INLINE int differs(const uint8_t *a, const uint8_t *b, size_t bytes) {
    typedef int64_t half __attribute__((vector_size(2 * V), aligned(1), may_alias));
    half sum = {0};
    int64_t any = 0;
    for (size_t j = 0; j < bytes; j += 2 * V) sum |= *(const half *)(a + j) ^ *(const half *)(b + j);
    UNROLL for (int j = 0; j < V / 4; j++) any |= sum[j];
    return any != 0;
}

/* One step on bound states. The planes of h stay here from step to step: to make them anew would be the first link of
 * the chain that a small network waits for. Whole vectors fit, so arrays are multiples of V int16.
 */
static ernn_status int8_step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    const ernn_packed_layer *layer = model->layer;
    int8_place *at;
    uint8_t *const *states = int8_bound(model, scratch, &at);
    if (model->copied) return int8_run(model, scratch, states, 0, 1, x, y);
    if (take_int8(model, scratch, x)) return ERNN_NOT_FINITE;
    for (int l = 0; l < model->layers; l++)
        if (differs(at[l].kept, at[l].theirs, at[l].theirs_bytes)) load_h(&layer[l], &at[l]);
    int8_layers(model, at);
    give_int8(model, scratch, y);
    for (int l = 0; l < model->layers; l++) {
        if (layer[l].kind == ERNN_RNN || layer[l].kind == ERNN_LSTM)
            h_out((int16_t *)at[l].theirs, at[l].h, layer[l].units, at[l].padded);
        for (size_t j = 0; j < at[l].theirs_bytes; j += 2 * V) memcpy(at[l].kept + j, at[l].theirs + j, 2 * V);
    }
    return ERNN_OK;
}

static void int8_run_int(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                         const int16_t *xq, int32_t *y) {
    int8_place at[ERNN_MAX_LAYERS];
    int8_enter(model, scratch, states, s, at);
    for (size_t t = 0; t < steps; t++, xq += model->inputs, y += model->outputs) {
        take_int16(model, scratch, xq);
        int8_layers(model, at);
        memcpy(y, scratch + model->layer[model->layers - 1].h, 4 * (size_t)model->outputs);
    }
    int8_leave(model, states, s, at);
}
