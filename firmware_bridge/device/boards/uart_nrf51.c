/* UART of the nRF51 on the BBC micro:bit (v1): transmit on pin 24, receive on pin 25, to its USB interface chip. */
#include "board.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART + (offset)))
#define START_RX REGISTER(0x000)
#define START_TX REGISTER(0x008)
#define RX_READY REGISTER(0x108)
#define TX_READY REGISTER(0x11C)
#define ENABLE REGISTER(0x500)
#define PIN_TX REGISTER(0x50C)
#define PIN_RX REGISTER(0x514)
#define RX_DATA REGISTER(0x518)
#define TX_DATA REGISTER(0x51C)
#define BAUD_RATE REGISTER(0x524)

void board_init(void) {
    board_start_clock();
    PIN_TX = 24;
    PIN_RX = 25;
    BAUD_RATE = 0x01D7E000u; /* 115200 */
    ENABLE = 4;
    START_TX = 1;
    START_RX = 1;
}

int board_uart_get(void) {
    if (!RX_READY) return -1;
    RX_READY = 0;
    return (int)(RX_DATA & 0xFFu);
}

void board_uart_put(uint8_t byte) {
    TX_READY = 0;
    TX_DATA = byte;
    while (!TX_READY) {
    }
}
