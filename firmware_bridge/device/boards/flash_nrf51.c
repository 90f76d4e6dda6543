/* The nRF51's flash, written by its own controller: pages of 1 KB, erased to ones; the core waits meanwhile. */
#include "board.h"

#define NVMC(offset) (*(volatile uint32_t *)(0x4001E000u + (offset)))
#define READY NVMC(0x400)
#define CONFIG NVMC(0x504) /* 0 read, 1 write, 2 erase */
#define ERASE_PAGE NVMC(0x508)

void board_flash_erase(uintptr_t page, uint32_t bytes) {
    CONFIG = 2;
    for (const uintptr_t end = page + bytes; page < end; page += BOARD_FLASH_PAGE) {
        ERASE_PAGE = (uint32_t)page;
        while (!READY) {
        }
    }
    CONFIG = 0;
}

void board_flash_write(uintptr_t to, const uint32_t *words, uint32_t count) {
    CONFIG = 1;
    for (volatile uint32_t *word = (volatile uint32_t *)to; count; count--) {
        *word++ = *words++;
        while (!READY) {
        }
    }
    CONFIG = 0;
}
