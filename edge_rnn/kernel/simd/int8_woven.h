/* A GRU's block of four vectors with other products between its activations: the processor looks ahead 320 instructions
 * and one gate's activations have as many, so it would find no products behind them. Which ones: those of h in the layer
 * that comes next, for they wait for nothing; beside the last layer, those of the first one at the step to come. What they
 * give stays in `hidden` until then. Where nobody says what comes next: the block's own later gates.
 */
#include "int8_place.h"

enum { GRU_R, GRU_Z, GRU_N };
enum { INPUT, HIDDEN };

/* Sums of one gate, four vectors, of the input or of h, under way. */
typedef struct {
    vi acc[4], high[4];
    const weight_t *w;
    const uint8_t *in;
    size_t plane;
    int groups;
} products;

INLINE void begin(products *made, const int8_place *at, const int of, const int gate) {
    const row_constants *row = at->constants + 4 * gate;
    const size_t vectors = 4 * (size_t)(of == INPUT ? gate * at->x_groups : 3 * at->x_groups + gate * at->h_groups);
    UNROLL for (int v = 0; v < 4; v++) {
        const vi correction = of == INPUT ? row[v].correction_ih : row[v].correction_hh;
        made->acc[v] = PLANES ? correction : (vi){0}, made->high[v] = (vi){0};
    }
    made->w = at->w + vectors * V * KP;
    made->in = of == INPUT ? at->x : at->h;
    made->plane = of == INPUT ? at->x_plane : at->h_plane;
    made->groups = of == INPUT ? at->x_groups : at->h_groups;
}

/* The part'th of `shares` of the products. */
INLINE void make(products *made, const int part, const int shares) {
    const int from = made->groups * part / shares, to = made->groups * (part + 1) / shares;
    made->w = some_products(made->acc, made->high, 4, made->w, made->in, made->plane, from, to);
}

/* The sums, rescaled. */
INLINE void finish(const products *made, const int8_place *at, const int of, const int gate, vi *to) {
    const row_constants *row = at->constants + 4 * gate;
    const int k = of == INPUT ? at->k_ih : at->k_hh, shift = of == INPUT ? at->shift_ih : at->shift_hh;
    UNROLL for (int v = 0; v < 4; v++)
        to[v] = requant(joined(made->acc[v], made->high[v]), of == INPUT ? row[v].m_ih : row[v].m_hh, k, shift);
}

INLINE void gate_sums(const int8_place *at, const int of, const int gate, vi *to) {
    products made;
    begin(&made, at, of, gate);
    make(&made, 0, 1);
    finish(&made, at, of, gate, to);
}

/* p, the input's part, becomes the gate's r, z or n; in between the first four of `shares` of other products, if any. */
INLINE void gru_gate(const int8_place *at, const int gate, vi *p, const vi *hidden, const vi *r, products *made,
                     const int shares) {
    const row_constants *row = at->constants + 4 * gate;
    const vi *bn = (const vi *)(at->constants + 12);
    const int tanh_until = gate == GRU_N ? 4 : 0;
    between lines;
    if (made) make(made, 0, shares);
    UNROLL for (int v = 0; v < 4; v++) {
        p[v] += row[v].b;
        p[v] += gate == GRU_N ? mulr24(hidden[v] + bn[v], r[v] + ONE) : hidden[v];
    }
    lut_index(&lines, p, 4, 0, tanh_until);
    if (made) make(made, 1, shares);
    knots(at->table, lines.index, lines.knot, lines.rise, 4);
    if (made) make(made, 2, shares);
    lut_line(&lines, p, 4, 0, tanh_until);
    if (made) make(made, 3, shares);
}

/* s <- n + z (s - n), and h of it. */
INLINE void gru_state(vi *h, uint8_t *state, const vi *z, const vi *n, const int N) {
    UNROLL for (int v = 0; v < N; v++) {
        vi n28 = n[v] << 5, s = loadi(state + 4 * v * V);
        s = n28 + mulr24(s - n28, z[v] + ONE);
        storei(state + 4 * v * V, s);
        h[v] = sat16((s + 4096) >> 13);
    }
}

INLINE void gru_alone(const int8_place *at) {
    vi r[4], z[4], n[4], hidden[12], h[4];
    products made;
    gate_sums(at, HIDDEN, GRU_R, hidden);
    gate_sums(at, INPUT, GRU_R, r);
    gate_sums(at, INPUT, GRU_N, n);
    gate_sums(at, INPUT, GRU_Z, z);
    begin(&made, at, HIDDEN, GRU_N);
    gru_gate(at, GRU_R, r, hidden, NULL, &made, 4);
    finish(&made, at, HIDDEN, GRU_N, hidden + 8);
    begin(&made, at, HIDDEN, GRU_Z);
    gru_gate(at, GRU_N, n, hidden + 8, r, &made, 4);
    finish(&made, at, HIDDEN, GRU_Z, hidden + 4);
    gru_gate(at, GRU_Z, z, hidden + 4, NULL, NULL, 0);
    gru_state(h, at->state, z, n, 4);
    store_h(at->out, at->h_plane, h, 4);
}

INLINE void int8_layer(const int kind, const int relu, const int head, const int8_place *layer);

/* h is overwritten, so a layer must be one block; the next one's state of the step before must be there. */
INLINE void gru_woven(const int8_place *at) {
    const int8_place *next = at->next;
    vi r[4], z[4], n[4], h[4];
    products made;
    gate_sums(at, INPUT, GRU_R, r);
    gate_sums(at, INPUT, GRU_N, n);
    gate_sums(at, INPUT, GRU_Z, z);
    begin(&made, next, HIDDEN, GRU_R);
    gru_gate(at, GRU_R, r, at->hidden, NULL, &made, 4);
    finish(&made, next, HIDDEN, GRU_R, next->hidden);
    begin(&made, next, HIDDEN, GRU_N);
    gru_gate(at, GRU_N, n, at->hidden + 8, r, &made, 4);
    finish(&made, next, HIDDEN, GRU_N, next->hidden + 8);
    begin(&made, next, HIDDEN, GRU_Z);
    gru_gate(at, GRU_Z, z, at->hidden + 4, NULL, &made, 5);
    gru_state(h, at->state, z, n, 4);
    store_h(at->h, at->h_plane, h, 4);
    if (at->head) int8_layer(DENSE, 0, 1, at->head);
    make(&made, 4, 5);
    finish(&made, next, HIDDEN, GRU_Z, next->hidden + 4);
}
