/* One instruction set's variant of the host kernel. Compiled once per set with its own flags and
 * -DERNN_VARIANT=name; nothing in it is visible but ernn_isa_<name>.
 */
#include "host.h"
#include "pack.h"

static ernn_status run(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                       const float *x, float *y) {
    return (model->precision == ERNN_INT8 ? int8_run : float_run)(model, scratch, states, s, steps, x, y);
}

static void bind(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states) {
    (model->precision == ERNN_INT8 ? int8_bind : float_bind)(model, scratch, states);
}

static ernn_status step(const ernn_packed *model, uint8_t *scratch, const float *x, float *y) {
    return (model->precision == ERNN_INT8 ? int8_step : float_step)(model, scratch, x, y);
}

static ernn_status group(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                         float *y) {
    const size_t I = model->inputs, C = model->outputs;
    if (beyond(x, n * I, model->reach)) return ERNN_NOT_FINITE;
    if (model->precision == ERNN_FLOAT32) {
        float_group(model, scratch, states, n, x, y);
        return ERNN_OK;
    }
    for (size_t s = 0; s < n; s++) int8_run(model, scratch, states, s, 1, x + s * I, y + s * C);
    return ERNN_OK;
}

#define PASTE(a, b) a##b
#define ISA(name) PASTE(ernn_isa_, name)
#define TEXT(name) #name
#define NAME(name) TEXT(name)

const ernn_isa ISA(ERNN_VARIANT) = {
    .name = NAME(ERNN_VARIANT), .tile = TILE, .pack = pack, .run = run,
    .bind = bind, .step = step, .run_int = int8_run_int, .group = group,
};
