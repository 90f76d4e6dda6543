/* LSTM, gates i, f, g, o as PyTorch has them: c' = f c + i g, h' = o tanh(c'). */
#include "ernn_fixed.h"
#include "ernn_real.h"

void ernn_lstm_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *c, const int16_t *h, int16_t *h_new) {
    const ernn_int8_matrix *ih = &layer->ih, *hh = &layer->hh;
    const int8_t *w_ih = ih->w, *w_hh = hh->w;
    for (unsigned unit = 0, row = 0; unit < layer->units; unit += 4, row += 16) {
        int32_t p[16];
        for (unsigned gate = 0; gate < 16; gate += 4) {
            int32_t ax[4], ah[4];
            w_ih = ernn_dot4(w_ih, x, ih->columns, ax);
            w_hh = ernn_dot4(w_hh, h, hh->columns, ah);
            for (unsigned u = 0; u < 4; u++) {
                unsigned j = row + gate + u;
                p[gate + u] = ernn_requant(ax[u], ih->m[j], ih->k, ih->shift) + layer->b[j] +
                              ernn_requant(ah[u], hh->m[j], hh->k, hh->shift);
            }
        }
        for (unsigned u = 0; u < 4; u++) {
            if (unit + u >= layer->units) {
                h_new[unit + u] = 0;
                continue;
            }
            int32_t i = ernn_sigmoid(p[u]), f = ernn_sigmoid(p[4 + u]);
            int32_t g = ernn_tanh(p[8 + u]), o = ernn_sigmoid(p[12 + u]);
            int64_t sum = ernn_mul(c[unit + u], f) * 8 + ernn_mul(i, g);
            int32_t cell = ernn_sat32((sum + (1 << 26)) >> 27);
            int32_t t = ernn_tanh((cell >> 4) + ((cell >> 3) & 1));
            c[unit + u] = cell;
            h_new[unit + u] = ernn_sat16((int32_t)((ernn_mul(o, t) + ((int64_t)1 << 31)) >> 32));
        }
    }
}

void ernn_lstm_float(const ernn_float_layer *layer, const float *x, float *c, const float *h, float *h_new) {
    const unsigned I = layer->inputs, H = layer->units;
    for (unsigned unit = 0; unit < H; unit++) {
        float p[4];
        for (unsigned gate = 0; gate < 4; gate++) {
            uint32_t row = (uint32_t)gate * H + unit;
            p[gate] = layer->b[row] + ernn_dotf(layer->w_ih + row * I, x, I) + ernn_dotf(layer->w_hh + row * H, h, H);
        }
        c[unit] = ernn_sigmoidf(p[1]) * c[unit] + ernn_sigmoidf(p[0]) * ernn_tanhf(p[2]);
        h_new[unit] = ernn_sigmoidf(p[3]) * ernn_tanhf(c[unit]);
    }
}
