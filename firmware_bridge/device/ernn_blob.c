/* See ernn_blob.h. SHA-256 is written from FIPS 180-4, for size. */
#include "ernn_blob.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, unsigned by) { return x >> by | x << (32 - by); }

static void mix(uint32_t h[8], uint32_t w[16]) {
    uint32_t room[24], *v = h; /* a to h of a round are v[0] to v[7]; each round v moves one word down */
    for (unsigned i = 0; i < 64; i++) {
        uint32_t *now = &w[i & 15];
        if ((i & 15) == 0) {
            memcpy(room + 16, v, 32);
            v = room + 16;
        }
        if (i >= 16) {
            const uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
            *now += (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[(i + 9) & 15] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
        }
        const uint32_t e = v[4], a = v[0];
        const uint32_t t1 = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + K[i] + *now;
        const uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        v--;
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) h[i] += v[i];
}

void ernn_sha256_begin(ernn_sha256 *s) {
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, first, sizeof first);
    s->length = 0;
}

void ernn_sha256_take(ernn_sha256 *s, const uint8_t *bytes, unsigned count) {
    while (count--) {
        uint32_t *word = &s->w[s->length / 4 & 15];
        *word = *word << 8 | *bytes++;
        if ((++s->length & 63) == 0) mix(s->h, s->w);
    }
}

void ernn_sha256_end(ernn_sha256 *s) {
    const uint32_t length = s->length;
    uint8_t byte = 0x80;
    do {
        ernn_sha256_take(s, &byte, 1);
        byte = 0;
    } while ((s->length & 63) != 56);
    s->w[14] = length >> 29;
    s->w[15] = length << 3;
    mix(s->h, s->w);
}

void ernn_blob_begin(ernn_blob *b, uint32_t size, const uint8_t digest[32]) {
    unsigned same = b->begun && b->size == size;
    for (unsigned i = 0; i < 8; i++) {
        uint32_t word = 0;
        for (unsigned j = 0; j < 4; j++) word = word << 8 | *digest++;
        if (b->digest[i] != word) same = 0;
        b->digest[i] = word;
    }
    if (same) return;
    b->begun = 1;
    b->size = size;
    b->held = 0;
    ernn_sha256_begin(&b->hash);
}

int ernn_blob_next(const ernn_blob *b, uint32_t offset, unsigned count) {
    return b->begun && offset == b->held && count <= b->size - b->held;
}

void ernn_blob_hold(ernn_blob *b, const uint8_t *bytes, unsigned count) {
    ernn_sha256_take(&b->hash, bytes, count);
    b->held += count;
}

int ernn_blob_end(ernn_blob *b) {
    const int whole = b->begun && b->held == b->size;
    b->begun = 0;
    if (!whole) return 0;
    ernn_sha256_end(&b->hash);
    uint32_t differ = 0;
    for (unsigned i = 0; i < 8; i++) differ |= b->hash.h[i] ^ b->digest[i];
    return differ == 0;
}
