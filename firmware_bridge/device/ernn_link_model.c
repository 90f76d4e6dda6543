/* What requests do: a step on the host's sample, the state read or replaced, another model taken. Each is done once and
 * in order: ernn_link.c sees to that, and sends the answers.
 */
#include <string.h>

#include "ernn_link_inner.h"

#define REFUSE(reason) (-(reason))
#if ERNN_LINK_BLOB
#define MODEL_HASH_OF(l) ((l)->model_hash)
#else
#define MODEL_HASH_OF(l) ((l)->board->info.model_hash)
#endif

#if ERNN_LINK_MODEL
unsigned ernn_link_result(ernn_link *l, ernn_frame *frame, uint32_t t, const int16_t *x) {
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

int ernn_link_apply(ernn_link *l, ernn_frame *answer, unsigned n) {
    const ernn_frame *in = &l->in.frame;
    (void)answer, (void)n;
    switch (in->byte[0]) {
#if ERNN_LINK_ROLE == ERNN_ROLE_INFERENCE
    case DATA:
        if (n != 10u + 2u * l->board->info.inputs || in->half[6] != 1) return REFUSE(BAD);
        if (l->no_state) return REFUSE(NO_STATE);
        return (int)ernn_link_result(l, answer, in->word[1], (const int16_t *)&in->half[7]);
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
