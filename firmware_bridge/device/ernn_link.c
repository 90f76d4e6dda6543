/* The device's end of the wire: see ernn_link.h, and docs/wire.md for what each message means. */
#include "ernn_link.h"

#include <string.h>

enum { HELLO = 1, INFO, ACK, NAK, PING, TIMESYNC, STATS, LOG };
enum { DATA = 0x40, RESULT, RESET, GET_STATE, STATE, SET_STATE, BLOB_BEGIN, BLOB_DATA, BLOB_END };
enum { GAP = 1, GONE, UNKNOWN, BAD, NO_STATE, WRONG_MODEL, DAMAGED, REFUSED };

#define MAJOR 1
#define MINOR 0
#define SEQUENCED 0x40
#define REFUSE(reason) (-(reason))
#if ERNN_LINK_BLOB
#define MODEL_HASH_OF(l) ((l)->model_hash)
#else
#define MODEL_HASH_OF(l) ((l)->board->info.model_hash)
#endif

static void transmit(ernn_link *l, ernn_frame *frame, unsigned payload) {
    frame->half[1] = l->session;
    ernn_encode(frame, payload, l->board->write, l->board->user);
}

static void reply(ernn_link *l, uint8_t type, uint8_t seq, unsigned payload) {
    l->out.byte[0] = type;
    l->out.byte[1] = seq;
    transmit(l, &l->out, payload);
}

static unsigned fill_nak(const ernn_link *l, ernn_frame *frame, uint8_t seq, int reason) {
    frame->byte[4] = seq;
    frame->byte[5] = (uint8_t)reason;
    frame->byte[6] = l->in.frame.byte[0];
    return 3;
}

static void nak(ernn_link *l, uint8_t seq, int reason) {
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
        nak(l, in->byte[1], BAD);
        return;
    }
    if (l->session == 0) l->session = in->half[4] ? in->half[4] : 1;
    l->gap_told = 0;
    send_info(l, in->byte[1]);
}

#if ERNN_LINK_MODEL
/* One step; the result goes where it will be sent from. */
static unsigned fill_result(ernn_link *l, ernn_frame *frame, uint32_t t, const int16_t *x) {
    const ernn_link_board *board = l->board;
    int32_t *y = (int32_t *)&frame->word[3];
    unsigned end = 4u * board->info.outputs;
    frame->byte[0] = RESULT;
    frame->word[1] = t;
    board->step(board->user, x, y);
    frame->word[2] = l->steps++;
    if (board->info.result) {
        unsigned best = 0;
        for (unsigned c = 1; c < board->info.outputs; c++)
            if (y[c] > y[best]) best = c;
        frame->byte[12] = (uint8_t)best;
        end = 1;
    }
    frame->byte[12 + end] = ERNN_LINK_ANSWERS;
    return 9 + end;
}

static int get_state(ernn_link *l, ernn_frame *answer, unsigned n) {
    const ernn_link_board *board = l->board;
    const unsigned offset = l->in.frame.half[2], total = board->info.state_bytes;
    if (n != 2) return REFUSE(BAD);
    if (l->no_state) return REFUSE(NO_STATE);
    if (offset > total) return REFUSE(BAD);
    const unsigned room = ERNN_LINK_MAX_PAYLOAD - 8u, count = total - offset < room ? total - offset : room;
    if (offset == 0 && board->save) board->save(board->user);
    if (offset == 0 || !board->save) l->saved = l->steps;
    answer->byte[0] = STATE;
    answer->word[1] = l->saved;
    answer->half[4] = (uint16_t)offset;
    answer->half[5] = (uint16_t)total;
    memcpy(answer->byte + 12, board->state + offset, count);
    return (int)(8 + count);
}

/* board->state may be the live state, so no step is made between the first piece and a CRC over the whole that holds. */
static int set_state(ernn_link *l, unsigned n) {
    ernn_frame *in = &l->in.frame;
    const ernn_link_board *board = l->board;
    const unsigned offset = in->half[4], total = in->half[5];
    if (n < 16) return REFUSE(BAD);
    if (in->word[3] != MODEL_HASH_OF(l)) return REFUSE(WRONG_MODEL);
    n -= 16;
    if (total != board->info.state_bytes || offset + n > total) return REFUSE(BAD);
    if (offset == 0) {
        l->staged = 0;
        l->no_state = 1;
    }
    if (!l->no_state || offset != l->staged) return REFUSE(BAD);
    memcpy(board->state + offset, in->byte + 20, n);
    l->staged = (uint16_t)(l->staged + n);
    if (l->staged == total) {
        if (ernn_crc32(board->state, total) != in->word[4]) return REFUSE(DAMAGED);
        if (board->load) board->load(board->user);
        l->steps = in->word[1];
        l->no_state = 0;
    }
    return 0;
}
#endif

/* Does what is asked, once. Gives the answer's length with its type in place, 0 for a plain ACK, or a refusal. */
static int apply(ernn_link *l, ernn_frame *answer, unsigned n) {
    const ernn_frame *in = &l->in.frame;
    (void)answer, (void)n;
    switch (in->byte[0]) {
#if ERNN_LINK_ROLE == ERNN_ROLE_INFERENCE
    case DATA:
        if (n != 10u + 2u * l->board->info.inputs || in->half[6] != 1) return REFUSE(BAD);
        if (l->no_state) return REFUSE(NO_STATE);
        return (int)fill_result(l, answer, in->word[1], (const int16_t *)&in->half[7]);
#endif
#if ERNN_LINK_MODEL
    case RESET:
        if (n != 4) return REFUSE(BAD);
        l->epoch = in->word[1];
        l->steps = 0;
        l->staged = 0;
        l->no_state = 0;
        l->board->zero(l->board->user);
        return 0;
    case GET_STATE:
        return get_state(l, answer, n);
    case SET_STATE:
        return set_state(l, n);
#endif
#if ERNN_LINK_BLOB
    case BLOB_BEGIN:
        if (n != 36) return REFUSE(BAD);
        if (!l->board->blob_begin(l->board->user, in->word[1])) return REFUSE(REFUSED);
        ernn_blob_begin(&l->blob, in->word[1], in->byte + 8);
        return 0;
    case BLOB_DATA:
        if (n < 4 || !ernn_blob_next(&l->blob, in->word[1], n - 4)) return REFUSE(BAD);
        ernn_blob_hold(&l->blob, l->board->blob_write(l->board->user, in->word[1], in->byte + 8, n - 4), n - 4);
        return 0;
    case BLOB_END:
        if (!ernn_blob_end(&l->blob)) return REFUSE(DAMAGED);
        return l->board->blob_apply(l->board->user, l->blob.size) ? 0 : REFUSE(REFUSED);
#endif
    default:
        return REFUSE(UNKNOWN);
    }
}

static void request(ernn_link *l, unsigned n) {
    const uint8_t seq = l->in.frame.byte[1], place = seq % ERNN_LINK_ANSWERS;
    ernn_frame *answer = &l->answer[place];
    if (seq == l->expected) {
        l->expected++;
        l->gap_told = 0;
        int length = apply(l, answer, n);
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
        if (!l->gap_told) nak(l, l->expected, GAP);
        l->gap_told = 1;
        return;
    }
    transmit(l, answer, l->answer_length[place]);
}

#if ERNN_LINK_STREAM
static void pump(ernn_link *l) {
    while (l->sent != l->next && (uint8_t)(l->sent - l->host_next) < l->host_credits) {
        const unsigned place = l->sent % ERNN_LINK_SLOTS;
        l->sent++;
        transmit(l, &l->slot[place], l->slot_length[place]);
    }
}

/* The host has everything before `seq`; with `rewind` it asks for `seq` and what follows again. */
static void stream_ack(ernn_link *l, uint8_t seq, uint8_t credits, int rewind) {
    const uint8_t taken = (uint8_t)(seq - l->oldest);
    if (taken <= (uint8_t)(l->next - l->oldest)) {
        if (rewind || taken > (uint8_t)(l->sent - l->oldest)) l->sent = seq;
        l->oldest = seq;
    } else if (rewind) {
        /* It goes on from the oldest at once: to wait for the host's word would be to lose that one too. */
        nak(l, l->oldest, GONE);
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
    close_frame(l, fill_result(l, frame, now, sample));
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

/* Handles a datagram; gives the reason why not, or 0. */
static int datagram(ernn_link *l, unsigned n, uint32_t now) {
    const ernn_frame *in = &l->in.frame;
    const uint8_t seq = in->byte[1];
    switch (in->byte[0]) {
#if ERNN_LINK_STREAM
    case ACK:
        if (n != 2 && n != 6) return BAD;
        stream_ack(l, in->byte[4], in->byte[5], 0);
        return 0;
    case NAK:
        if (n != 3) return BAD;
        stream_ack(l, in->byte[4], l->host_credits, 1);
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
            if (reason) nak(l, in->byte[1], reason);
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
