/* One instruction set's variant of the host kernel. Compiled once per set with its own flags and
 * -DERNN_VARIANT=name; nothing in it is visible but ernn_isa_<name>.
 */
#include "own.h"
#include "shape.h"
#include "pack.h"
#include "layers.h"

static int has_variant(const ernn_host_graph *graph) {
    for (int l = 0; l < graph->layers; l++)
        if (graph->layer[l].kind > ERNN_LSTM) return 0;
    return 1;
}

static void pack_any(const ernn_host_graph *graph, ernn_packed *header, uint8_t *memory) {
    if (has_variant(graph)) {
        pack(graph, header, memory);
        return;
    }
    ernn_isa_portable.pack(graph, header, memory);
    header->float_step = ernn_float_step, header->int8_step = ernn_int8_step;
    if (memory) memcpy(memory, header, sizeof *header);
}

static ernn_status run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                       const float *x, float *y) {
    if (model->portable) return ernn_isa_portable.run(model, scratch, states, s, steps, x, y);
    return (model->precision == ERNN_INT8 ? int8_run : float_run)(model, scratch, states, s, steps, x, y);
}

static void bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    if (model->portable) {
        ernn_isa_portable.bind(model, scratch, states);
        return;
    }
    (model->precision == ERNN_INT8 ? int8_bind : float_bind)(model, scratch, states);
}

static ernn_status step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    if (model->portable) return ernn_isa_portable.step(model, scratch, x, y);
    return (model->precision == ERNN_INT8 ? int8_step : float_step)(model, scratch, x, y);
}

static ernn_status group(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                         float *y) {
    const size_t I = model->inputs, C = model->outputs;
    if (model->portable) return ernn_isa_portable.group(model, scratch, states, n, x, y);
    if (beyond(x, n * I, model->reach)) return ERNN_NOT_FINITE;
    if (model->precision == ERNN_FLOAT32) {
        float_group(model, scratch, states, n, x, y);
        return ERNN_OK;
    }
    for (size_t s = 0; s < n; s++) int8_run(model, scratch, states, s, 1, x + s * I, y + s * C);
    return ERNN_OK;
}

static void run_int(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                    const int16_t *xq, int32_t *y) {
    (model->portable ? ernn_isa_portable.run_int : int8_run_int)(model, scratch, states, s, steps, xq, y);
}

#define PASTE(a, b) a##b
#define ISA(name) PASTE(ernn_isa_, name)
#define TEXT(name) #name
#define NAME(name) TEXT(name)

const ernn_isa ISA(ERNN_VARIANT) = {
    .name = NAME(ERNN_VARIANT), .tile = TILE, .pack = pack_any, .run = run,
    .bind = bind, .step = step, .run_int = run_int, .group = group,
};
