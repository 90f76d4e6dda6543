/* Dense layers: the head (logits) and hidden ones (ReLU or none). */
#include "ernn_fixed.h"
#include "ernn_real.h"

#if !ERNN_HELIUM /* helium.c */
void ernn_head_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *y) {
    for (unsigned unit = 0; unit < layer->units;) {
        int32_t p[4], *from = p;
        ernn_times(&layer->ih, unit, 4, x, layer->b + unit, p);
        do *y++ = *from++;
        while (++unit < layer->units && from != p + 4);
    }
}

void ernn_dense_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *out) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32_t p[4];
        ernn_times(&layer->ih, unit, 4, x, layer->b + unit, p);
        for (unsigned u = 0; u < 4; u++) {
            if (layer->activation == ERNN_RELU && p[u] < 0) p[u] = 0;
            out[unit + ERNN_LANE(u)] = ernn_sat16(ernn_round_shift(p[u], layer->shift));
        }
    }
}
#endif

void ernn_dense_float(const ernn_float_layer *layer, const float *x, float *out) {
    for (unsigned unit = 0; unit < layer->units; unit++) {
        float p = layer->b[unit] + ernn_dotf(layer->w_ih + (uint32_t)unit * layer->inputs, x, layer->inputs);
        out[unit] = layer->activation == ERNN_RELU && p < 0.0f ? 0.0f : p;
    }
}
