/* DATA frames of the wire, one way (docs/wire.md), decoded by the board's own decoder: bytes in, samples out. */
#ifndef ERNN_FRAMES_H
#define ERNN_FRAMES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    float scale;
    uint32_t session, channels;
    uint32_t last;  /* the last frame's first number */
    int64_t offset; /* what is added to it: the session, and what has wrapped away */
    float *x;       /* room for `room` samples, `rows` of them are there */
    int64_t *seq;
    size_t room, rows;
} ernn_frames;

/* Takes whole DATA frames as long as they are plain; gives how many bytes that were. The rest is for somebody else. */
size_t ernn_take_frames(ernn_frames *in, const uint8_t *bytes, size_t count);

#endif
