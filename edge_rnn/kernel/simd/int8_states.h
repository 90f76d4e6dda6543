/* Between the caller's states and an int8 model's scratch: where every layer reads and writes, and h in this instruction
 * set's form. No step is made here.
 */
#include "int8_block.h"

/* Where every layer reads and writes: h in the scratch, c or s too unless whole vectors fit the caller's. */
INLINE void int8_places(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, int8_place *at) {
    const uint8_t *x = scratch + model->x, *base = (const uint8_t *)model;
    size_t x_plane = PLANE((model->inputs + V - 1) / V * V);
    int8_place *const first = at, *const head = at + model->layers - 1;
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const int units = layer->units, padded = (int)layer->padded;
        uint8_t *h = scratch + layer->h;
        *at = (int8_place){
            .w = (const weight_t *)(base + layer->weights), .constants = (const row_constants *)(base + layer->constants),
            .x = x, .h = h, .out = layer->direct[0] ? h : scratch + model->fresh, .state = scratch + layer->c,
            .x_plane = x_plane, .h_plane = PLANE(padded),
            .x_groups = (layer->inputs + KP - 1) / KP, .h_groups = (units + KP - 1) / KP,
            .k_ih = layer->k[0], .k_hh = layer->k[1], .shift_ih = layer->requant[0], .shift_hh = layer->requant[1],
            .shift = layer->shift, .padded = padded, .table = base + model->table,
            .hidden = (vi *)(scratch + layer->hidden),
            .next = at + 1 < head ? at + 1 : first, .head = at + 1 < head ? NULL : head,
        };
        x = h, x_plane = PLANE(padded);
        if (layer->kind == ERNN_DENSE) {
            at->h_groups = 0, at->state = h;
            continue;
        }
        at->theirs_bytes = (layer->kind == ERNN_GRU ? 4 : 2) * (size_t)units;
        at->theirs = *states + s * at->theirs_bytes;
        if (layer->kind != ERNN_GRU) states++;
        if (layer->kind == ERNN_RNN) continue;
        if (layer->in_place) at->state = *states + 4 * s * layer->units;
        states++;
    }
}

/* h in this variant's form, from the caller's array that it follows from. */
INLINE void load_h(const ernn_packed_layer *layer, const int8_place *at) {
    if (layer->kind != ERNN_GRU) h_in(at->h, (const int16_t *)at->theirs, layer->units, at->padded);
    for (int j = 0; layer->kind == ERNN_GRU && j < at->padded; j += V) {
        const vi from_s = sat16((loadi(at->state + 4 * j) + 4096) >> 13);
        store_h(at->h + (PLANES ? 1 : 2) * j, PLANE(at->padded), &from_s, 1);
    }
}

INLINE void int8_enter(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, int8_place *at) {
    int8_places(model, scratch, states, s, at);
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        if (layer->kind == ERNN_DENSE) continue;
        if (layer->kind != ERNN_GRU) states++;
        if (layer->kind != ERNN_RNN && !layer->in_place) copy_in(at->state, *states + 4 * s * layer->units, layer->units);
        if (layer->kind != ERNN_RNN) states++;
        load_h(layer, at);
    }
}

INLINE void int8_leave(const ernn_packed *model, uint8_t *const *states, size_t s, const int8_place *at) {
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const int units = layer->units;
        if (layer->kind == ERNN_DENSE) continue;
        if (layer->kind != ERNN_GRU) h_out((int16_t *)*states++ + s * layer->units, at->h, units, (int)layer->padded);
        if (layer->kind == ERNN_RNN) continue;
        if (!layer->in_place) copy_out(*states + 4 * s * layer->units, at->state, units);
        states++;
    }
}
