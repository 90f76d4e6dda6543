/* SysTick as a clock, which every Cortex-M has. board_init of a board with a serial line starts it. */
#include "board.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)

void board_systick(void);

static volatile uint32_t wraps; /* of its 24 bits */

void board_systick(void) { wraps++; }

void board_start_clock(void) {
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 7; /* processor clock, interrupt at a wrap, on */
}

uint32_t board_ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = SYSTICK_VALUE;
    } while (high != wraps);
    return (high << 24) + (0xFFFFFFu - low);
}
