/* The host's side of the kernel: a network as the bundle holds it, packed once for one instruction set, and steps
 * over states. The caller owns all memory; a packed model is immutable and shared by threads, a scratch is not.
 */
#ifndef ERNN_HOST_H
#define ERNN_HOST_H

#include <stddef.h>

#include "../ernn.h"

#define ERNN_MAX_LAYERS 32
#define ERNN_MAX_WIDTH 4096
#define ERNN_MAX_STATE 32768 /* numbers in one state array */
#define ERNN_ALIGN 64

typedef enum { ERNN_FLOAT32 = 0, ERNN_INT8 = 1 } ernn_precision;

/* One layer with the arrays of edge_rnn/graph.py, untouched: row-major, gate by gate. */
typedef struct {
    uint8_t kind, activation, exponent; /* exponent 0: none */
    uint16_t inputs, units;
    uint16_t window, kernel, dilation, heads, hidden; /* 0 where a kind does not have it */
    const float *w_ih, *w_hh, *b_ih, *b_hh;           /* float32; shape.h says what each kind has in them */
    const float *zeta, *nu, *norm_w, *norm_b, *bias;
    const int8_t *ih_w, *hh_w; /* int8 */
    const int32_t *ih_m, *hh_m, *ih_S_k, *hh_S_k, *b, *bn, *zeta_q, *nu_q;
    const int16_t *o;
} ernn_host_layer;

typedef struct {
    uint8_t precision, layers;
    const float *mean, *std; /* float32: (inputs) */
    const float *sx;         /* int8: (inputs) */
    float reach;             /* the largest |x| that is taken: edge_rnn/reach.py */
    ernn_host_layer layer[ERNN_MAX_LAYERS];
} ernn_host_graph;

/* NULL when the graph keeps every rule the kernels rely on (sizes, shifts, the obligations of docs/numeric.md, finite
 * float weights), else one static sentence; *layer names the layer. Arrays must have the sizes the layers imply.
 */
const char *ernn_check(const ernn_host_graph *graph, unsigned *layer);

/* One layer of a packed model; offsets of weights are from the model's start. */
typedef struct {
    uint8_t kind, activation, shift;
    uint16_t inputs, units;
    uint32_t padded;         /* units, rounded up to whole vectors */
    uint32_t h, c, hidden;   /* bytes from the start of a stream's scratch; c is a GRU's s in int8; hidden: int8_place */
    size_t weights;
    size_t constants;        /* int8: multipliers, biases */
    uint8_t k[2], requant[2]; /* ih, hh: left shift, right shift of the high half */
    uint8_t in_place;         /* units fill whole vectors: h, c and s stay with the caller */
    uint8_t direct[2];        /* h' may overwrite h: all of h is read before (one stream, a tile of streams) */
    void (*run[3])(void);     /* the variant's function for one stream, for a tile of streams or woven, for a span of steps */
    uint8_t states;           /* arrays of the layer's state */
    uint32_t state_at[3], state_bytes[3]; /* portable: where they lie in the scratch, their bytes */
} ernn_packed_layer;

typedef struct {
    uint8_t precision, layers;
    uint16_t inputs, outputs;
    uint8_t turning;       /* float32: the only recurrent layer; its steps take the blocks forwards and backwards in turn */
    uint8_t copied;        /* some state is not in_place */
    uint8_t planes;        /* int8: h is kept as low and high bytes (VNNI), not as int16 */
    uint8_t woven;         /* int8: one layer's products are made beside another's activations (simd/int8_woven.h) */
    uint8_t portable;      /* packed by and for portable.c: it has a layer that pack.h does not know */
    float reach;
    uint32_t x, fresh, buf; /* bytes from the start of a stream's scratch */
    uint32_t rows, row_bytes; /* float32: where a sequence's rows begin, bytes of one */
    size_t scratch_bytes;  /* of one stream, a multiple of ERNN_ALIGN */
    size_t bound_bytes;    /* what a scratch has more, at its end, for `bind` and `step` */
    size_t bytes;          /* of the packed model */
    size_t edge;           /* mean or sx, padded */
    size_t table;          /* int8: tanh's knots */
    void (*float_step)(const ernn_float_model *, ernn_float_state *, const float *, float *); /* portable: a variant's own */
    void (*int8_step)(const ernn_int8_model *, ernn_int8_state *, const int16_t *, int32_t *);
    ernn_packed_layer layer[ERNN_MAX_LAYERS];
} ernn_packed;

/* A state is the caller's: for each recurrent layer its arrays as edge_rnn/graph.py types and orders them, each
 * (streams, units), C order. A call reads stream s's, runs in `scratch` (tile * scratch_bytes, ERNN_ALIGN aligned,
 * one per thread, its contents of no meaning between calls) and writes the state back at its end.
 * ERNN_NOT_FINITE: some input was NaN, Inf or beyond the model's reach, and no state was changed.
 */
typedef struct {
    const char *name;
    unsigned tile; /* streams that a group steps together */
    /* Lay out and, with memory, write a packed model (ERNN_ALIGN aligned, header->bytes long). */
    void (*pack)(const ernn_host_graph *graph, ernn_packed *header, uint8_t *memory);
    /* Steps of stream s: x (steps, inputs) to float logits y (steps, outputs). */
    ernn_status (*run)(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                       const float *x, float *y);
    /* Many single steps of one stream: bind once (scratch_bytes + bound_bytes, from now on this stream's own), then step.
     * What does not change between steps is kept; a state that somebody else wrote in between is seen and taken over.
     */
    void (*bind)(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states);
    ernn_status (*step)(const ernn_packed *model, uint8_t *scratch, const float *x, float *y);
    /* The exact integers of an int8 model: xq (steps, inputs) to Q16 logits y (steps, outputs). */
    void (*run_int)(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t s, size_t steps,
                    const int16_t *xq, int32_t *y);
    /* One step of n streams: x (n, inputs), y (n, outputs). */
    ernn_status (*group)(const ernn_packed *model, uint8_t *scratch, uint8_t *const *states, size_t n, const float *x,
                         float *y);
} ernn_isa;

/* How many arrays the state of a model's streams has. */
static inline unsigned ernn_state_arrays(const ernn_packed *model) {
    unsigned n = 0;
    for (unsigned l = 0; l < model->layers; l++)
        n += model->layer[l].states;
    return n;
}

extern const ernn_isa ernn_isa_portable;

/* The n-th variant that this build has and this machine can run, fastest first; NULL past the last. */
const ernn_isa *ernn_isa_at(unsigned n);
/* The variant called name, or for NULL the fastest; NULL when the machine or the build has none of that name. */
const ernn_isa *ernn_isa_named(const char *name);

#endif
