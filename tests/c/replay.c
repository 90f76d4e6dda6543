/* Replays a model file on every variant of this machine and compares, to the bit for int8: every logit of every step
 * with the file's, the states every `every` steps, float input against integer input, one call of all steps against
 * steps one by one, a group against single streams, and each step of each variant with the portable kernel.
 * Fails also when a step allocates or NaN moves a state.
 *
 * usage: replay FILE [ISA]     prints one line a variant; exit 1 at the first difference
 */
#include <math.h>

#include "model_file.h"

static long allocations;
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) {
    allocations++;
    return __real_malloc(n);
}

static void *aligned(size_t bytes) { return aligned_alloc(ERNN_ALIGN, (bytes + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN); }

static void fail(const char *isa, const char *what, long step) {
    printf("%s: %s differs first at step %ld\n", isa, what, step);
    exit(1);
}

typedef struct {
    const ernn_isa *isa;
    ernn_packed *model;
    uint8_t *scratch, *state, *pointers[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    size_t bytes; /* of the state */
} runner;

static runner start(const ernn_isa *isa, const ernn_host_graph *graph) {
    ernn_packed header;
    isa->pack(graph, &header, NULL);
    runner r = {.isa = isa, .model = aligned(header.bytes), .scratch = aligned(header.scratch_bytes * isa->tile)};
    isa->pack(graph, &header, (uint8_t *)r.model);
    memset(r.scratch, 0xa5, header.scratch_bytes * isa->tile); /* a scratch needs no preparation */
    r.bytes = states_bytes(graph);
    r.state = calloc(1, r.bytes + 1);
    place_states(graph, r.state, r.pointers, NULL);
    return r;
}

/* One call over all steps, and a group of streams each at another place of the input, against steps one by one. */
static void whole(const ernn_isa *isa, const ernn_host_graph *graph, const runner *single, const float *x, long steps) {
    enum { STREAMS = 17 };
    const size_t I = graph->layer[0].inputs, C = graph->layer[graph->layers - 1].units, bytes = single->bytes;
    const int exact = graph->precision == ERNN_INT8;
    runner at_once = start(isa, graph);
    float *y = malloc(4 * C * (size_t)steps), *one = malloc(4 * C * (size_t)steps);
    isa->run(at_once.model, at_once.scratch, at_once.pointers, 0, (size_t)steps, x, y);
    uint8_t *last = malloc(bytes + 1);
    memcpy(last, at_once.state, bytes);
    memset(at_once.state, 0, bytes);
    for (long t = 0; t < steps; t++)
        isa->run(at_once.model, at_once.scratch, at_once.pointers, 0, 1, x + (size_t)t * I, one + (size_t)t * C);
    if (memcmp(last, at_once.state, bytes) != 0) fail(isa->name, "the state after one call", steps);
    if (memcmp(y, one, 4 * C * (size_t)steps) != 0) fail(isa->name, "a logit of one call", steps);

    runner many = start(isa, graph);
    uint8_t *states = calloc(STREAMS, bytes + 1), *pointers[ERNN_LAYER_STATES * ERNN_MAX_LAYERS] = {0};
    for (unsigned n = 0; many.pointers[n]; n++) pointers[n] = states + STREAMS * (size_t)(many.pointers[n] - many.state);
    float *batch = malloc(4 * I * STREAMS), *logits = malloc(4 * C * STREAMS);
    const long shared = steps - STREAMS < 40 ? steps - STREAMS : 40;
    for (long t = 0; t < shared; t++) {
        for (long s = 0; s < STREAMS; s++) memcpy(batch + (size_t)s * I, x + (size_t)(s + t) * I, 4 * I);
        isa->group(many.model, many.scratch, pointers, STREAMS, batch, logits);
    }
    for (long s = 0; s < STREAMS && shared > 0; s++) {
        memset(at_once.state, 0, bytes);
        isa->run(at_once.model, at_once.scratch, at_once.pointers, 0, (size_t)shared, x + (size_t)s * I, y);
        const float *mine = logits + (size_t)s * C, *alone = y + (size_t)(shared - 1) * C;
        for (size_t j = 0; j < C; j++)
            if (exact ? mine[j] != alone[j] : !(fabsf(mine[j] - alone[j]) <= 5e-5f)) fail(isa->name, "a group's logit", s);
    }
}

/* Bound steps against the same steps by `run`; now and then somebody else writes a byte of the state in between. */
static void bound(const ernn_isa *isa, const ernn_host_graph *graph, const float *x, long steps) {
    const size_t I = graph->layer[0].inputs, C = graph->layer[graph->layers - 1].units;
    runner r = start(isa, graph), twin = start(isa, graph);
    float *y = malloc(4 * C), *y2 = malloc(4 * C);
    uint8_t *scratch = aligned(r.model->scratch_bytes + r.model->bound_bytes);
    memset(scratch, 0xa5, r.model->scratch_bytes + r.model->bound_bytes);
    isa->bind(r.model, scratch, r.pointers);
    const long before = allocations;
    for (long t = 0; t < steps; t++) {
        if (t % 7 == 3 && r.bytes) {
            const size_t at = (size_t)t * 37 % r.bytes; /* the lowest bytes of a number: floats stay finite */
            r.state[at & ~(size_t)3] = twin.state[at & ~(size_t)3] = (uint8_t)t;
        }
        if (t % 61 == 60) memset(r.state, 0, r.bytes), memset(twin.state, 0, r.bytes);
        if (isa->step(r.model, scratch, x + (size_t)t * I, y) != ERNN_OK) fail(isa->name, "a bound step's status", t);
        isa->run(twin.model, twin.scratch, twin.pointers, 0, 1, x + (size_t)t * I, y2);
        if (memcmp(y, y2, 4 * C) != 0) fail(isa->name, "a bound step's logit", t);
        if (memcmp(r.state, twin.state, r.bytes) != 0) fail(isa->name, "a bound step's state", t);
    }
    if (allocations != before) fail(isa->name, "the number of allocations of bound steps (expected 0)", steps);
}

int main(int argc, char **argv) {
    if (argc < 2 || !(model_file = fopen(argv[1], "rb"))) return 2;
    ernn_host_graph graph;
    read_graph(&graph);
    unsigned layer;
    const char *wrong = ernn_check(&graph, &layer);
    if (wrong) {
        printf("layer %u: %s\n", layer, wrong);
        return 1;
    }
    const long steps = read_word(), every = read_word(), expected = read_word();
    const size_t I = graph.layer[0].inputs, C = graph.layer[graph.layers - 1].units;
    const int exact = graph.precision == ERNN_INT8;
    const float *x = read_array(4 * I * (size_t)steps);
    const int16_t *xq = exact ? read_array(2 * I * (size_t)steps) : NULL;
    const int32_t *yq = exact && expected ? read_array(4 * C * (size_t)steps) : NULL;
    const double *yd = !exact && expected ? read_array(8 * C * (size_t)steps) : NULL;
    runner reference = start(&ernn_isa_portable, &graph);
    const size_t state_bytes = reference.bytes;
    const long kept_states = expected && every ? steps / every : 0;
    uint8_t *states = kept_states ? calloc((size_t)kept_states, state_bytes + 1) : NULL;
    for (long n = 0; n < kept_states; n++) place_states(&graph, states + state_bytes * (size_t)n, NULL, model_file);
    uint8_t *before_bad = malloc(state_bytes + 1);
    float *y = malloc(4 * C), *y2 = malloc(4 * C);
    int32_t *q = malloc(4 * C), *q2 = malloc(4 * C);
    int seen = 0;
    for (unsigned n = 0; ernn_isa_at(n); n++) {
        const ernn_isa *isa = ernn_isa_at(n);
        if (argc > 2 && strcmp(argv[2], isa->name) != 0) continue;
        runner r = start(isa, &graph), twin = start(isa, &graph);
        memset(reference.state, 0, state_bytes);
        double worst = 0.0;
        seen++;
        const long before = allocations;
        for (long t = 0; t < steps; t++) {
            if (isa->run(r.model, r.scratch, r.pointers, 0, 1, x + (size_t)t * I, y) != ERNN_OK) fail(isa->name, "status", t);
            if (!exact) {
                for (size_t j = 0; yd && j < C; j++) worst = fmax(worst, fabs((double)y[j] - yd[(size_t)t * C + j]));
                if (yd && !(worst <= 5e-5)) fail(isa->name, "a logit (by more than 5e-5)", t);
                continue;
            }
            isa->run_int(twin.model, twin.scratch, twin.pointers, 0, 1, xq + (size_t)t * I, q);
            ernn_isa_portable.run_int(reference.model, reference.scratch, reference.pointers, 0, 1, xq + (size_t)t * I, q2);
            if (memcmp(q, q2, 4 * C) != 0) fail(isa->name, "a logit (from the portable kernel's)", t);
            if (yq && memcmp(q, yq + (size_t)t * C, 4 * C) != 0) fail(isa->name, "a logit (from the file's)", t);
            for (size_t j = 0; j < C; j++) y2[j] = (float)q[j] / 65536.0f;
            if (memcmp(y, y2, 4 * C) != 0) fail(isa->name, "a logit (float input)", t);
            if (memcmp(twin.state, reference.state, state_bytes) != 0) fail(isa->name, "a state (from the portable kernel's)", t);
            if (memcmp(twin.state, r.state, state_bytes) != 0) fail(isa->name, "a state (float input)", t);
            const uint8_t *kept = states && (t + 1) % every == 0 ? states + state_bytes * (size_t)(t / every) : twin.state;
            if (memcmp(twin.state, kept, state_bytes) != 0) fail(isa->name, "a state (from the file's)", t);
        }
        if (allocations != before) fail(isa->name, "the number of allocations (expected 0)", steps);
        const float bad[] = {INFINITY, NAN, 1.1e30f, -3e38f};
        float *sample = malloc(4 * I);
        for (size_t j = 0; j < I; j++)
            for (int b = 0; b < 4; b++) {
                memcpy(sample, x, 4 * I);
                sample[j] = bad[b];
                memcpy(before_bad, r.state, state_bytes);
                if (isa->run(r.model, r.scratch, r.pointers, 0, 1, sample, y) != ERNN_NOT_FINITE) fail(isa->name, "the status of NaN, Inf or too much", (long)j);
                if (memcmp(before_bad, r.state, state_bytes) != 0) fail(isa->name, "a state after NaN, Inf or too much", (long)j);
            }
        bound(isa, &graph, x, steps < 500 ? steps : 500);
        whole(isa, &graph, &r, x, steps < 500 ? steps : 500);
        printf("%s: %ld steps agree, worst %.2e\n", isa->name, steps, worst);
    }
    return seen ? 0 : 2;
}
