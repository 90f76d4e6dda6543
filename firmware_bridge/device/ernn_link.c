/* The device's end of the wire: see ernn_link.h, and docs/wire.md for what each message means. Here: the session, the
 * datagrams, and the requests' sequence. What a request does is in ernn_link_model.c, the stream in ernn_link_stream.c.
 */
#include <string.h>

#include "ernn_link_inner.h"

#define MAJOR 1
#define MINOR 0
#define SEQUENCED 0x40

void ernn_link_transmit(ernn_link *l, ernn_frame *frame, unsigned payload) {
    frame->half[1] = l->session;
    ernn_encode(frame, payload, l->board->write, l->board->user);
}

static void reply(ernn_link *l, uint8_t type, uint8_t seq, unsigned payload) {
    l->out.byte[0] = type;
    l->out.byte[1] = seq;
    ernn_link_transmit(l, &l->out, payload);
}

static unsigned fill_nak(const ernn_link *l, ernn_frame *frame, uint8_t seq, int reason) {
    frame->byte[4] = seq;
    frame->byte[5] = (uint8_t)reason;
    frame->byte[6] = l->in.frame.byte[0];
    return 3;
}

void ernn_link_nak(ernn_link *l, uint8_t seq, int reason) {
    reply(l, NAK, l->in.frame.byte[1], fill_nak(l, &l->out, seq, reason));
}

static void send_info(ernn_link *l, uint8_t seq) {
    uint8_t *p = l->out.byte + 4;
    p[0] = MAJOR;
    p[1] = MINOR;
    p[2] = l->expected;
#if ERNN_LINK_STREAM
    p[3] = l->oldest;
#else
    p[3] = 0;
#endif
    l->out.word[2] = l->epoch;
    l->out.word[3] = l->steps;
    memcpy(p + 12, &l->board->info, sizeof(ernn_link_info));
#if ERNN_LINK_BLOB
    l->out.word[9] = l->model_hash;
#endif
    reply(l, INFO, seq, 12 + sizeof(ernn_link_info));
}

static void hello(ernn_link *l, unsigned n) {
    const ernn_frame *in = &l->in.frame;
    if (n < 6) {
        ernn_link_nak(l, in->byte[1], BAD);
        return;
    }
    if (l->session == 0) l->session = in->half[4] ? in->half[4] : 1;
    l->gap_told = 0;
    send_info(l, in->byte[1]);
}

static void request(ernn_link *l, unsigned n) {
    const uint8_t seq = l->in.frame.byte[1], place = seq % ERNN_LINK_ANSWERS;
    ernn_frame *answer = &l->answer[place];
    if (seq == l->expected) {
        l->expected++;
        l->gap_told = 0;
        int length = ernn_link_apply(l, answer, n);
        if (length < 0) {
            length = (int)fill_nak(l, answer, seq, -length);
            answer->byte[0] = NAK;
        } else if (length == 0) {
            answer->byte[0] = ACK;
            answer->byte[4] = (uint8_t)(seq + 1);
            answer->byte[5] = ERNN_LINK_ANSWERS;
            memset(answer->byte + 6, 0, 4);
#if ERNN_LINK_BLOB
            if (l->in.frame.byte[0] >= BLOB_BEGIN) memcpy(answer->byte + 6, &l->blob.held, 4);
#endif
            length = 6;
        }
        answer->byte[1] = seq;
        l->answer_length[place] = (uint8_t)length;
    } else if (l->answer_length[place] && answer->byte[1] == seq) {
        l->duplicates++;
    } else {
        if (!l->gap_told) ernn_link_nak(l, l->expected, GAP);
        l->gap_told = 1;
        return;
    }
    ernn_link_transmit(l, answer, l->answer_length[place]);
}

/* Handles a datagram; gives the reason why not, or 0. */
static int datagram(ernn_link *l, unsigned n, uint32_t now) {
    const ernn_frame *in = &l->in.frame;
    const uint8_t seq = in->byte[1];
    switch (in->byte[0]) {
#if ERNN_LINK_STREAM
    case ACK:
        if (n != 2 && n != 6) return BAD;
        ernn_link_acked(l, in->byte[4], in->byte[5], 0);
        return 0;
    case NAK:
        if (n != 3) return BAD;
        ernn_link_acked(l, in->byte[4], l->host_credits, 1);
        return 0;
#endif
    case PING:
        memcpy(l->out.byte + 4, in->byte + 4, n);
        reply(l, PING, seq, n);
        return 0;
    case TIMESYNC:
        if (n < 8) return BAD;
        memcpy(l->out.byte + 4, in->byte + 4, 8);
        l->out.word[3] = l->out.word[4] = now;
        reply(l, TIMESYNC, seq, 16);
        return 0;
    case STATS: {
        const uint32_t counts[7] = {l->in.crc_errors, l->in.framing_errors, l->foreign,       l->duplicates,
                                    l->overruns,      l->dropped,           l->max_step_ticks};
        memcpy(l->out.byte + 4, counts, sizeof counts);
        reply(l, STATS, seq, sizeof counts);
        return 0;
    }
    default:
        return UNKNOWN;
    }
}

void ernn_link_feed(ernn_link *l, const uint8_t *bytes, unsigned count, uint32_t now) {
    if (count == 0) return;
    if (now - l->heard > l->board->silence) ernn_decode_drop(&l->in);
    l->heard = now;
    while (count--) {
        if (!ernn_decode(&l->in, *bytes++)) continue;
        const ernn_frame *in = &l->in.frame;
        const unsigned n = l->in.length - 8u;
        if (in->byte[0] == HELLO)
            hello(l, n);
        else if (l->session == 0 || in->half[1] != l->session)
            l->foreign++;
        else if (in->byte[0] & SEQUENCED)
            request(l, n);
        else {
            const int reason = datagram(l, n, now);
            if (reason) ernn_link_nak(l, in->byte[1], reason);
        }
    }
}

void ernn_link_log(ernn_link *l, const char *text) {
    size_t n = strlen(text);
    if (n > ERNN_LINK_MAX_PAYLOAD) n = ERNN_LINK_MAX_PAYLOAD;
    memcpy(l->out.byte + 4, text, n);
    if (l->session) reply(l, LOG, 0, (unsigned)n);
}

int ernn_link_start(ernn_link *l, const ernn_link_board *board) {
    const ernn_link_info *info = &board->info;
    memset(l, 0, sizeof *l);
    l->board = board;
#if ERNN_LINK_BLOB
    l->model_hash = info->model_hash;
#endif
#if ERNN_LINK_MODEL
    if (9u + 4u * info->outputs > ERNN_LINK_MAX_PAYLOAD || 10u + 2u * info->inputs > ERNN_LINK_MAX_PAYLOAD) return 0;
#else
    if (10u + 2u * board->rows_per_frame * info->channels > ERNN_LINK_MAX_PAYLOAD) return 0;
#endif
    if (info->role != ERNN_LINK_ROLE || info->credits != ERNN_LINK_ANSWERS ||
        info->max_payload != ERNN_LINK_MAX_PAYLOAD)
        return 0;
    const uint8_t zero = 0;
    board->write(board->user, &zero, 1);
    send_info(l, 0);
    return 1;
}
