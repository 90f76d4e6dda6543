/* The int8 layers for Helium, a row group or four units a line; the portable ones are in gru.c, lstm.c, rnn.c, dense.c.
 */
#include "ernn.h"

#if ERNN_HELIUM
#include "ernn_helium.h"

void ernn_gru_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *s, int16_t *h) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        const unsigned row = 3 * unit;
        const int32_t *b = layer->b + row;
        int32x4_t r = ernn_times4(&layer->ih, row, x, vld1q_s32(b));
        r = ernn_sigmoid4(ernn_times4(&layer->hh, row, h, r));
        int32x4_t z = ernn_times4(&layer->ih, row + 4, x, vld1q_s32(b + 4));
        z = ernn_sigmoid4(ernn_times4(&layer->hh, row + 4, h, z));
        int32x4_t n = ernn_times4(&layer->hh, row + 8, h, vld1q_s32(layer->bn + unit));
        n = vaddq_s32(ernn_mulr24_4(n, r), vld1q_s32(b + 8));
        n = vshlq_n_s32(ernn_tanh4(ernn_times4(&layer->ih, row + 8, x, n)), 5);
        vst1q_s32(s + unit, vaddq_s32(n, ernn_mulr24_4(vsubq_s32(vld1q_s32(s + unit), n), z)));
    }
    ernn_gru_h(s, h, layer->units);
}

void ernn_gru_h(const int32_t *s, int16_t *h, unsigned units) {
    for (unsigned unit = 0; unit < units; unit += 4)
        ernn_store4(h + unit, ernn_sat16_4(vrshrq_n_s32(vld1q_s32(s + unit), 13)));
}

/* The pre-activation of gate 0 (i), 1 (f), 2 (g) or 3 (o) of four units. */
static inline int32x4_t lstm_gate(const ernn_int8_layer *layer, unsigned row, const int16_t *x, const int16_t *h) {
    return ernn_times4(&layer->hh, row, h, ernn_times4(&layer->ih, row, x, vld1q_s32(layer->b + row)));
}

void ernn_lstm_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *c, const int16_t *h, int16_t *h_new) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        const unsigned row = 4 * unit;
        const int32x4_t i = ernn_sigmoid4(lstm_gate(layer, row, x, h));
        const int32x4_t f8 = vshlq_n_s32(ernn_sigmoid4(lstm_gate(layer, row + 4, x, h)), 3);
        const int32x4_t g = ernn_tanh4(lstm_gate(layer, row + 8, x, h));
        const int32x4_t cell = ernn_cell4(vld1q_s32(c + unit), f8, i, g);
        vst1q_s32(c + unit, cell);
        const int32x4_t o = ernn_sigmoid4(lstm_gate(layer, row + 12, x, h));
        ernn_store4(h_new + unit, ernn_sat16_4(vrmulhq_s32(o, ernn_tanh4(vrshrq_n_s32(cell, 4)))));
    }
}

void ernn_rnn_int8(const ernn_int8_layer *layer, const int16_t *x, const int16_t *h, int16_t *h_new) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32x4_t p = ernn_times4(&layer->ih, unit, x, vld1q_s32(layer->b + unit));
        p = ernn_times4(&layer->hh, unit, h, p);
        p = layer->activation == ERNN_TANH ? vrshrq_n_s32(ernn_tanh4(p), 8)
                                           : vrshlq_n_s32(vmaxq_s32(p, vdupq_n_s32(0)), -(int32_t)layer->shift);
        ernn_store4(h_new + unit, ernn_sat16_4(p));
    }
}

void ernn_dense_int8(const ernn_int8_layer *layer, const int16_t *x, int16_t *out) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        int32x4_t p = ernn_times4(&layer->ih, unit, x, vld1q_s32(layer->b + unit));
        if (layer->activation == ERNN_RELU) p = vmaxq_s32(p, vdupq_n_s32(0));
        ernn_store4(out + unit, ernn_sat16_4(vrshlq_n_s32(p, -(int32_t)layer->shift)));
    }
}

void ernn_head_int8(const ernn_int8_layer *layer, const int16_t *x, int32_t *y) {
    for (unsigned unit = 0; unit < layer->units; unit += 4) {
        const int32x4_t p = ernn_times4(&layer->ih, unit, x, vld1q_s32(layer->b + unit));
        vstrwq_p_s32(y + unit, p, vctp32q(layer->units - unit));
    }
}
#else
typedef int ernn_no_helium; /* C99 wants a declaration in every file */
#endif
