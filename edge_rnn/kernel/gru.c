/* GRU, gates r, z, n as PyTorch has them: h' = n + z (h - n), n = tanh(W_in x + b_in + r (W_hn h + b_hn)). */
#include "ernn_fixed.h"
#include "ernn_real.h"

int16_t ernn_gru_h(int32_t s) { return ernn_sat16(ernn_round_shift(s, 13)); }

void ernn_gru_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *s, const int16_t *h, int16_t *h_new) {
    const ernn_int8_matrix *ih = &layer->ih, *hh = &layer->hh;
    const int8_t *w_ih = ih->w, *w_hh = hh->w;
    for (unsigned unit = 0, row = 0; unit < layer->units; unit += 4, row += 12) {
        int32_t ax[12], ah[12];
        for (unsigned gate = 0; gate < 12; gate += 4) {
            w_ih = ernn_dot4(w_ih, x, ih->columns, ax + gate);
            w_hh = ernn_dot4(w_hh, h, hh->columns, ah + gate);
        }
        for (unsigned j = 0; j < 12; j++) {
            ax[j] = ernn_requant(ax[j], ih->m[row + j], ih->k, ih->shift) + layer->b[row + j];
            ah[j] = ernn_requant(ah[j], hh->m[row + j], hh->k, hh->shift);
        }
        for (unsigned u = 0; u < 4; u++) {
            if (unit + u >= layer->units) {
                h_new[unit + u] = 0;
                continue;
            }
            int32_t r = ernn_sigmoid(ax[u] + ah[u]);
            int32_t z = ernn_sigmoid(ax[4 + u] + ah[4 + u]);
            int32_t n = 32 * ernn_tanh(ax[8 + u] + ernn_mulr24(ah[8 + u] + layer->bn[unit + u], r));
            s[unit + u] = ernn_add32(n, ernn_mulr24(ernn_sub32(s[unit + u], n), z));
            h_new[unit + u] = ernn_gru_h(s[unit + u]);
        }
    }
}

void ernn_gru_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new) {
    const unsigned I = layer->inputs, H = layer->units;
    for (unsigned unit = 0; unit < H; unit++) {
        float ax[3], ah[3];
        for (unsigned gate = 0; gate < 3; gate++) {
            uint32_t row = (uint32_t)gate * H + unit;
            ax[gate] = layer->b[row] + ernn_dotf(layer->w_ih + row * I, x, I);
            ah[gate] = ernn_dotf(layer->w_hh + row * H, h, H);
        }
        float r = ernn_sigmoidf(ax[0] + ah[0]);
        float z = ernn_sigmoidf(ax[1] + ah[1]);
        float n = ernn_tanhf(ax[2] + r * (ah[2] + layer->bn[unit]));
        h_new[unit] = n + z * (h[unit] - n);
    }
}
