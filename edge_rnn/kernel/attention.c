/* The parts of a causal Transformer in float32, one step at a time (edge_rnn/engines/attention.py has the equations):
 * attention over the last steps with its keys and values as state, feed-forward, LayerNorm. There is no int8 form.
 */
#include <string.h>

#include "ernn_real.h"

void ernn_norm_float(const ernn_float_layer *layer, const float *x, float *out) {
    const unsigned n = layer->inputs;
    float sum = 0.0f, squares = 0.0f;
    for (unsigned j = 0; j < n; j++) sum += x[j];
    const float mean = sum / (float)n;
    for (unsigned j = 0; j < n; j++) squares += (x[j] - mean) * (x[j] - mean);
    const float scale = 1.0f / ernn_sqrtf(squares / (float)n + 1e-5f);
    for (unsigned j = 0; j < n; j++) out[j] = (x[j] - mean) * scale * layer->norm_w[j] + layer->norm_b[j];
}

static void product(const float *w, const float *b, unsigned rows, unsigned columns, const float *x, float *out) {
    for (unsigned row = 0; row < rows; row++) out[row] = b[row] + ernn_dotf(w + (uint32_t)row * columns, x, columns);
}

void ernn_feedforward_float(const ernn_float_layer *layer, const float *x, float *scratch, float *out) {
    const unsigned n = layer->inputs;
    float *hidden = scratch + n;
    ernn_norm_float(layer, x, scratch);
    product(layer->w_ih, layer->b, layer->hidden, n, scratch, hidden);
    for (unsigned j = 0; j < layer->hidden; j++)
        if (hidden[j] < 0.0f) hidden[j] = 0.0f;
    product(layer->w_hh, layer->bn, n, layer->hidden, hidden, out);
    for (unsigned j = 0; j < n; j++) out[j] += x[j];
}

#ifndef ERNN_VARIANT /* simd/layers.h */
/* softmax(q . k / sqrt(width) + bias) v of one head over the rows from `first` on; the largest score is taken away first. */
static void head(const float *q, const float *k, const float *v, const float *bias, unsigned first, unsigned rows, unsigned width,
                 unsigned units, float *score, float *out) {
    const float scale = 1.0f / ernn_sqrtf((float)width);
    float most = 0.0f, total = 0.0f;
    for (unsigned t = first; t < rows; t++) {
        score[t] = ernn_dotf(q, k + (uint32_t)t * units, width) * scale + bias[t];
        most = t == first || score[t] > most ? score[t] : most;
    }
    memset(out, 0, sizeof *out * width);
    for (unsigned t = first; t < rows; t++) {
        const float share = ernn_expf(score[t] - most);
        total += share;
        for (unsigned j = 0; j < width; j++) out[j] += share * v[(uint32_t)t * units + j];
    }
    for (unsigned j = 0; j < width; j++) out[j] /= total;
}
#endif

void ernn_attend_float(const ernn_float_layer *layer, const float *qkv, float *state, float *score, float *mixed) {
    const unsigned n = layer->units, W = layer->past, width = n / layer->heads;
    float *k = state, *v = state + (uint32_t)W * n, *seen = v + (uint32_t)W * n;
    ernn_append_float(k, W, n, qkv + n);
    ernn_append_float(v, W, n, qkv + 2 * n);
    *seen = *seen + 1.0f < (float)W ? *seen + 1.0f : (float)W;
    const unsigned first = *seen >= 1.0f ? W - (unsigned)*seen : W - 1;
    for (unsigned h = 0; h < layer->heads; h++)
        head(qkv + h * width, k + h * width, v + h * width, layer->bias + (uint32_t)h * W, first, W, width, n, score,
             mixed + h * width);
}

void ernn_attention_float(const ernn_float_layer *layer, const float *x, float *state, float *scratch, float *out) {
    const unsigned n = layer->units;
    float *qkv = scratch + n;
    ernn_norm_float(layer, x, scratch);
    product(layer->w_ih, layer->b, 3 * n, n, scratch, qkv);
    ernn_attend_float(layer, qkv, state, qkv + 3 * n, scratch);
    product(layer->w_hh, layer->bn, n, n, scratch, out);
    for (unsigned j = 0; j < n; j++) out[j] += x[j];
}
