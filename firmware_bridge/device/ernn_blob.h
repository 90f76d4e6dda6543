/* A model that comes over the wire in pieces: in order, counted, and hashed as it comes. */
#ifndef ERNN_BLOB_H
#define ERNN_BLOB_H

#include <stdint.h>

typedef struct {
    uint32_t h[8];
    uint8_t block[64];
    uint32_t length;
} ernn_sha256;

typedef struct {
    uint32_t size, held;
    uint8_t begun;
    uint8_t digest[32];
    ernn_sha256 hash;
} ernn_blob;

/* Begins, or goes on where it was when the same size and digest are asked for again. */
void ernn_blob_begin(ernn_blob *blob, uint32_t size, const uint8_t digest[32]);

/* Whether this piece is the next one. */
int ernn_blob_take(ernn_blob *blob, uint32_t offset, const uint8_t *bytes, unsigned count);

/* Whether it is whole and what it was said to be. Either way it is over. */
int ernn_blob_end(ernn_blob *blob);

/* FIPS 180-4. */
void ernn_sha256_begin(ernn_sha256 *hash);
void ernn_sha256_take(ernn_sha256 *hash, const uint8_t *bytes, unsigned count);
void ernn_sha256_end(ernn_sha256 *hash, uint8_t digest[32]);

#endif
