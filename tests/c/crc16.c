/* The negative control of R1 and R2: CRC-16/CCITT in the place of CRC-32. */
#include "ernn_frame.h"

uint32_t ernn_crc32(const uint8_t *bytes, unsigned count) {
    uint32_t crc = 0xffffu;
    while (count--) {
        crc ^= (uint32_t)*bytes++ << 8;
        for (int bit = 0; bit < 8; bit++) crc = crc & 0x8000u ? (crc << 1 ^ 0x1021u) & 0xffffu : crc << 1;
    }
    return crc;
}
