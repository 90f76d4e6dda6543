/* GRU, gates r, z, n as PyTorch has them: h' = n + z (h - n), n = tanh(W_in x + b_in + r (W_hn h + b_hn)). */
#include "ernn_fixed.h"
#include "ernn_real.h"

#if !ERNN_HELIUM /* helium.c */
/* All units read the last step's h, so the new one, which follows from s, is written when all have. */
void ernn_gru_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *s, int16_t *h) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32_t p[16], *r = p, *z = p + 4, *n_h = p + 8, *n_x = p + 12;
        const unsigned row = 3 * unit;
        ernn_times(&layer->ih, row, 12, x, layer->b + row, p);
        for (unsigned u = 0; u < 4; u++) n_x[u] = p[8 + u], n_h[u] = layer->bn[unit + u]; /* only n's halves stay apart */
        ernn_times(&layer->hh, row, 12, h, p, p);
        for (unsigned u = 0; u < 4; u++) {
            const int32_t n = 32 * ernn_tanh(n_x[u] + ernn_mulr24(n_h[u], ernn_sigmoid(r[u])));
            s[unit + u] = ernn_add32(n, ernn_mulr24(ernn_sub32(s[unit + u], n), ernn_sigmoid(z[u])));
        }
    }
    ernn_gru_h(s, h, layer->units);
}

void ernn_gru_h(const int32_t *s, int16_t *h, unsigned units) {
    for (unsigned unit = 0; unit < units; unit += 4, s += 4, h += 4)
#pragma GCC unroll 4
        for (unsigned u = 0; u < 4; u++) h[ERNN_LANE(u)] = ernn_sat16(ernn_round_shift(s[u], 13));
}
#endif

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
