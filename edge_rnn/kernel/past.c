/* Layers over the last samples: window, its statistics, causal dilated convolution. A buffer is rows of the past, the
 * oldest first, in the order of a state's bytes; a step drops the first row and puts the present one behind the last.
 */
#include <string.h>

#include "ernn_fixed.h"
#include "ernn_real.h"

void ernn_take_int8(const int16_t *o, unsigned inputs, const int16_t *xq, int16_t *x) {
    for (unsigned j = 0; j < inputs; j++) x[ERNN_LANE(j)] = ernn_sat16(xq[j] - o[j]);
}

static void append_int8(const ernn_int8_layer *layer, int16_t *buf, const int16_t *x) {
    const uint32_t I = layer->inputs, kept = (layer->past - 1u) * I;
    memmove(buf, buf + I, sizeof *buf * kept);
    for (unsigned j = 0; j < I; j++) buf[kept + j] = x[ERNN_LANE(j)];
}

/* n values of a buffer as activations. */
static void to_lanes(const int16_t *from, unsigned n, int16_t *to) {
#if ERNN_DSP
    for (; n >= 4; n -= 4, from += 4, to += 4) { /* 0 1 2 3 becomes 0 2 1 3 */
        uint32_t low, high;
        memcpy(&low, from, 4), memcpy(&high, from + 2, 4);
        const uint32_t even = (low & 0xffffu) | high << 16, odd = low >> 16 | (high & 0xffff0000u);
        memcpy(to, &even, 4), memcpy(to + 2, &odd, 4);
    }
    for (unsigned j = 0; j < n; j++) to[ERNN_LANE(j)] = from[j];
#else
    memcpy(to, from, sizeof *to * n);
#endif
}

void ernn_window_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *buf, int16_t *out) {
    append_int8(layer, buf, x);
    to_lanes(buf, layer->units, out);
}

void ernn_conv_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *buf, int16_t *taps, int16_t *out) {
    const unsigned I = layer->inputs;
    unsigned n = 0;
    for (uint32_t row = 0; row < layer->past; row += layer->dilation)
        for (unsigned j = 0; j < I; j++, n++) taps[ERNN_LANE(n)] = buf[row * I + j];
    for (unsigned j = 0; j < I; j++, n++) taps[ERNN_LANE(n)] = x[ERNN_LANE(j)];
    for (; n < layer->ih.columns; n++) taps[ERNN_LANE(n)] = 0;
    if (layer->past) append_int8(layer, buf, x);
    ernn_dense_int8(layer, taps, out);
}

#if !defined(ERNN_VARIANT) /* a variant has no better one */
uint32_t ernn_isqrt(uint64_t n) {
    uint64_t root = 0, bit = UINT64_C(1) << 60;
    while (bit > n) bit >>= 2;
    for (; bit; bit >>= 2, root >>= 1) {
        if (n < root + bit) continue;
        n -= root + bit;
        root += 2 * bit;
    }
    return (uint32_t)root;
}
#endif

/* The sums of docs/numeric.md, then a row's multiplier for each. Where activations have lanes, four rows fill whole groups of
 * them: the lanes of the next four are the same.
 */
void ernn_statistics_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *out) {
    enum { ROWS = ERNN_DSP ? 4 : 1 };
    const unsigned W = layer->past, C = layer->inputs / W;
    for (unsigned c = 0; c < C; c++) {
        unsigned lane[ROWS];
        for (unsigned j = 0; j < ROWS; j++) lane[j] = ERNN_LANE(j * C + c);
        int32_t before = x[lane[0]], sum = 0, low = before, high = before, change = 0;
        uint64_t squares = 0;
        const int16_t *row = x;
        for (unsigned left = W; left; row += ROWS * C) {
            const unsigned n = left < ROWS ? left : ROWS;
            ERNN_UNROLL_LANES(4) for (unsigned j = 0; j < n; j++) {
                const int32_t v = row[lane[j]], moved = v - before;
                sum += v;
                squares += ERNN_THUMB1 ? (uint32_t)(v * v) : (uint64_t)((int64_t)v * v); /* elsewhere one SMLAL */
                change += moved < 0 ? -moved : moved;
                if (v < low) low = v;
                if (v > high) high = v;
                before = v;
            }
            left -= n;
        }
        const uint64_t apart = W * (squares + (uint32_t)layer->b[c]) - (uint64_t)ernn_mul(sum, sum);
        const int32_t found[] = {sum, (int32_t)((ernn_isqrt(4 * apart) + 1) >> 1), (int32_t)W * low, (int32_t)W * high, change};
        for (unsigned s = 0, j = c; s < 5; s++, j += C)
            out[ERNN_LANE(j)] = ernn_sat16(ernn_requant(found[s], layer->ih.m[j], layer->ih.k, layer->ih.shift));
    }
}

void ernn_append_float(float *buf, unsigned rows, unsigned width, const float *x) {
    const uint32_t kept = (rows - 1u) * (uint32_t)width;
    memmove(buf, buf + width, sizeof *buf * kept);
    memcpy(buf + kept, x, sizeof *buf * width);
}

void ernn_window_float(const ernn_float_layer *layer, const float *x, float *buf, float *out) {
    ernn_append_float(buf, layer->past, layer->inputs, x);
    memcpy(out, buf, sizeof *out * layer->units);
}

void ernn_conv_float(const ernn_float_layer *layer, const float *x, float *buf, float *taps, float *out) {
    const unsigned I = layer->inputs;
    uint32_t n = 0;
    for (uint32_t row = 0; row < layer->past; row += layer->dilation, n += I) memcpy(taps + n, buf + row * I, sizeof *taps * I);
    memcpy(taps + n, x, sizeof *taps * I);
    if (layer->past) ernn_append_float(buf, layer->past, I, x);
    n += I;
    for (unsigned unit = 0; unit < layer->units; unit++) {
        const float p = layer->b[unit] + ernn_dotf(layer->w_ih + unit * n, taps, n);
        out[unit] = layer->activation == ERNN_RELU && p < 0.0f ? 0.0f : p;
    }
}

/* Mean, sd, min, max and mean |x_t - x_(t-1)| of each channel, anew at each step: sums kept up to date would drift. */
void ernn_statistics_float(const ernn_float_layer *layer, const float *x, float *out) {
    const unsigned W = layer->past, C = layer->inputs / W;
    for (unsigned c = 0; c < C; c++, x++) {
        float sum = 0.0f, squares = 0.0f, change = 0.0f, low = x[0], high = x[0];
        for (unsigned t = 0; t < W; t++) {
            const float v = x[(uint32_t)t * C];
            const float moved = t ? v - x[(uint32_t)(t - 1) * C] : 0.0f;
            sum += v;
            change += moved < 0.0f ? -moved : moved;
            low = v < low ? v : low, high = v > high ? v : high;
        }
        const float mean = sum / (float)W;
        for (unsigned t = 0; t < W; t++) {
            const float apart = x[(uint32_t)t * C] - mean;
            squares += apart * apart;
        }
        out[c] = mean;
        out[C + c] = ernn_sqrtf(squares / (float)W + 1e-6f);
        out[2 * C + c] = low, out[3 * C + c] = high;
        out[4 * C + c] = change / (float)(W - 1);
    }
}
