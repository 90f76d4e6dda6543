/* What the files of ernn_link share: the wire's numbers, and the calls between them. Not for your code. */
#ifndef ERNN_LINK_INNER_H
#define ERNN_LINK_INNER_H

#include "ernn_link.h"

enum { HELLO = 1, INFO, ACK, NAK, PING, TIMESYNC, STATS, LOG };
enum { DATA = 0x40, RESULT, RESET, GET_STATE, STATE, SET_STATE, BLOB_BEGIN, BLOB_DATA, BLOB_END };
enum { GAP = 1, GONE, UNKNOWN, BAD, NO_STATE, WRONG_MODEL, DAMAGED, REFUSED };

/* Sends a frame in this session, with `payload` bytes of payload. */
void ernn_link_transmit(ernn_link *link, ernn_frame *frame, unsigned payload);

/* Answers what just came with why it is not done. */
void ernn_link_nak(ernn_link *link, uint8_t seq, int reason);

/* Does what the request in link->in with `n` bytes of payload asks, once. Gives the answer's length with its type in
 * place, 0 for a plain ACK, or minus a reason. */
int ernn_link_apply(ernn_link *link, ernn_frame *answer, unsigned n);

#if ERNN_LINK_MODEL
/* One step; its result goes into `frame`, where it will be sent from. Gives the payload's length. */
unsigned ernn_link_result(ernn_link *link, ernn_frame *frame, uint32_t t, const int16_t *x);
#endif

#if ERNN_LINK_STREAM
/* The host has everything before `seq`; with `rewind` it asks for `seq` and what follows again. */
void ernn_link_acked(ernn_link *link, uint8_t seq, uint8_t credits, int rewind);
#endif

#endif
