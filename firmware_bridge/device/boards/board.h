/* What a program may ask of a board: a serial line, a clock, a way out. Written for the boards that qemu-system-arm
 * emulates (boards.toml); for other hardware these few functions are all there is to port.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Called once by the start-up code, before main: clock, serial line. FPU and Helium are on already. */
void board_init(void);

/* Serial line, 115200 baud 8N1, polled. get: the next byte, or -1 when none has come. put waits for room. */
int board_uart_get(void);
void board_uart_put(uint8_t byte);

/* Ticks of BOARD_TICK_HZ since board_init started the clock, wrapping at 2^32. */
void board_start_clock(void);
uint32_t board_ticks(void);

/* Flash that a program may write, for a store at its end (link_store to link_store_end): erase whole pages of
 * BOARD_FLASH_PAGE bytes to ones, then write words, each once.
 */
#define BOARD_FLASH_PAGE 1024u
void board_flash_erase(uintptr_t page, uint32_t bytes);
void board_flash_write(uintptr_t to, const uint32_t *words, uint32_t count);
extern const uint32_t link_store[], link_store_end[];

/* Fill the unused stack with a pattern; later, the bytes below the caller's frame that were written since. */
void board_paint_stack(void);
uint32_t board_stack_used(void);

#endif
