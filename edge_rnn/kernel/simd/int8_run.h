/* Steps of an int8 model for one instruction set: samples in, logits out, on states that are entered and left at each
 * call or stay bound.
 */
#include "int8_states.h"

/* All layers, one step. `on`: another step is to follow, so layers may be woven (int8_woven.h); `ready`: the one before left
 * the first layer's `hidden`.
 */
INLINE void int8_layers(const ernn_packed *model, const int8_place *at, int on, int ready) {
    const ernn_packed_layer *layer = model->layer;
    if (!on || !model->woven) {
        for (int l = 0; l < model->layers; l++) ((int8_fn)layer[l].run[0])(at + l);
        return;
    }
    if (!ready)
        for (int gate = 0; gate < GATES(GRU); gate++) gate_sums(at, HIDDEN, gate, at->hidden + 4 * gate);
    for (int l = 0; l + 1 < model->layers; l++) ((int8_fn)layer[l].run[1])(at + l); /* the last one calls the head */
}

/* x_q = sat16(rint(x / sx)): a true division, rounded half to even. */
INLINE int take_int8(const ernn_packed *model, uint8_t *stream, const float *x) {
    const float *sx = (const float *)((const uint8_t *)model + model->edge);
    const size_t plane = PLANE((model->inputs + V - 1) / V * V);
    int bad = 0;
    for (int j = 0; j < model->inputs; j += V) {
        vf v = headf(x + j, model->inputs - j);
        bad |= any_beyond(v, splat(model->reach));
        vi q = roundi(maxf(minf(v / loadf(sx + j), splat(32767.0f)), splat(-32768.0f)));
        store_h(stream + model->x + (PLANES ? 1 : 2) * j, plane, &q, 1);
    }
    return bad;
}

INLINE void take_int16(const ernn_packed *model, uint8_t *stream, const int16_t *xq) {
    const size_t plane = PLANE((model->inputs + V - 1) / V * V);
    for (int j = 0; j < model->inputs; j += V) {
        const vi q = widen(xq + j, model->inputs - j);
        store_h(stream + model->x + (PLANES ? 1 : 2) * j, plane, &q, 1);
    }
}

INLINE void give_int8(const ernn_packed *model, const uint8_t *stream, float *y) {
    const uint8_t *logits = stream + model->layer[model->layers - 1].h;
    for (int j = 0; j < model->outputs; j += V)
        put(y + j, tofloat(loadi(logits + 4 * j)) * splat(1.0f / 65536), model->outputs - j);
}

static ernn_status int8_run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                            const float *x, float *y) {
    int8_place at[ERNN_MAX_LAYERS];
    if (steps > 1 && beyond(x, steps * model->inputs, model->reach)) return ERNN_NOT_FINITE;
    if (steps == 1 && take_int8(model, scratch, x)) return ERNN_NOT_FINITE;
    int8_enter(model, scratch, states, s, at);
    for (size_t t = 0; t < steps; t++, x += model->inputs, y += model->outputs) {
        if (steps > 1) take_int8(model, scratch, x);
        int8_layers(model, at, steps > 1, t > 0);
        give_int8(model, scratch, y);
    }
    int8_leave(model, states, s, at);
    return ERNN_OK;
}

/* What `bind` leaves behind a scratch: the places of all layers, the caller's states, and what h followed from. */
INLINE uint8_t **int8_bound(const ernn_packed *model, uint8_t *scratch, int8_place **at) {
    *at = (int8_place *)(scratch + model->scratch_bytes);
    return (uint8_t **)(*at + model->layers);
}

static void int8_bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    int8_place *at;
    uint8_t **pointers = int8_bound(model, scratch, &at), *kept = (uint8_t *)(pointers + 2 * model->layers);
    memcpy(pointers, states, ernn_state_arrays(model) * sizeof *states);
    int8_places(model, scratch, states, 0, at);
    for (int l = 0; l < model->layers; l++, at++) {
        at->kept = kept;
        for (size_t j = 0; j < at->theirs_bytes; j++) kept[j] = (uint8_t)~at->theirs[j]; /* so that it is loaded */
        kept += at->theirs_bytes;
    }
}

INLINE int differs(const uint8_t *a, const uint8_t *b, size_t bytes) {
    typedef int64_t half __attribute__((vector_size(2 * V), aligned(1), may_alias));
    half sum = {0};
    int64_t any = 0;
    for (size_t j = 0; j < bytes; j += 2 * V) sum |= *(const half *)(a + j) ^ *(const half *)(b + j);
    UNROLL for (int j = 0; j < V / 4; j++) any |= sum[j];
    return any != 0;
}

/* One step on bound states. The planes of h stay here from step to step: to make them anew would be the first link of
 * the chain that a small network waits for. Whole vectors fit, so arrays are multiples of V int16.
 */
static ernn_status int8_step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    const ernn_packed_layer *layer = model->layer;
    int8_place *at;
    uint8_t *const *states = int8_bound(model, scratch, &at);
    if (model->copied) return int8_run(model, scratch, states, 0, 1, x, y);
    if (take_int8(model, scratch, x)) return ERNN_NOT_FINITE;
    int ready = 1;
    for (int l = 0; l < model->layers; l++) {
        if (!differs(at[l].kept, at[l].theirs, at[l].theirs_bytes)) continue;
        load_h(&layer[l], &at[l]);
        ready &= l > 0;
    }
    int8_layers(model, at, 1, ready);
    give_int8(model, scratch, y);
    for (int l = 0; l < model->layers; l++) {
        if (layer[l].kind == ERNN_RNN || layer[l].kind == ERNN_LSTM)
            h_out((int16_t *)at[l].theirs, at[l].h, layer[l].units, at[l].padded);
        for (size_t j = 0; j < at[l].theirs_bytes; j += 2 * V) memcpy(at[l].kept + j, at[l].theirs + j, 2 * V);
    }
    return ERNN_OK;
}

static void int8_run_int(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                         const int16_t *xq, int32_t *y) {
    int8_place at[ERNN_MAX_LAYERS];
    int8_enter(model, scratch, states, s, at);
    for (size_t t = 0; t < steps; t++, xq += model->inputs, y += model->outputs) {
        take_int16(model, scratch, xq);
        int8_layers(model, at, steps > 1, t > 0);
        memcpy(y, scratch + model->layer[model->layers - 1].h, 4 * (size_t)model->outputs);
    }
    int8_leave(model, states, s, at);
}
