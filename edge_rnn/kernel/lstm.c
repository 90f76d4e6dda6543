/* LSTM, gates i, f, g, o as PyTorch has them: c' = f c + i g, h' = o tanh(c'). */
#include "ernn_fixed.h"
#include "ernn_real.h"

#if !ERNN_HELIUM /* helium.c */
void ernn_lstm_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *c, const int16_t *h, int16_t *h_new) {
    for (unsigned unit = 0; unit < layer->units; unit += 4, c += 4, h_new += 4) {
        int32_t p[16];
        const unsigned row = 4 * unit;
        ernn_times(&layer->ih, row, 16, x, layer->b + row, p);
        ernn_times(&layer->hh, row, 16, h, p, p);
        for (unsigned u = 0; u < 4; u++) {
            const int32_t i = ernn_sigmoid(p[u]), f = ernn_sigmoid(p[4 + u]);
            const int32_t g = ernn_tanh(p[8 + u]), o = ernn_sigmoid(p[12 + u]);
            c[u] = ernn_sat32_shift27(ernn_mul(c[u], 8 * f) + ernn_mul(i, g) + (1 << 26));
            h_new[ERNN_LANE(u)] = ernn_sat16(ernn_mulr32(o, ernn_tanh((c[u] >> 4) + ((c[u] >> 3) & 1))));
        }
    }
}
#endif

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
