/* Streams input.bin (float32 samples) through the model on an emulated board and leaves output.bin: for each sample its
 * logits, then the final state, then {ticks of all steps u64, stack of a step u32}. Files come by semihosting.
 */
#include "@PREFIX@.h"
#include "board.h"
#include "semihosting.h"

#if @P@_INT8
typedef int16_t input;
typedef int32_t output;
#define PREPARE(x, in) @PREFIX@_quantize(x, in)
#define RESTART(t) ((void)(t))
#else
typedef float input;
typedef float output;
#define PREPARE(x, in) (memcpy(in, x, sizeof(float) * @P@_INPUTS), ernn_check_finite(x, @P@_INPUTS))
#define RESTART(t) ((t) % 1000 ? (void)0 : (void)memset(&state, 0, sizeof state))
#include <string.h>
#endif

static @PREFIX@_state state;
static float x[CHUNK][@P@_INPUTS];
static input in[CHUNK][@P@_INPUTS];
static output y[CHUNK][@P@_OUTPUTS];
static uint8_t bytes[@P@_STATE_BYTES + 1];

int main(void) {
    const int from = semihosting_open("input.bin", 0), to = semihosting_open("output.bin", 1);
    if (from < 0 || to < 0) semihosting_exit(1);
    uint64_t ticks = 0;
    uint32_t stack = 0;
    for (uint32_t t = 0; t < STEPS; t += CHUNK) {
        const uint32_t n = STEPS - t < CHUNK ? STEPS - t : CHUNK;
        if (semihosting_read(from, x, n * sizeof x[0])) semihosting_exit(1);
        for (uint32_t i = 0; i < n; i++)
            if (PREPARE(x[i], in[i]) != ERNN_OK) semihosting_exit(2);
        RESTART(t);
        if (t == 0) board_paint_stack();
        const uint32_t start = board_ticks();
        for (uint32_t i = 0; i < n; i++) @PREFIX@_step(&state, in[i], y[i]);
        ticks += board_ticks() - start;
        if (t == 0) stack = board_stack_used();
        if (semihosting_write(to, y, n * sizeof y[0])) semihosting_exit(1);
    }
    @PREFIX@_save(&state, bytes);
    const uint32_t measured[3] = {(uint32_t)ticks, (uint32_t)(ticks >> 32), stack};
    if (semihosting_write(to, bytes, @P@_STATE_BYTES) || semihosting_write(to, measured, 12)) semihosting_exit(1);
    semihosting_exit(0);
}
