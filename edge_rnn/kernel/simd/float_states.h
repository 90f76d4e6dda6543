/* Between the caller's arrays and a float32 model's scratch: states, samples and logits. No step is made here. */
#include "float_pairs.h"

INLINE void copy_in(uint8_t *to, const uint8_t *from, int units) {
    for (int j = 0; j < units; j += V) storef(to + 4 * j, headf((const float *)from + j, units - j));
}

INLINE void copy_out(uint8_t *to, const uint8_t *from, int units) {
    for (int j = 0; j < units; j += V) put((float *)to + j, loadf(from + 4 * j), units - j);
}
/* Where every layer of 1 or TILE streams reads and writes. A state stays with the caller where whole vectors fit it
 * (in_place), else it is copied into the scratch here and back by `leave`.
 */
INLINE void enter(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, const int tile, place *at) {
    const size_t stride = model->scratch_bytes;
    const uint8_t *x = scratch + model->x;
    size_t x_stride = stride;
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const size_t bytes = 4 * (size_t)layer->units;
        uint8_t *h = scratch + layer->h, *c = scratch + layer->c;
        *at = (place){x, h, c, h, x_stride, stride, stride, 0};
        if (layer->kind != ERNN_DENSE) {
            uint8_t *from_h = *states++ + s * bytes, *from_c = layer->kind == ERNN_LSTM ? *states++ + s * bytes : NULL;
            if (layer->in_place)
                at->h = at->out = from_h, at->c = from_c, at->h_stride = at->out_stride = bytes;
            for (size_t t = 0; !layer->in_place && t < (tile ? TILE : 1); t++) {
                copy_in(h + t * stride, from_h + t * bytes, layer->units);
                if (from_c) copy_in(c + t * stride, from_c + t * bytes, layer->units);
            }
            if (!layer->direct[tile]) at->out = scratch + model->fresh, at->out_stride = stride;
        }
        x = at->h, x_stride = at->h_stride;
    }
}

INLINE void leave(const ernn_packed *model, uint8_t *const *states, size_t s, const int tile, const place *at) {
    for (int l = 0; l < model->layers; l++, at++) {
        const ernn_packed_layer *layer = &model->layer[l];
        const size_t bytes = 4 * (size_t)layer->units;
        for (int c = 0; layer->kind != ERNN_DENSE && c < (layer->kind == ERNN_LSTM ? 2 : 1); c++, states++)
            for (size_t t = 0; !layer->in_place && t < (tile ? TILE : 1); t++)
                copy_out(*states + (s + t) * bytes, (c ? at->c : at->h) + t * at->h_stride, layer->units);
    }
}

/* x - mean; the division by std is in the weights. Gives whether something no state may meet was there. */
INLINE int take_float(const ernn_packed *model, uint8_t *to, const float *x) {
    const float *mean = (const float *)((const uint8_t *)model + model->edge);
    const int inputs = model->inputs;
    int bad = 0;
    for (int j = 0; j < inputs; j += V) {
        const vf v = headf(x + j, inputs - j);
        bad |= any_beyond(v, splat(model->reach));
        storef(to + 4 * j, v - loadf(mean + j));
    }
    return bad;
}

INLINE void give_float(const ernn_packed *model, const uint8_t *logits, float *y) {
    const int outputs = model->outputs;
    for (int j = 0; j < outputs; j += V) copy(y + j, (const float *)logits + j, outputs - j < V ? outputs - j : V);
}
