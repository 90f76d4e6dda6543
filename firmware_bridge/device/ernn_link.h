/* The device's end of the wire (docs/wire.md): bytes in, calls out, bytes out. C99, no malloc, no globals: everything
 * that changes is in the caller's `ernn_link`, everything constant in his `ernn_link_board`, which may lie in flash.
 *
 * It never applies a request twice or out of order, trusts the wire with no size, and keeps no timer: the host does.
 *
 *     static ernn_link link;
 *     ernn_link_start(&link, &board);
 *     for (;;) {
 *         n = uart_read(bytes);  ernn_link_feed(&link, bytes, n, ticks());
 *         if (a sample is due)   ernn_link_push(&link, sample, ticks());
 *     }
 */
#ifndef ERNN_LINK_H
#define ERNN_LINK_H

#include "ernn_frame.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ERNN_ROLE_SENSOR 1    /* streams its samples; the host infers */
#define ERNN_ROLE_INFERENCE 2 /* steps on the host's samples and answers each with its result */
#define ERNN_ROLE_NODE 3      /* steps on its own samples and streams the results */

#ifndef ERNN_LINK_ROLE
#define ERNN_LINK_ROLE ERNN_ROLE_INFERENCE
#endif
#define ERNN_LINK_MODEL (ERNN_LINK_ROLE != ERNN_ROLE_SENSOR)
#define ERNN_LINK_STREAM (ERNN_LINK_ROLE != ERNN_ROLE_INFERENCE)
#ifndef ERNN_LINK_SLOTS
#define ERNN_LINK_SLOTS 4 /* frames of the stream that can be sent again */
#endif
#ifndef ERNN_LINK_ANSWERS
#define ERNN_LINK_ANSWERS (ERNN_LINK_STREAM ? 1 : 4) /* answers kept for a repeated request: the host's credits */
#endif
#ifndef ERNN_LINK_BLOB
#define ERNN_LINK_BLOB 0 /* 1: takes a model over the wire */
#endif
#if (ERNN_LINK_SLOTS & (ERNN_LINK_SLOTS - 1)) || ERNN_LINK_SLOTS > 64
#error "ERNN_LINK_SLOTS must be a power of two, 64 at most"
#endif

/* The constant part of INFO, as it goes over the wire. */
typedef struct {
    uint8_t role, credits, max_payload, dtype; /* ERNN_LINK_ROLE, ERNN_LINK_ANSWERS, ERNN_LINK_MAX_PAYLOAD, 1 */
    uint32_t tick_hz;                          /* of every `now` */
    uint32_t rate_mhz;                         /* samples a second, times 1000 */
    uint32_t firmware;                         /* your number */
    float scale;                               /* value = sample * scale */
    uint32_t model_hash;                       /* the first four bytes of the model's digest */
    uint16_t inputs, hidden, outputs, state_bytes;
    uint8_t channels, model_kind, result, options; /* result 0: logits, 1: a class; options bit 0: takes BLOB */
} ernn_link_info;

typedef struct {
    ernn_link_info info;
    ernn_write write;
    void *user;
    uint32_t silence;       /* ticks in 100 ms: half a frame older than this is dropped */
    uint8_t rows_per_frame; /* SENSOR: samples in a DATA */
#if ERNN_LINK_MODEL
    void (*step)(void *user, const int16_t *x, int32_t *y);
    void (*zero)(void *user); /* RESET: the initial state */
    /* The state as it goes over the wire, state_bytes long. save fills it from the model, load takes it over; both may
     * be 0 when `state` is where the model itself keeps it. */
    uint8_t *state;
    void (*save)(void *user);
    void (*load)(void *user);
#endif
#if ERNN_LINK_BLOB
    int (*blob_begin)(void *user, uint32_t size); /* whether it can be taken */
    /* Keeps a piece and gives where it now lies: that is hashed, so that what was not kept whole is not applied. */
    const uint8_t *(*blob_write)(void *user, uint32_t offset, const uint8_t *bytes, unsigned count);
    int (*blob_apply)(void *user, uint32_t size); /* it is whole and verified: use it */
#endif
} ernn_link_board;

#if ERNN_LINK_BLOB
#include "ernn_blob.h"
#endif

typedef struct {
    const ernn_link_board *board;
    ernn_decoder in;
    ernn_frame out; /* datagrams */
    ernn_frame answer[ERNN_LINK_ANSWERS];
    uint8_t answer_length[ERNN_LINK_ANSWERS]; /* of the payload; 0: none */
#if ERNN_LINK_STREAM
    ernn_frame slot[ERNN_LINK_SLOTS];
    uint8_t slot_length[ERNN_LINK_SLOTS];
    uint8_t oldest, next, sent; /* the stream: oldest held, next to be made, next to be sent */
    uint8_t host_next, host_credits;
    uint8_t rows; /* in the frame that is being filled */
#endif
    uint8_t expected; /* next request */
    uint8_t gap_told;
    uint16_t session; /* 0 until the first HELLO since boot */
    uint32_t heard;   /* when the last bytes came */
    uint32_t steps;   /* since RESET; of a sensor: samples since boot */
    uint32_t epoch;
#if ERNN_LINK_MODEL
    uint32_t saved;  /* the step that board->state was saved at */
    uint16_t staged; /* bytes of a SET_STATE */
    uint8_t no_state;
#endif
#if ERNN_LINK_BLOB
    ernn_blob blob;
    uint32_t model_hash; /* info's; yours to change after ernn_link_start, where another model is in use */
#endif
    uint32_t foreign, duplicates;
    uint32_t overruns, dropped, max_step_ticks; /* overruns and max_step_ticks are yours to count */
} ernn_link;

/* Begins, and tells the host that a board is here; 0 when the board's numbers do not fit this build. */
int ernn_link_start(ernn_link *link, const ernn_link_board *board);

/* Takes bytes that came at tick `now`; whatever they ask is done and answered before it returns. */
void ernn_link_feed(ernn_link *link, const uint8_t *bytes, unsigned count, uint32_t now);

#if ERNN_LINK_STREAM
/* A sample of the board's own sensor: streamed (SENSOR), or stepped on and its result streamed (NODE). */
void ernn_link_push(ernn_link *link, const int16_t *sample, uint32_t now);

/* Sends a frame that is not full. */
void ernn_link_flush(ernn_link *link);
#endif

/* A line of text for the host, lost when nobody listens. */
void ernn_link_log(ernn_link *link, const char *text);

#ifdef __cplusplus
}
#endif
#endif
