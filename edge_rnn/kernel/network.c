/* The whole model: quantize or normalise a sample, then the layers in order, each fed by the one below at this step. */
#include <string.h>

#include "ernn_fixed.h"
#include "ernn_real.h"

ernn_status ernn_check_finite(const float *x, size_t n) {
    for (size_t j = 0; j < n; j++) {
        uint32_t bits;
        memcpy(&bits, x + j, 4);
        if ((bits & 0x7f800000u) == 0x7f800000u) return ERNN_NOT_FINITE;
    }
    return ERNN_OK;
}

ernn_status ernn_quantize(const float *sx, unsigned inputs, const float *x, int16_t *xq) {
    if (ernn_check_finite(x, inputs) != ERNN_OK) return ERNN_NOT_FINITE;
    for (unsigned j = 0; j < inputs; j++) {
        float v = x[j] / sx[j];
        v = v > 32767.0f ? 32767.0f : v < -32768.0f ? -32768.0f : v;
        volatile float shifted = v + 12582912.0f; /* 1.5 * 2^23: the sum is rounded half to even to an integer */
        xq[j] = (int16_t)(shifted - 12582912.0f);
    }
    return ERNN_OK;
}

void ernn_int8_step(const ernn_int8_model *model, ernn_int8_state *state, const int16_t *xq, int32_t *y) {
    int16_t *h = state->h, *fresh = state->scratch, *buf = state->buf;
    int32_t *s = state->s;
    unsigned width = ERNN_PAD_COLUMNS(model->inputs);
    for (unsigned l = 0; l < model->layers; l++) {
        const ernn_int8_layer *layer = &model->layer[l];
        if (layer->ih.columns > width) width = layer->ih.columns;
        if (ERNN_PAD_COLUMNS(layer->units) > width) width = ERNN_PAD_COLUMNS(layer->units);
    }
    int16_t *x = fresh + width, *taps = x + width;
    memset(x, 0, sizeof *x * ERNN_PAD_COLUMNS(model->inputs));
    if (model->o)
        ernn_take_int8(model->o, model->inputs, xq, x);
    else
        for (unsigned j = 0; j < model->inputs; j++) x[ERNN_LANE(j)] = xq[j];
    for (unsigned l = 0; l + 1 < model->layers; l++) {
        const ernn_int8_layer *layer = &model->layer[l];
        const unsigned padded = ERNN_PAD_COLUMNS(layer->units);
        memset(fresh, 0, sizeof *fresh * padded);
        const int buffer = layer->kind == ERNN_WINDOW || layer->kind == ERNN_CONV;
        if (buffer || layer->kind == ERNN_DENSE || layer->kind == ERNN_STATISTICS) {
            if (layer->kind == ERNN_DENSE) ernn_dense_int8(layer, x, fresh);
            if (layer->kind == ERNN_STATISTICS) ernn_statistics_int8(layer, x, fresh);
            if (layer->kind == ERNN_WINDOW) ernn_window_int8(layer, x, buf, fresh);
            if (layer->kind == ERNN_CONV) ernn_conv_int8(layer, x, buf, taps, fresh);
            memcpy(x, fresh, sizeof *x * padded);
            if (buffer) buf += (uint32_t)layer->past * layer->inputs;
            continue;
        }
        if (layer->kind == ERNN_RNN) ernn_rnn_int8(layer, x, h, fresh);
        if (layer->kind == ERNN_LSTM) ernn_lstm_int8(layer, x, s, h, fresh);
        if (layer->kind == ERNN_GRU)
            ernn_gru_int8(layer, x, s, h);
        else if (layer->kind == ERNN_FASTGRNN)
            ernn_fastgrnn_int8(layer, x, s, h);
        else
            memcpy(h, fresh, sizeof *h * padded);
        memcpy(x, h, sizeof *x * padded);
        h += padded;
        if (layer->kind != ERNN_RNN) s += ERNN_PAD_ROWS(layer->units);
    }
    ernn_head_int8(&model->layer[model->layers - 1], x, y);
}

/* One layer to `fresh`; gives where the next layer's state begins. */
static float *one_layer(const ernn_float_layer *layer, const float *below, float *h, float *more, float *fresh) {
    const uint32_t H = layer->units, past = layer->past;
    switch (layer->kind) {
        case ERNN_DENSE: ernn_dense_float(layer, below, fresh); return h;
        case ERNN_STATISTICS: ernn_statistics_float(layer, below, fresh); return h;
        case ERNN_NORM: ernn_norm_float(layer, below, fresh); return h;
        case ERNN_FEEDFORWARD: ernn_feedforward_float(layer, below, more, fresh); return h;
        case ERNN_WINDOW: ernn_window_float(layer, below, h, fresh); return h + past * layer->inputs;
        case ERNN_CONV: ernn_conv_float(layer, below, h, more, fresh); return h + past * layer->inputs;
        case ERNN_ATTENTION: ernn_attention_float(layer, below, h, more, fresh); return h + 2 * past * H + 1;
        case ERNN_RNN: ernn_rnn_float(layer, below, h, fresh); break;
        case ERNN_GRU: ernn_gru_float(layer, below, h, fresh); break;
        case ERNN_FASTGRNN: ernn_fastgrnn_float(layer, below, h, fresh); break;
        default: ernn_lstm_float(layer, below, h + H, h, fresh);
    }
    memcpy(h, fresh, sizeof *h * H);
    return h + (layer->kind == ERNN_LSTM ? 2 * H : H);
}

void ernn_float_step(const ernn_float_model *model, ernn_float_state *state, const float *x, float *y) {
    float *h = state->state, *fresh = state->scratch;
    unsigned width = model->inputs;
    for (unsigned l = 0; l < model->layers; l++)
        if (model->layer[l].units > width) width = model->layer[l].units;
    float *below = fresh + width, *more = below + width;
    for (unsigned j = 0; j < model->inputs; j++) below[j] = (x[j] - model->mean[j]) / model->std[j];
    for (unsigned l = 0; l + 1 < model->layers; l++) {
        const ernn_float_layer *layer = &model->layer[l];
        h = one_layer(layer, below, h, more, fresh);
        memcpy(below, fresh, sizeof *below * layer->units);
    }
    ernn_dense_float(&model->layer[model->layers - 1], below, y);
}
