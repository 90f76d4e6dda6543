// Reads samples as CSV lines in physical units and prints labels. Put your sensor in the place of parseFloat.
#include <@PREFIX@.h>

static @PREFIX@_state state;  // zero: the start of a stream

void setup() { Serial.begin(115200); }

void loop() {
  float x[@P@_INPUTS];
@VARIABLES@
  while (!Serial.available()) {}
  for (float &value : x) value = Serial.parseFloat();
  if (@PREPARE@ != ERNN_OK) return;
  @PREFIX@_step(&state, @X@, y);
  Serial.println(@PREFIX@_labels[@PREFIX@_best(y)]);
}
