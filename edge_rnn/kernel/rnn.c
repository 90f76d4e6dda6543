/* Elman RNN: h' = tanh(W_ih x + W_hh h + b), or ReLU in place of tanh. */
#include "ernn_fixed.h"
#include "ernn_real.h"

#if !ERNN_HELIUM /* helium.c */
void ernn_rnn_int8(const ernn_int8_layer *layer, const int16_t *x, const int16_t *h, int16_t *h_new) {
    for (unsigned unit = 0; unit < layer->units; unit += 4, h_new += 4) {
        int32_t p[4];
        ernn_times(&layer->ih, unit, 4, x, layer->b + unit, p);
        ernn_times(&layer->hh, unit, 4, h, p, p);
        for (unsigned u = 0; u < 4; u++)
            if (layer->activation == ERNN_TANH)
                h_new[ERNN_LANE(u)] = ernn_sat16(ernn_round_shift(ernn_tanh(p[u]), 8));
            else
                h_new[ERNN_LANE(u)] = ernn_sat16(ernn_round_shift(p[u] < 0 ? 0 : p[u], layer->shift));
    }
}
#endif

void ernn_rnn_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new) {
    const unsigned I = layer->inputs, H = layer->units;
    for (unsigned unit = 0; unit < H; unit++) {
        float p = layer->b[unit] + ernn_dotf(layer->w_ih + (uint32_t)unit * I, x, I) +
                  ernn_dotf(layer->w_hh + (uint32_t)unit * H, h, H);
        h_new[unit] = layer->activation == ERNN_TANH ? ernn_tanhf(p) : p < 0.0f ? 0.0f : p;
    }
}
