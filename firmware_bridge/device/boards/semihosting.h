/* Arm semihosting: files, text and an exit code at the debugger or emulator that runs the board. Never in a product:
 * without a debugger the first call faults.
 */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

/* Open a file of the host, "rb" or "wb"; a handle, or -1. */
int semihosting_open(const char *path, int write);

/* Bytes that were NOT transferred: 0 is success. */
uint32_t semihosting_read(int handle, void *bytes, uint32_t size);
uint32_t semihosting_write(int handle, const void *bytes, uint32_t size);

/* A text on the debugger's console. */
void semihosting_print(const char *text);

/* End the emulation with an exit code. */
__attribute__((noreturn)) void semihosting_exit(uint32_t code);

#endif
