/* A model that comes over the wire in pieces: in order, counted, and hashed as it comes. */
#ifndef ERNN_BLOB_H
#define ERNN_BLOB_H

#include <stdint.h>

typedef struct {
    uint32_t h[8], w[16]; /* w: the block that is being filled, then the schedule, which rolls */
    uint32_t length;
} ernn_sha256;

typedef struct {
    uint32_t size, held;
    uint8_t begun;
    uint32_t digest[8];
    ernn_sha256 hash;
} ernn_blob;

/* Begins, or goes on where it was when the same size and digest are asked for again. */
void ernn_blob_begin(ernn_blob *blob, uint32_t size, const uint8_t digest[32]);

/* Whether this piece is the next one; then `ernn_blob_hold` takes it, from where it is kept now. */
int ernn_blob_next(const ernn_blob *blob, uint32_t offset, unsigned count);
void ernn_blob_hold(ernn_blob *blob, const uint8_t *bytes, unsigned count);

/* Whether it is whole and what it was said to be. Either way it is over. */
int ernn_blob_end(ernn_blob *blob);

/* FIPS 180-4. */
void ernn_sha256_begin(ernn_sha256 *hash);
void ernn_sha256_take(ernn_sha256 *hash, const uint8_t *bytes, unsigned count);
/* The digest is then in hash->h, eight big-endian words. */
void ernn_sha256_end(ernn_sha256 *hash);

#endif
