/* A board that runs a model on the host's samples and answers with its logits (role 2 of docs/wire.md).
 *
 * With model.h of `edge-rnn firmware build M.ernn --board B` and the board's support beside it; on the host
 * `edge_rnn.firmware_bridge.remote.Remote` steps it. The emulated boards' UARTs wait for whoever polls them; on real
 * hardware let an interrupt put the bytes into a ring of (ERNN_LINK_ANSWERS + 1) * (ERNN_FRAME_BYTES + 2).
 */
#include "board.h"
#include "ernn_link.h"
#include "model.h"

static model_state state; /* zero: the start of a stream */
static uint8_t wire_state[MODEL_STATE_BYTES];
static ernn_link wire;

static void write_bytes(void *user, const uint8_t *bytes, unsigned count) {
    (void)user;
    while (count--) board_uart_put(*bytes++);
}

static void step(void *user, const int16_t *x, int32_t *y) {
    (void)user;
    const uint32_t start = board_ticks();
    model_step(&state, x, y);
    const uint32_t spent = board_ticks() - start;
    if (spent > wire.max_step_ticks) wire.max_step_ticks = spent;
}

static void zero(void *user) {
    static const model_state initial;
    (void)user;
    state = initial;
}

static void save(void *user) {
    (void)user;
    model_save(&state, wire_state);
}

static void load(void *user) {
    (void)user;
    model_load(&state, wire_state);
}

static const ernn_link_board board = {
    .info = {.role = ERNN_ROLE_INFERENCE,
             .credits = ERNN_LINK_ANSWERS,
             .max_payload = ERNN_LINK_MAX_PAYLOAD,
             .dtype = 1,
             .tick_hz = BOARD_TICK_HZ,
             .rate_mhz = MODEL_RATE_MILLIHZ,
             .firmware = 1,
             .scale = 1.0f,
             .model_hash = MODEL_HASH,
             .inputs = MODEL_INPUTS,
             .outputs = MODEL_OUTPUTS,
             .state_bytes = MODEL_STATE_BYTES,
             .channels = MODEL_INPUTS,
             .model_kind = 4},
    .write = write_bytes,
    .silence = BOARD_TICK_HZ / 10,
    .step = step,
    .zero = zero,
    .state = wire_state,
    .save = save,
    .load = load,
};

int main(void) {
    if (!ernn_link_start(&wire, &board)) return 1; /* the model's rows do not fit ERNN_LINK_MAX_PAYLOAD */
    for (;;) {
        const int got = board_uart_get();
        const uint8_t byte = (uint8_t)got;
        if (got >= 0) ernn_link_feed(&wire, &byte, 1, board_ticks());
    }
}
