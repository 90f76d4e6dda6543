/* The portable kernel: one step of every kind of layer in float32, and of those that docs/numeric.md knows in its exact
 * int8 arithmetic. Firmware compiles these files as they are; the host measures its SIMD variants against them.
 *
 * Rules of the house: C99, no libc but string.h, no malloc, no globals but const tables. Weights are const and may
 * live in flash; every byte that changes belongs to the caller. Nothing here checks a model: that is done once, by
 * the exporter and by edge_rnn/kernel/simd/check.c, and trusted after.
 */
#ifndef ERNN_H
#define ERNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { ERNN_OK = 0, ERNN_BAD_MODEL = 1, ERNN_NOT_FINITE = 2 } ernn_status;
typedef enum {
    ERNN_DENSE = 0, ERNN_RNN = 1, ERNN_GRU = 2, ERNN_LSTM = 3, ERNN_FASTGRNN = 4, ERNN_WINDOW = 5, ERNN_CONV = 6,
    ERNN_STATISTICS = 7, ERNN_ATTENTION = 8, ERNN_FEEDFORWARD = 9, ERNN_NORM = 10 /* from 8 on: float32 alone */
} ernn_kind;
typedef enum { ERNN_NONE = 0, ERNN_RELU = 1, ERNN_TANH = 2 } ernn_activation;

/* ---- int8 weights, int16 activations, int32 accumulators ("w8a16s32") ---- */

#define ERNN_TILE_ROWS 4
#define ERNN_TILE_COLUMNS 8

/* What the core can: Helium vectors, or SMLAD on pairs of 16 bits; or, on Cortex-M0, no product of 64 bits. */
#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE & 1
#define ERNN_HELIUM 1
#else
#define ERNN_HELIUM 0
#endif
#if defined(__ARM_FEATURE_DSP) && __ARM_ARCH_PROFILE == 'M' && !ERNN_HELIUM
#define ERNN_DSP 1
#else
#define ERNN_DSP 0
#endif
#if defined(__thumb__) && !defined(__thumb2__)
#define ERNN_THUMB1 1
#else
#define ERNN_THUMB1 0
#endif

/* 256 bytes of flash for two instructions a lookup, where words may be loaded from any address. */
#if defined(__ARM_FEATURE_UNALIGNED) && __ARM_ARCH_PROFILE == 'M' && !ERNN_HELIUM
#define ERNN_PACKED_TABLE 1
#else
#define ERNN_PACKED_TABLE 0
#endif

/* Where activation j stands in an array of activations: in its place, but for SMLAD each four go 0 2 1 3. */
#if ERNN_DSP
#define ERNN_LANE(j) (((j) & ~3u) | ((j) & 1u) << 1 | ((j) >> 1 & 1u))
#define ERNN_PRAGMA(text) _Pragma(#text)
#define ERNN_UNROLL_LANES(n) ERNN_PRAGMA(GCC unroll n) /* lanes known to the compiler cost nothing */
#else
#define ERNN_LANE(j) (j)
#define ERNN_UNROLL_LANES(n)
#endif

/* Words are loaded from arrays of bytes and half words. */
#if defined(__GNUC__)
#define ERNN_ALIGNED __attribute__((aligned(4)))
#else
#define ERNN_ALIGNED
#endif
#define ERNN_PAD_ROWS(n) (((n) + 3u) / 4u * 4u)
#define ERNN_PAD_COLUMNS(n) (((n) + 7u) / 8u * 8u)

/* A matrix of gates * units rows. Rows go in groups of four units, and in a group gate by gate, so that a group's
 * gates are neighbours; columns go in groups of eight. A tile of 4 rows x 8 columns is 32 bytes, row by row, and the
 * tiles of a row group follow each other: one pointer reads the whole matrix in order. Missing rows and columns are 0.
 */
typedef struct {
    const int8_t *w;  /* gates * PAD_ROWS(units) * PAD_COLUMNS(columns) */
    const int32_t *m; /* one multiplier a row, in the order of the rows above */
    uint16_t columns; /* PAD_COLUMNS of the true number */
    uint8_t k;        /* left shift of the accumulator */
    uint8_t shift;    /* S + k - 32, 1..30: right shift of the product's high half */
} ernn_int8_matrix;

typedef struct {
    uint8_t kind;       /* ernn_kind */
    uint8_t activation; /* ernn_activation of dense (NONE, RELU) and RNN (TANH, RELU) */
    uint8_t shift;      /* dense below the head, conv and ReLU RNN: Q16 >> shift gives the int16 output; FastGRNN: e */
    uint16_t inputs, units;
    ernn_int8_matrix ih, hh; /* dense and conv have ih alone, statistics its m and shifts */
    const int32_t *b;        /* Q16, in the order of the rows; FastGRNN: b_z; statistics: floor, one a channel */
    const int32_t *bn;       /* GRU: b_hn; FastGRNN: b_h (PAD_ROWS(units)) */
    const int32_t *zeta, *nu; /* FastGRNN: one number each, Q24 */
    uint16_t past, dilation;  /* window, conv: rows of `inputs` in the buffer; statistics: rows that are seen; conv: how
                               * far its taps lie apart */
} ernn_int8_layer;

typedef struct {
    uint16_t inputs, outputs;
    uint8_t layers;
    const float *sx; /* x_q = sat16(rint(x / sx)) */
    const ernn_int8_layer *layer;
    const int16_t *o; /* what is taken away from x_q where the first layer is a window or conv; else NULL */
} ernn_int8_model;

/* One layer, one step. x and h hold PAD_COLUMNS int16 with zeros behind the true width; h_new may not be h.
 * s (GRU, Q28) and c (LSTM, Q20) are updated in place. The head writes int32 Q16 logits.
 */
void ernn_dense_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *out);
void ernn_head_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *y);
void ernn_rnn_int8(const ernn_int8_layer *layer, const int16_t *x, const int16_t *h, int16_t *h_new);
void ernn_gru_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *s, int16_t *h);
void ernn_lstm_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *c, const int16_t *h, int16_t *h_new);
void ernn_fastgrnn_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *s, int16_t *h);
/* buf: past * inputs int16, plain order, no padding. taps: a scratch of ih.columns. out may be x. */
void ernn_window_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *buf, int16_t *out);
void ernn_conv_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *buf, int16_t *taps, int16_t *out);
void ernn_statistics_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *out);
/* floor(sqrt(n)), n < 2^62. */
uint32_t ernn_isqrt(uint64_t n);
/* x = sat16(xq - o), in the order of activations. */
void ernn_take_int8(const int16_t *o, unsigned inputs, const int16_t *xq, int16_t *x);

/* h of a GRU or FastGRNN follows from its s: each step ends with this; needed once more after a state was loaded. */
void ernn_gru_h(const int32_t *s, int16_t *h, unsigned units);

/* A state is three arrays over the layers in order: h (PAD_COLUMNS(units) each; recurrent layers), s (PAD_ROWS(units) each;
 * GRU, LSTM, FastGRNN) and the buffers of window and conv. Zero is the initial state. scratch holds 3 * PAD_COLUMNS(widest
 * layer or input of a matrix) int16.
 */
typedef struct {
    int16_t *h;
    int32_t *s;
    int16_t *buf;
    int16_t *scratch;
} ernn_int8_state;

/* One step of the whole model: xq (inputs) int16 to y (outputs) int32 Q16 logits. */
void ernn_int8_step(const ernn_int8_model *model, ernn_int8_state *state, const int16_t *xq, int32_t *y);

/* Quantize one sample; ERNN_NOT_FINITE (and xq untouched) when it holds NaN or Inf. */
ernn_status ernn_quantize(const float *sx, unsigned inputs, const float *x, int16_t *xq);

/* ---- float32 ---- */

/* Matrices as PyTorch has them: row-major, gate by gate (GRU r, z, n; LSTM i, f, g, o). */
typedef struct {
    uint8_t kind;
    uint8_t activation;
    uint16_t inputs, units;
    const float *w_ih; /* (gates * units, inputs) */
    const float *w_hh; /* (gates * units, units); dense: unused */
    const float *b;    /* (gates * units): b_ih + b_hh, except a GRU's n gate, which has b_in alone */
    const float *bn;   /* GRU: b_hn (units) */
    /* FastGRNN: b is b_z, bn is b_h, and one zeta, one nu. Conv: w_ih (units, taps * inputs). Attention: w_ih, b are those
     * of q, k, v and w_hh, bn those of the output; feed-forward: w_ih, b of the way up, w_hh, bn of the way down.
     */
    const float *zeta, *nu, *norm_w, *norm_b;
    const float *bias;       /* attention: (heads, past) */
    uint16_t past, dilation; /* window, conv, statistics, attention: rows that are kept or seen */
    uint16_t heads, hidden;
} ernn_float_layer;

typedef struct {
    uint16_t inputs, outputs;
    uint8_t layers;
    const float *mean, *std; /* (inputs): the first layer sees (x - mean) / std */
    const ernn_float_layer *layer;
} ernn_float_model;

void ernn_dense_float(const ernn_float_layer *layer, const float *x, float *out);
void ernn_rnn_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new);
void ernn_gru_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new);
void ernn_lstm_float(const ernn_float_layer *layer, const float *x, float *c, const float *h, float *h_new);
void ernn_fastgrnn_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new);
void ernn_window_float(const ernn_float_layer *layer, const float *x, float *buf, float *out);
void ernn_conv_float(const ernn_float_layer *layer, const float *x, float *buf, float *taps, float *out);
void ernn_statistics_float(const ernn_float_layer *layer, const float *x, float *out);
void ernn_norm_float(const ernn_float_layer *layer, const float *x, float *out);
/* scratch: units + hidden. */
void ernn_feedforward_float(const ernn_float_layer *layer, const float *x, float *scratch, float *out);
/* state: keys, values (past * units each), and how many of their rows are real. scratch: 4 * units + past. */
void ernn_attention_float(const ernn_float_layer *layer, const float *x, float *state, float *scratch, float *out);
/* Its middle: q, k, v (3 * units) to what the output's matrix mixes; score: past. */
void ernn_attend_float(const ernn_float_layer *layer, const float *qkv, float *state, float *score, float *mixed);
void ernn_append_float(float *buf, unsigned rows, unsigned width, const float *x);

/* state: the layers' states in the order of a snapshot (edge_rnn/layer.py). scratch: 2 * widest floats, and what a conv
 * (taps * inputs), attention or feed-forward layer asks for.
 */
typedef struct {
    float *state;
    float *scratch;
} ernn_float_state;

void ernn_float_step(const ernn_float_model *model, ernn_float_state *state, const float *x, float *y);

/* ERNN_NOT_FINITE when one of n numbers is NaN or Inf, by their bits: no -ffast-math can fool it. */
ernn_status ernn_check_finite(const float *x, size_t n);

#if ERNN_PACKED_TABLE
extern const uint8_t ernn_tanh_packed[1 + 3 * 257]; /* three bytes a knot, after one that is none's */
#else
extern const int32_t ernn_tanh_table[257];
#endif

/* ---- states as bytes (snapshot.c) ---- */

/* h is in the order of activations, buf (of window and conv) in the plain one. */
uint8_t *ernn_save_buf(uint8_t *to, const int16_t *buf, unsigned n);
const uint8_t *ernn_load_buf(const uint8_t *from, int16_t *buf, unsigned n);
uint8_t *ernn_save_h(uint8_t *to, const int16_t *h, unsigned units);
uint8_t *ernn_save_s(uint8_t *to, const int32_t *s, unsigned units);
uint8_t *ernn_save_float(uint8_t *to, const float *v, unsigned units);
const uint8_t *ernn_load_h(const uint8_t *from, int16_t *h, unsigned units);
const uint8_t *ernn_load_s(const uint8_t *from, int32_t *s, unsigned units);
const uint8_t *ernn_load_float(const uint8_t *from, float *v, unsigned units);

#ifdef __cplusplus
}
#endif
#endif
