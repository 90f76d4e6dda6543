/* The portable kernel behind the host's interface: what firmware runs, on the host. Slow (no SIMD), the reference of
 * every variant, and the only one where the compiler knows no vector extensions. Variants pack and keep states here too
 * for networks that pack.h does not know, but give their own steps (layers.h).
 */
#include "../ernn_fixed.h"
#include "portable_pack.h"

/* The states between the caller's arrays and the kernel's, one way or the other. */
static void carry(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, int out) {
    for (unsigned l = 0; l < model->layers; l++) {
        const ernn_packed_layer *layer = &model->layer[l];
        for (unsigned n = 0; n < layer->states; n++) {
            const size_t bytes = layer->state_bytes[n];
            uint8_t *theirs = *states++ + s * bytes, *mine = scratch + layer->state_at[n];
            memcpy(out ? theirs : mine, out ? mine : theirs, bytes);
        }
        if (!out && model->precision == ERNN_INT8 && (layer->kind == ERNN_GRU || layer->kind == ERNN_FASTGRNN))
            ernn_gru_h((const int32_t *)(scratch + layer->state_at[0]), (int16_t *)(scratch + layer->h), layer->units);
    }
}

static void step_int(const ernn_packed *model, uint8_t *scratch, const int16_t *xq, int32_t *y) {
    ernn_int8_state state = {(int16_t *)scratch, (int32_t *)(scratch + model->x), (int16_t *)(scratch + model->buf),
                             (int16_t *)(scratch + model->fresh)};
    model->int8_step((const ernn_int8_model *)((const uint8_t *)model + model->edge), &state, xq, y);
}

static int beyond(const float *x, size_t n, float reach) {
    int bad = 0;
    for (size_t j = 0; j < n; j++) bad |= !(x[j] <= reach && x[j] >= -reach);
    return bad;
}

static ernn_status step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    const void *inner = (const uint8_t *)model + model->edge;
    if (beyond(x, model->inputs, model->reach)) return ERNN_NOT_FINITE;
    if (model->precision == ERNN_FLOAT32) {
        ernn_float_state state = {(float *)scratch, (float *)(scratch + model->fresh)};
        model->float_step(inner, &state, x, y);
        return ERNN_OK;
    }
    int32_t *logits = (int32_t *)(scratch + model->scratch_bytes) - model->outputs;
    int16_t *xq = (int16_t *)logits - model->inputs;
    ernn_quantize(((const ernn_int8_model *)inner)->sx, model->inputs, x, xq);
    step_int(model, scratch, xq, logits);
    for (unsigned j = 0; j < model->outputs; j++) y[j] = (float)logits[j] * (1.0f / 65536);
    return ERNN_OK;
}

static ernn_status run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                       const float *x, float *y) {
    memset(scratch, 0, model->scratch_bytes);
    carry(model, scratch, states, s, 0);
    for (size_t t = 0; t < steps; t++)
        if (step(model, scratch, x + t * model->inputs, y + t * model->outputs) != ERNN_OK) return ERNN_NOT_FINITE;
    carry(model, scratch, states, s, 1);
    return ERNN_OK;
}

static void bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    memcpy(scratch + model->scratch_bytes, states, ernn_state_arrays(model) * sizeof *states);
}

static ernn_status step_bound(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    return run(model, scratch, (uint8_t *const *)(scratch + model->scratch_bytes), 0, 1, x, y);
}

static void run_int(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                    const int16_t *xq, int32_t *y) {
    memset(scratch, 0, model->scratch_bytes);
    carry(model, scratch, states, s, 0);
    for (size_t t = 0; t < steps; t++) step_int(model, scratch, xq + t * model->inputs, y + t * model->outputs);
    carry(model, scratch, states, s, 1);
}

static ernn_status group(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                         float *y) {
    if (beyond(x, n * model->inputs, model->reach)) return ERNN_NOT_FINITE;
    for (size_t s = 0; s < n; s++) run(model, scratch, states, s, 1, x + s * model->inputs, y + s * model->outputs);
    return ERNN_OK;
}

const ernn_isa ernn_isa_portable = {"portable", 1, pack, run, bind, step_bound, run_int, group};
