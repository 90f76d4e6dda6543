/* @TITLE@ on @BOARD@.
@PURPOSE@
 */
#include <string.h>

#include "@PREFIX@.h"
#include "board.h"
#include "ernn_link.h"
@INCLUDE@
@STORE_STATE@static @PREFIX@_state state; /* zero: the start of a stream */
static uint8_t wire_state[@P@_STATE_BYTES];
static ernn_link wire;

static void write_bytes(void *user, const uint8_t *bytes, unsigned count) {
    (void)user;
    while (count--) board_uart_put(*bytes++);
}

static void step(void *user, const int16_t *xq, int32_t *y) {
    (void)user;
    const uint32_t start = board_ticks();
    @PREFIX@_step(@W@&state, xq, y);
    const uint32_t spent = board_ticks() - start;
    if (spent > wire.max_step_ticks) wire.max_step_ticks = spent;
}

static void zero(void *user) {
    (void)user;
    memset(&state, 0, sizeof state);
}

static void save(void *user) {
    (void)user;
    @PREFIX@_save(&state, wire_state);
}

static void load(void *user) {
    (void)user;
    @PREFIX@_load(&state, wire_state);
}

@STORE_CALLS@static const ernn_link_board board = {
    .info = {.role = ERNN_LINK_ROLE,
             .credits = ERNN_LINK_ANSWERS,
             .max_payload = ERNN_LINK_MAX_PAYLOAD,
             .dtype = 1,
             .tick_hz = BOARD_TICK_HZ,
             .rate_mhz = @P@_RATE_MILLIHZ,
             .firmware = 1,
             .scale = 1.0f,
             .model_hash = @P@_HASH,
             .inputs = @P@_INPUTS,
             .hidden = @HIDDEN@,
             .outputs = @P@_OUTPUTS,
             .state_bytes = @P@_STATE_BYTES,
             .channels = @P@_INPUTS,
             .model_kind = @KIND@@OPTIONS@},
    .write = write_bytes,
    .silence = BOARD_TICK_HZ / 10,
    .step = step,
    .zero = zero,
    .state = wire_state,
    .save = save,
    .load = load,
@STORE_FIELDS@};

@SAMPLING@int main(void) {
@STORE_START@    if (!ernn_link_start(&wire, &board)) return 1; /* the numbers above do not fit wire/ernn_link.h */
@STORE_STARTED@    for (;;) {
        const int got = board_uart_get();
        const uint8_t byte = (uint8_t)got;
        if (got >= 0) ernn_link_feed(&wire, &byte, 1, board_ticks());
@TURN@@STORE_TURN@    }
}
