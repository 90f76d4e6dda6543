/* A stand-in for flash where a board's code lies in RAM (the mps2 and mps3 images): it survives a reset, not a power cut.
 */
#include "board.h"

void board_flash_erase(uintptr_t page, uint32_t bytes) {
    for (volatile uint32_t *word = (volatile uint32_t *)page; bytes; bytes -= 4) *word++ = 0xFFFFFFFFu;
}

void board_flash_write(uintptr_t to, const uint32_t *words, uint32_t count) {
    for (volatile uint32_t *word = (volatile uint32_t *)to; count; count--) *word++ &= *words++;
}
