/* Elman RNN: h' = tanh(W_ih x + W_hh h + b), or ReLU in place of tanh. */
#include "ernn_fixed.h"
#include "ernn_real.h"

void ernn_rnn_int8(const ernn_int8_layer *layer, const int16_t *x, const int16_t *h, int16_t *h_new) {
    const ernn_int8_matrix *ih = &layer->ih, *hh = &layer->hh;
    const int8_t *w_ih = ih->w, *w_hh = hh->w;
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32_t ax[4], ah[4];
        w_ih = ernn_dot4(w_ih, x, ih->columns, ax);
        w_hh = ernn_dot4(w_hh, h, hh->columns, ah);
        for (unsigned r = 0; r < 4; r++) {
            int32_t p = ernn_requant(ax[r], ih->m[unit + r], ih->k, ih->shift) + layer->b[unit + r] +
                        ernn_requant(ah[r], hh->m[unit + r], hh->k, hh->shift);
            if (layer->activation == ERNN_TANH)
                h_new[unit + r] = ernn_sat16((ernn_tanh(p) + 128) >> 8);
            else
                h_new[unit + r] = ernn_sat16(ernn_round_shift(p < 0 ? 0 : p, layer->shift));
        }
    }
}

void ernn_rnn_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new) {
    const unsigned I = layer->inputs, H = layer->units;
    for (unsigned unit = 0; unit < H; unit++) {
        float p = layer->b[unit] + ernn_dotf(layer->w_ih + (uint32_t)unit * I, x, I) +
                  ernn_dotf(layer->w_hh + (uint32_t)unit * H, h, H);
        h_new[unit] = layer->activation == ERNN_TANH ? ernn_tanhf(p) : p < 0.0f ? 0.0f : p;
    }
}
