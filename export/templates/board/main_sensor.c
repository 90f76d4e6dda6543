/* A sensor on @BOARD@ that streams to a host, which runs @TITLE@: role 1 of the wire (wire/ernn_link.h).
 *
 *     edge-rnn run @FILE@ --source serial:///dev/ttyACM0
 */
#include "board.h"
#include "ernn_link.h"
#include "sensor.h"

static ernn_link wire;

static void write_bytes(void *user, const uint8_t *bytes, unsigned count) {
    (void)user;
    while (count--) board_uart_put(*bytes++);
}

static const ernn_link_board board = {
    .info = {.role = ERNN_LINK_ROLE,
             .credits = ERNN_LINK_ANSWERS,
             .max_payload = ERNN_LINK_MAX_PAYLOAD,
             .dtype = 1,
             .tick_hz = BOARD_TICK_HZ,
             .rate_mhz = SENSOR_RATE_MILLIHZ,
             .firmware = 1,
             .scale = SENSOR_SCALE,
             .channels = SENSOR_CHANNELS},
    .write = write_bytes,
    .silence = BOARD_TICK_HZ / 10,
    .rows_per_frame = @ROWS@,
};

/* When a sample is due: take it and send it, @ROWS@ in a frame. */
static void sample(void) {
    static uint32_t due;
    if ((int32_t)(board_ticks() - due) < 0) return;
    due += (uint32_t)(BOARD_TICK_HZ * 1000.0 / SENSOR_RATE_MILLIHZ + 0.5);
    int16_t codes[SENSOR_CHANNELS];
    sensor_read(codes);
    ernn_link_push(&wire, codes, board_ticks());
}

int main(void) {
    if (!ernn_link_start(&wire, &board)) return 1; /* the numbers above do not fit wire/ernn_link.h */
    for (;;) {
        const int got = board_uart_get();
        const uint8_t byte = (uint8_t)got;
        if (got >= 0) ernn_link_feed(&wire, &byte, 1, board_ticks());
        sample();
    }
}
