/* FastGRNN (Kusupati et al. 2018): one pair of matrices for a gate and a candidate, a = W_ih x + W_hh h,
 * h' = (zeta (1 - z) + nu) tanh(a + b_h) + z h with z = sigma(a + b_z). docs/numeric.md has the integers.
 */
#include "ernn_fixed.h"
#include "ernn_real.h"
#if ERNN_HELIUM
#include "ernn_helium.h"
#endif

/* a of four units, without a bias. */
static void sums(const ernn_int8_layer *layer, unsigned unit, const int16_t *x, const int16_t *h, int32_t a[4]) {
#if ERNN_HELIUM
    vst1q_s32(a, ernn_times4(&layer->hh, unit, h, ernn_times4(&layer->ih, unit, x, vdupq_n_s32(0))));
#else
    static const int32_t none[4] = {0};
    ernn_times(&layer->ih, unit, 4, x, none, a);
    ernn_times(&layer->hh, unit, 4, h, a, a);
#endif
}

/* All units read the last step's h, so the new one, which follows from s, is written when all have. */
void ernn_fastgrnn_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *s, int16_t *h) {
    const int32_t one = INT32_C(1) << 24, end = INT32_C(1) << 29;
    const unsigned shift = 18u + layer->shift;
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32_t a[4];
        sums(layer, unit, x, h, a);
        for (unsigned u = unit; u < unit + 4; u++) {
            const int32_t z = ernn_sigmoid(a[u - unit] + layer->b[u]), t = ernn_tanh(a[u - unit] + layer->bn[u]);
            const int32_t gate = ernn_mulr24(one - z, layer->zeta[0]) + layer->nu[0];
            const int32_t n = (int32_t)((ernn_mul(gate, t) + ((int64_t)1 << (shift - 1))) >> shift);
            const int32_t v = ernn_add32(n, ernn_mulr24(s[u], z)); /* a snapshot may bring any s */
            s[u] = v > end ? end : v < -end ? -end : v;
        }
    }
    ernn_gru_h(s, h, layer->units);
}

#ifndef ERNN_VARIANT /* simd/layers.h */
void ernn_fastgrnn_float(const ernn_float_layer *layer, const float *x, const float *h, float *h_new) {
    const unsigned I = layer->inputs, H = layer->units;
    for (unsigned unit = 0; unit < H; unit++) {
        const float a = ernn_dotf(layer->w_ih + (uint32_t)unit * I, x, I) + ernn_dotf(layer->w_hh + (uint32_t)unit * H, h, H);
        const float z = ernn_sigmoidf(a + layer->b[unit]);
        h_new[unit] = (layer->zeta[0] * (1.0f - z) + layer->nu[0]) * ernn_tanhf(a + layer->bn[unit]) + z * h[unit];
    }
}
#endif
