/* See arduino.h. Pin n measures a count that grows with each pin read, so that a row tells its number. */
#include "arduino.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

SerialPort Serial;
static uint32_t reads;

int analogRead(int pin) { return static_cast<int>(reads++ / 3 % 1000) + pin - A0; }

uint32_t micros() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint32_t>(now.tv_sec * 1000000u + now.tv_nsec / 1000);
}

void SerialPort::begin(long) {}

int SerialPort::available() {
    struct pollfd in = {0, POLLIN, 0};
    return poll(&in, 1, 1) > 0 && (in.revents & POLLIN);
}

int SerialPort::read() {
    uint8_t byte = 0;
    return ::read(0, &byte, 1) == 1 ? byte : -1;
}

size_t SerialPort::write(const uint8_t *bytes, size_t count) {
    const ssize_t taken = ::write(1, bytes, count);
    return taken < 0 ? 0 : static_cast<size_t>(taken);
}

int main() {
    setup();
    for (;;) loop();
}
