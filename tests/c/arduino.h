/* As much of the Arduino core as the example sketch uses, on a Unix terminal: for building it in a test. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

#define A0 14

int analogRead(int pin);
uint32_t micros();

struct SerialPort {
    void begin(long baud);
    int available();
    int read();
    size_t write(const uint8_t *bytes, size_t count);
};
extern SerialPort Serial;

void setup();
void loop();

#endif
