/* The stream of a board with a sensor: samples (SENSOR) or results (NODE) in a ring of numbered frames, sent as the
 * host's credits allow and again where it asks. It never waits: a full ring loses its oldest frame, counted.
 */
#include <string.h>

#include "ernn_link_inner.h"

#if ERNN_LINK_STREAM
static void pump(ernn_link *l) {
    while (l->sent != l->next && (uint8_t)(l->sent - l->host_next) < l->host_credits) {
        const unsigned place = l->sent % ERNN_LINK_SLOTS;
        l->sent++;
        ernn_link_transmit(l, &l->slot[place], l->slot_length[place]);
    }
}

void ernn_link_acked(ernn_link *l, uint8_t seq, uint8_t credits, int rewind) {
    const uint8_t taken = (uint8_t)(seq - l->oldest);
    if (taken <= (uint8_t)(l->next - l->oldest)) {
        if (rewind || taken > (uint8_t)(l->sent - l->oldest)) l->sent = seq;
        l->oldest = seq;
    } else if (rewind) {
        /* It goes on from the oldest at once: to wait for the host's word would be to lose that one too. */
        ernn_link_nak(l, l->oldest, GONE);
        seq = l->sent = l->oldest;
    } else if ((uint8_t)(seq - l->host_next) > (uint8_t)(l->sent - l->host_next))
        return; /* an ACK that was overtaken by a GONE */
    l->host_next = seq;
    l->host_credits = credits;
    pump(l);
}

static void close_frame(ernn_link *l, unsigned length) {
    const unsigned place = l->next % ERNN_LINK_SLOTS;
    l->slot[place].byte[1] = l->next++;
    l->slot_length[place] = (uint8_t)length;
    l->rows = 0;
    pump(l);
}

/* The ring is full of frames the host has not taken: the oldest goes, and is counted. */
static void make_room(ernn_link *l) {
    if ((uint8_t)(l->next - l->oldest) < ERNN_LINK_SLOTS) return;
    const ernn_frame *old = &l->slot[l->oldest % ERNN_LINK_SLOTS];
    l->dropped += old->byte[0] == DATA ? old->half[6] : 1u;
    if (l->sent == l->oldest) l->sent++;
    l->oldest++;
}

void ernn_link_flush(ernn_link *l) {
    if (l->rows) close_frame(l, 10u + 2u * l->rows * l->board->info.channels);
}

void ernn_link_push(ernn_link *l, const int16_t *sample, uint32_t now) {
    ernn_frame *frame = &l->slot[l->next % ERNN_LINK_SLOTS];
#if ERNN_LINK_MODEL
    if (l->no_state) {
        l->dropped++;
        return;
    }
    make_room(l);
    close_frame(l, ernn_link_result(l, frame, now, sample));
#else
    const unsigned channels = l->board->info.channels;
    if (l->rows == 0) {
        make_room(l);
        frame->byte[0] = DATA;
        frame->word[1] = now;
        frame->word[2] = l->steps;
    }
    memcpy(&frame->half[7u + l->rows * channels], sample, 2u * channels);
    frame->half[6] = ++l->rows;
    l->steps++;
    if (l->rows >= l->board->rows_per_frame) ernn_link_flush(l);
#endif
}
#endif
