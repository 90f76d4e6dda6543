/* Dense layers: the head (logits) and hidden ones (ReLU or none). */
#include "ernn_fixed.h"
#include "ernn_real.h"

void ernn_head_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *y) {
    const int8_t *w = layer->ih.w;
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32_t acc[4];
        w = ernn_dot4(w, x, layer->ih.columns, acc);
        for (unsigned r = 0; r < 4 && unit + r < layer->units; r++)
            y[unit + r] = ernn_requant(acc[r], layer->ih.m[unit + r], layer->ih.k, layer->ih.shift) + layer->b[unit + r];
    }
}

void ernn_dense_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *out) {
    const int8_t *w = layer->ih.w;
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32_t acc[4];
        w = ernn_dot4(w, x, layer->ih.columns, acc);
        for (unsigned r = 0; r < 4; r++) {
            int32_t p = ernn_requant(acc[r], layer->ih.m[unit + r], layer->ih.k, layer->ih.shift) + layer->b[unit + r];
            if (layer->activation == ERNN_RELU && p < 0) p = 0;
            out[unit + r] = ernn_sat16(ernn_round_shift(p, layer->shift));
        }
    }
}

void ernn_dense_float(const ernn_float_layer *layer, const float *x, float *out) {
    for (unsigned unit = 0; unit < layer->units; unit++) {
        float p = layer->b[unit] + ernn_dotf(layer->w_ih + (uint32_t)unit * layer->inputs, x, layer->inputs);
        out[unit] = layer->activation == ERNN_RELU && p < 0.0f ? 0.0f : p;
    }
}
