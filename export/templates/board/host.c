/* board.h and semihosting.h on a computer with an operating system, for `edge-rnn firmware check --board generic`. */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "semihosting.h"

static FILE *files[8];

int semihosting_open(const char *path, int write) {
    for (int handle = 0; handle < 8; handle++)
        if (!files[handle]) return (files[handle] = fopen(path, write ? "wb" : "rb")) ? handle : -1;
    return -1;
}

uint32_t semihosting_read(int handle, void *bytes, uint32_t size) {
    return size - (uint32_t)fread(bytes, 1, size, files[handle]);
}

uint32_t semihosting_write(int handle, const void *bytes, uint32_t size) {
    return size - (uint32_t)fwrite(bytes, 1, size, files[handle]);
}

void semihosting_exit(uint32_t code) { exit((int)code); }

uint32_t board_ticks(void) { return 0; }
void board_paint_stack(void) {}
uint32_t board_stack_used(void) { return 0; }
