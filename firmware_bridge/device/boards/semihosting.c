/* The calls of semihosting.h: operation in r0, arguments in r1, then the breakpoint that a debugger watches for. */
#include "semihosting.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
#define APPLICATION_EXIT 0x20026u

static uint32_t call(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = arguments;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int semihosting_open(const char *path, int write) {
    uint32_t length = 0;
    while (path[length]) length++;
    uintptr_t arguments[3] = {(uintptr_t)path, write ? 5u : 1u, length}; /* wb : rb */
    return (int)call(SYS_OPEN, arguments);
}

uint32_t semihosting_read(int handle, void *bytes, uint32_t size) {
    uintptr_t arguments[3] = {(uintptr_t)handle, (uintptr_t)bytes, size};
    return call(SYS_READ, arguments);
}

uint32_t semihosting_write(int handle, const void *bytes, uint32_t size) {
    uintptr_t arguments[3] = {(uintptr_t)handle, (uintptr_t)bytes, size};
    return call(SYS_WRITE, arguments);
}

void semihosting_print(const char *text) { call(SYS_WRITE0, text); }

void semihosting_exit(uint32_t code) {
    uint32_t arguments[2] = {APPLICATION_EXIT, code};
    for (;;) call(SYS_EXIT_EXTENDED, arguments);
}
