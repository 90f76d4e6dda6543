/* Where an exact int8 layer reads and writes, and the order of its weights and constants.
 *
 * A block's weights are [k / KP][gate][vector][V rows][KP columns], first for the input, then for h (in two
 * phases where vectors are wide, so that the first gates' activations run in the shadow of the others' products).
 * A GRU's block of four vectors has all its products gate by gate: [gate][k / KP][vector] ..., input, then h.
 * LSTM's gates are kept in the order i, g, f, o. A block's constants are, for each gate and vector, a `row_constants`.
 */
#include "int8_table.h"

/* Whether a GRU's block of N vectors has its weights gate by gate: int8_woven.h. */
#define BY_GATE(kind, N) ((kind) == GRU && V == 16 && (N) == 4)
/* Gates of the first phase: GRU's r, LSTM's i, g and f. */
#define FIRST(kind) (V == 16 && (kind) == GRU ? 1 : V == 16 && (kind) == LSTM ? 3 : GATES(kind))
/* The bundle's gate behind the packed one. */
#define GATE(kind, packed) ((kind) == LSTM && ((packed) == 1 || (packed) == 2) ? 3 - (packed) : (packed))

typedef struct {
    vi correction_ih, m_ih; /* -32768 sum w (PLANES); the multiplier */
    vi correction_hh, m_hh;
    vi b;
} row_constants;

/* Where one layer reads and writes, and its numbers; a block's when it is passed to int8_block. */
typedef struct int8_place {
    const weight_t *w;
    const row_constants *constants; /* GATES * N a block, then GRU: N vectors of b_hn */
    const uint8_t *x;               /* activations; the high plane follows by the distances below */
    uint8_t *h, *out, *state;       /* h, h' (planes or int16), s or c or logits */
    size_t x_plane, h_plane;
    int x_groups, h_groups; /* groups of KP columns */
    int k_ih, k_hh, shift_ih, shift_hh, shift, padded;
    const uint8_t *table; /* of knots: see fill_table */
    vi *hidden;           /* woven: rq(W_hh h) of the step that comes, by gate and vector */
    const struct int8_place *next, *head; /* woven: whose `hidden` is made beside this layer; the head, for the last GRU */
    /* The caller's array that h follows from (GRU: s, else h itself), and what it was after the last bound step. */
    uint8_t *theirs, *kept;
    size_t theirs_bytes;
} int8_place;

enum { ONE = 1 << 23 }; /* sigma(p) = 2^23 + f(p, 12) */

#define CONSTANT_BYTES(kind, N) \
    ((size_t)(GATES(kind) * (N)) * sizeof(row_constants) + ((kind) == GRU ? (N) : 0) * sizeof(vi))
