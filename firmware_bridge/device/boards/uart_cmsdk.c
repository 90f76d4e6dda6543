/* UART of Arm's FPGA images (CMSDK APB UART): the mps2 and mps3 boards. BOARD_UART is its address. */
#include "board.h"

typedef struct {
    volatile uint32_t data, state, control, interrupt, divider;
} cmsdk_uart;

#define UART ((cmsdk_uart *)BOARD_UART)
#define TX_FULL 1u
#define RX_FULL 2u

void board_init(void) {
    board_start_clock();
    UART->divider = BOARD_TICK_HZ / 115200u;
    UART->control = 3; /* transmitter and receiver on */
}

int board_uart_get(void) { return UART->state & RX_FULL ? (int)(UART->data & 0xFFu) : -1; }

void board_uart_put(uint8_t byte) {
    while (UART->state & TX_FULL) {
    }
    UART->data = byte;
}
