// Steps the model on a host's samples and answers each with its logits: role 2 of the wire (src/ernn_link.h).
//     edge-rnn firmware check @FILE@ --serial /dev/ttyACM0
#include <@PREFIX@.h>
#include <ernn_link.h>

static @PREFIX@_state state;  // zero: the start of a stream
static uint8_t wire_state[@P@_STATE_BYTES];
static ernn_link wire;
static ernn_link_board board;  // filled in setup: C++ has no C99 initializers

static void write_bytes(void *, const uint8_t *bytes, unsigned count) { Serial.write(bytes, count); }

static void step(void *, const int16_t *xq, int32_t *y) {
  const uint32_t start = micros();
  @PREFIX@_step(&state, xq, y);
  const uint32_t spent = micros() - start;
  if (spent > wire.max_step_ticks) wire.max_step_ticks = spent;
}

static void zero(void *) { state = @PREFIX@_state(); }
static void save(void *) { @PREFIX@_save(&state, wire_state); }
static void load(void *) { @PREFIX@_load(&state, wire_state); }

void setup() {
  Serial.begin(115200);
  ernn_link_info &info = board.info;
  info.role = ERNN_ROLE_INFERENCE;
  info.credits = ERNN_LINK_ANSWERS;
  info.max_payload = ERNN_LINK_MAX_PAYLOAD;
  info.dtype = 1;
  info.tick_hz = 1000000;
  info.rate_mhz = @P@_RATE_MILLIHZ;
  info.firmware = 1;
  info.scale = 1;
  info.model_hash = @P@_HASH;
  info.inputs = info.channels = @P@_INPUTS;
  info.hidden = @HIDDEN@;
  info.outputs = @P@_OUTPUTS;
  info.state_bytes = @P@_STATE_BYTES;
  info.model_kind = @KIND@;
  board.write = write_bytes;
  board.silence = 100000;  // 100 ms of micros()
  board.step = step;
  board.zero = zero;
  board.state = wire_state;
  board.save = save;
  board.load = load;
  ernn_link_start(&wire, &board);
}

void loop() {
  while (Serial.available() > 0) {
    const uint8_t byte = (uint8_t)Serial.read();
    ernn_link_feed(&wire, &byte, 1, micros());
  }
}
