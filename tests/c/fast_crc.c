/* The device's CRC-32 by four tables of 256 words, for R2's sixty million errors; held against ernn_crc.c at the start. */
#define ernn_crc32 device_crc32
#include "ernn_crc.c"
#undef ernn_crc32

#include <stdlib.h>
#include <string.h>

static uint32_t table[4][256];

static uint32_t fast(const uint8_t *bytes, unsigned count) {
    uint32_t crc = 0xffffffffu;
    for (; count >= 4; count -= 4, bytes += 4) {
        uint32_t word;
        memcpy(&word, bytes, 4);
        crc ^= word;
        crc = table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^ table[0][crc >> 24];
    }
    while (count--) crc = crc >> 8 ^ table[0][(crc ^ *bytes++) & 255];
    return ~crc;
}

static void make_tables(void) {
    for (unsigned i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (unsigned bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        table[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++)
        for (unsigned t = 1; t < 4; t++) table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
    uint8_t bytes[300];
    uint32_t r = 1;
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)((r = r * 1664525u + 1013904223u) >> 24);
    for (unsigned first = 0; first < 8; first++)
        for (unsigned count = 0; count < sizeof bytes - 8; count++)
            if (fast(bytes + first, count) != device_crc32(bytes + first, count)) abort();
}

uint32_t ernn_crc32(const uint8_t *bytes, unsigned count) {
    if (!table[0][1]) make_tables();
    return fast(bytes, count);
}
