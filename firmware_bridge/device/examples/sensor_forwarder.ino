/* An Arduino sketch that streams a sensor over the wire (role 1 of docs/wire.md): numbered samples, nothing lost that
 * the ring still holds. Copy ernn_*.c and ernn_*.h beside it and set ERNN_LINK_ROLE to 1 in your board's build flags.
 *
 * On the host: edge-rnn run M.ernn --source serial:///dev/serial/by-id/usb-Arduino_*
 */
#include "ernn_link.h"

#define CHANNELS 3
#define RATE_HZ 50u

static ernn_link wire;
static uint32_t due; /* when the next sample is */

static void write_bytes(void *user, const uint8_t *bytes, unsigned count) {
    (void)user;
    Serial.write(bytes, count);
}

/* Your sensor here: int16 codes; the host multiplies them by `scale`. */
static void read_sensor(int16_t sample[CHANNELS]) {
    for (int i = 0; i < CHANNELS; i++) sample[i] = (int16_t)(analogRead(A0 + i) - 512);
}

static ernn_link_board board; /* filled in setup: a sketch is C++, which has no C99 initializers */

void setup() {
    Serial.begin(115200);
    board.info.role = ERNN_ROLE_SENSOR;
    board.info.credits = ERNN_LINK_ANSWERS;
    board.info.max_payload = ERNN_LINK_MAX_PAYLOAD;
    board.info.dtype = 1;
    board.info.tick_hz = 1000000u;
    board.info.rate_mhz = RATE_HZ * 1000u;
    board.info.scale = 0.0049f; /* volts: 5 V / 1024 */
    board.info.channels = CHANNELS;
    board.write = write_bytes;
    board.silence = 100000u;
    board.rows_per_frame = 2;
    ernn_link_start(&wire, &board);
    due = micros();
}

void loop() {
    while (Serial.available() > 0) {
        const uint8_t byte = (uint8_t)Serial.read();
        ernn_link_feed(&wire, &byte, 1, micros());
    }
    if ((int32_t)(micros() - due) >= 0) {
        int16_t sample[CHANNELS];
        due += 1000000u / RATE_HZ;
        read_sensor(sample);
        ernn_link_push(&wire, sample, micros());
    }
}
