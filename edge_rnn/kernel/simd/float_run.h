/* Steps of a float32 model for one instruction set: samples in, logits out, one stream or many, on states that are entered
 * and left at each call or stay bound.
 */
#include "float_states.h"

INLINE const float *weights_of(const ernn_packed *model, const ernn_packed_layer *layer) {
    return (const float *)((const uint8_t *)model + layer->weights);
}

INLINE void float_layers(const ernn_packed *model, const place *at, const int tile) {
    const ernn_packed_layer *layer = model->layer, *end = layer + model->layers;
    for (; layer < end; layer++, at++) ((float_fn)layer->run[tile])(layer, weights_of(model, layer), at);
}

INLINE const uint8_t *logits_of(const ernn_packed *model, const uint8_t *scratch) {
    return scratch + model->layer[model->layers - 1].h;
}

/* A sequence goes through the layers in spans: rows of a layer's inputs, then of its outputs, which are the next one's. */
INLINE void float_sequence(const ernn_packed *model, uint8_t *scratch, const place *states, size_t steps, const float *x,
                           float *y) {
    const size_t row = model->row_bytes;
    uint8_t *in = scratch + model->rows, *out = in + SPAN * row;
    float *sums = (float *)(out + SPAN * row);
    for (int span; steps; steps -= (size_t)span) {
        span = steps < SPAN ? (int)steps : SPAN;
        for (int t = 0; t < span; t++, x += model->inputs) take_float(model, in + (size_t)t * row, x);
        for (int l = 0; l < model->layers; l++) {
            const ernn_packed_layer *layer = &model->layer[l];
            place at = states[l];
            at.x = in, at.out = out, at.x_stride = at.out_stride = row;
            ((span_fn)layer->run[2])(layer, weights_of(model, layer), &at, sums, span);
            out = in, in = at.out;
        }
        for (int t = 0; t < span; t++, y += model->outputs) give_float(model, in + (size_t)t * row, y);
    }
}

static ernn_status float_run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s,
                             size_t steps, const float *x, float *y) {
    place at[ERNN_MAX_LAYERS];
    if (steps > 1 && beyond(x, steps * model->inputs, model->reach)) return ERNN_NOT_FINITE;
    if (steps == 1 && take_float(model, scratch + model->x, x)) return ERNN_NOT_FINITE;
    enter(model, scratch, states, s, 0, at);
    if (steps == 1) {
        float_layers(model, at, 0);
        give_float(model, logits_of(model, scratch), y);
    } else {
        float_sequence(model, scratch, at, steps, x, y);
    }
    if (model->copied) leave(model, states, s, 0, at);
    return ERNN_OK;
}

/* What `bind` leaves behind a scratch: the places of all layers, then the caller's states. */
INLINE uint8_t **float_bound(const ernn_packed *model, uint8_t *scratch, place **at) {
    *at = (place *)(scratch + model->scratch_bytes);
    return (uint8_t **)(*at + model->layers);
}

static void float_bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    place *at;
    memcpy(float_bound(model, scratch, &at), states, ernn_state_arrays(model) * sizeof *states);
    enter(model, scratch, states, 0, 0, at);
}

static ernn_status float_step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    place *at;
    uint8_t *const *states = float_bound(model, scratch, &at);
    if (model->copied) return float_run(model, scratch, states, 0, 1, x, y);
    if (take_float(model, scratch + model->x, x)) return ERNN_NOT_FINITE;
    float_layers(model, at, 0);
    at[model->turning].backwards ^= 1;
    give_float(model, logits_of(model, scratch), y);
    return ERNN_OK;
}

static void float_group(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                        float *y) {
    const size_t I = model->inputs, C = model->outputs, stride = model->scratch_bytes;
    place at[ERNN_MAX_LAYERS];
    size_t s = 0;
    for (; s + TILE <= n; s += TILE, x += TILE * I, y += TILE * C) {
        enter(model, scratch, states, s, 1, at);
        for (size_t t = 0; t < TILE; t++) take_float(model, scratch + t * stride + model->x, x + t * I);
        float_layers(model, at, 1);
        for (size_t t = 0; t < TILE; t++) give_float(model, logits_of(model, scratch + t * stride), y + t * C);
        if (model->copied) leave(model, states, s, 1, at);
    }
    for (; s < n; s++, x += I, y += C) float_run(model, scratch, states, s, 1, x, y);
}
