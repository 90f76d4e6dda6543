/* COBS and CRC-32 around one frame of the wire (docs/wire.md): bytes in, a frame out, in the caller's memory.
 *
 * C99, no malloc, no libc but string.h. It never writes beyond a frame whatever comes, and is in step again at the
 * next zero. Little-endian cores: fields are read where they lie, and the layout keeps them aligned.
 */
#ifndef ERNN_FRAME_H
#define ERNN_FRAME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the device end of the wire is written for little-endian cores"
#endif

#ifndef ERNN_LINK_MAX_PAYLOAD
#define ERNN_LINK_MAX_PAYLOAD 64 /* bytes; a multiple of 4, 48..240 */
#endif
#if ERNN_LINK_MAX_PAYLOAD < 48 || ERNN_LINK_MAX_PAYLOAD > 240 || ERNN_LINK_MAX_PAYLOAD % 4
#error "ERNN_LINK_MAX_PAYLOAD must be a multiple of 4 between 48 and 240"
#endif

#define ERNN_FRAME_HEAD 4u
#define ERNN_FRAME_BYTES (ERNN_FRAME_HEAD + ERNN_LINK_MAX_PAYLOAD + 4u)

/* type u8 | seq u8 | session u16 | payload | crc32. The payload begins at byte[4], half[2], word[1]. */
typedef union {
    uint8_t byte[ERNN_FRAME_BYTES];
    uint16_t half[ERNN_FRAME_BYTES / 2];
    uint32_t word[ERNN_FRAME_BYTES / 4];
} ernn_frame;

typedef struct {
    ernn_frame frame;
    uint32_t crc_errors, framing_errors;
    uint8_t length;  /* raw bytes so far */
    uint8_t left;    /* bytes to the end of the block */
    uint8_t started; /* something came since the last zero */
    uint8_t bad;     /* it is too long already */
} ernn_decoder;

/* Hands bytes to the wire; it may wait until there is room. */
typedef void (*ernn_write)(void *user, const uint8_t *bytes, unsigned count);

/* CRC-32/IEEE, zlib's. */
uint32_t ernn_crc32(const uint8_t *bytes, unsigned count);

/* Takes one byte; gives 1 when it ended a frame that is whole and true: decoder->frame, with `length - 8` bytes of
 * payload, until the next call. */
int ernn_decode(ernn_decoder *decoder, uint8_t byte);

/* Silence: drops half a frame. */
void ernn_decode_drop(ernn_decoder *decoder);

/* Closes a frame with its CRC and writes it, stuffed. */
void ernn_encode(ernn_frame *frame, unsigned payload, ernn_write write, void *user);

#ifdef __cplusplus
}
#endif
#endif
