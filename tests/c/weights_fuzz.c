/* Weights of unknown origin: bytes become a graph (weights_graph.h), ernn_check judges it, and what it lets through is
 * packed and run by every variant, with hostile samples and, half the time, hostile states. Whatever the bytes, no
 * variant may leave its memory or overflow (build with AddressSanitizer and UBSan), and int8 integers and states must be
 * the portable kernel's.
 *
 * LLVMFuzzerTestOneInput is libFuzzer's entry (clang -fsanitize=fuzzer,address,undefined -DERNN_LIBFUZZER). Without it
 * main drives it: every seed as it is, which must be let through; then bytes of its own and seeds in turn, mutated by a
 * number; it prints how many graphs were let through and refused, and how many layers of each kind ran in float and int8.
 *
 * usage: weights_fuzz NUMBER COUNT [SEED...]      SHORT_ARRAY=n: the n-th array lacks its last number
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights_graph.h"

void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return __real_malloc(n); }

enum { STREAMS = 9, STEPS = 5, MOST_SEEDS = 64, OWN = 512, FRONT = 24 };

static long taken, refused, layers_run[2][ERNN_NORM + 1];

static void *aligned(size_t bytes) { return aligned_alloc(ERNN_ALIGN, (bytes + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN); }

typedef struct {
    uint8_t *state[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    size_t bytes[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    unsigned n;
} states;

/* All zero, or bytes that follow from `wild`. */
static states make_states(const ernn_host_graph *graph, uint64_t wild) {
    states made = {.n = 0};
    for (unsigned l = 0; l < graph->layers; l++) {
        ernn_state_form form[ERNN_LAYER_STATES];
        const unsigned count = ernn_states_of(graph->precision, &graph->layer[l], form);
        for (unsigned which = 0; which < count; which++, made.n++) {
            const size_t bytes = made.bytes[made.n] = STREAMS * form[which].width * item_bytes(form[which].format);
            uint8_t *to = made.state[made.n] = calloc(1, bytes);
            for (size_t j = 0; wild && j < bytes; j++) to[j] = (uint8_t)((wild = wild * 6364136223846793005u + 1) >> 56);
        }
    }
    return made;
}

static void drop(states *of) {
    while (of->n) free(of->state[--of->n]);
}

static void fail(const char *isa, const char *what) {
    fprintf(stderr, "%s: %s differs from the portable kernel's\n", isa, what);
    abort();
}

/* Steps, a chunk and a group on one variant; the last integers and states are left in y and in of. */
static void run(const ernn_isa *isa, const ernn_host_graph *graph, const float *x, const int16_t *xq, states *of, int32_t *y) {
    ernn_packed header;
    isa->pack(graph, &header, NULL);
    ernn_packed *model = aligned(header.bytes);
    isa->pack(graph, &header, (uint8_t *)model);
    uint8_t *scratch = aligned(header.scratch_bytes * isa->tile + header.bound_bytes);
    const size_t I = header.inputs, C = header.outputs;
    float *logits = __real_malloc(4 * C * STREAMS);
    for (int t = 0; t < STEPS; t++) isa->run(model, scratch, of->state, 0, 1, x + (size_t)t * I, logits);
    isa->run(model, scratch, of->state, 1, STEPS, x, logits);
    isa->group(model, scratch, of->state, STREAMS, x, logits);
    if (graph->precision == ERNN_INT8) {
        for (size_t s = 0; s < STREAMS; s++) isa->run_int(model, scratch, of->state, s, 1, xq + s * I, y + s * C);
        isa->run_int(model, scratch, of->state, 2, STEPS, xq, y + 2 * C);
    }
    isa->bind(model, scratch, of->state);
    for (int t = 0; t < STEPS; t++) isa->step(model, scratch, x + (size_t)t * I, logits);
    free(logits), free(scratch), free(model);
}

static void run_all(const ernn_host_graph *graph) {
    const size_t I = graph->layer[0].inputs, C = graph->layer[graph->layers - 1].units;
    const int exact = graph->precision == ERNN_INT8;
    float *x = array('f', I * STREAMS);
    int16_t *xq = array('h', I * STREAMS);
    const float corners[] = {0.0f, -0.0f, 1e-45f, 1e30f, -1e30f, 32767.5f, 3e38f, INFINITY, NAN};
    const int wild = byte() % 4 == 0;
    for (size_t j = 0; j < I * STREAMS; j++) {
        x[j] = byte() < 64 ? corners[byte() % (wild ? 9 : 6)] : (float)(int32_t)word() * 1e-6f;
        xq[j] = byte() < 64 ? (byte() & 1 ? 32767 : -32768) : (int16_t)word();
    }
    int32_t *y = array('i', C * STREAMS * (STEPS + 1)), *expected = array('i', C * STREAMS * (STEPS + 1));
    const uint64_t wild_states = byte() % 2 ? word() : 0;
    memset(y, 0, 4 * C * STREAMS * (STEPS + 1)), memset(expected, 0, 4 * C * STREAMS * (STEPS + 1));
    states truth = make_states(graph, wild_states);
    run(&ernn_isa_portable, graph, x, xq, &truth, expected);
    for (unsigned n = 0; ernn_isa_at(n) && ernn_isa_at(n) != &ernn_isa_portable; n++) {
        states mine = make_states(graph, wild_states);
        run(ernn_isa_at(n), graph, x, xq, &mine, y);
        const int same = exact && !wild_states; /* no contract says what follows from states that no stream has */
        if (same && memcmp(y, expected, 4 * C * STREAMS) != 0) fail(ernn_isa_at(n)->name, "a logit");
        for (unsigned j = 0; same && j < mine.n; j++)
            if (memcmp(mine.state[j], truth.state[j], mine.bytes[j]) != 0) fail(ernn_isa_at(n)->name, "a state");
        drop(&mine);
    }
    drop(&truth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ernn_host_graph graph;
    unsigned layer;
    if (read_graph(&graph, data, size) && ernn_check(&graph, &layer) == NULL) {
        taken++;
        for (unsigned l = 0; l < graph.layers; l++) layers_run[graph.precision][graph.layer[l].kind]++;
        run_all(&graph);
    } else {
        refused++;
    }
    forget();
    return 0;
}

#ifndef ERNN_LIBFUZZER
typedef struct {
    uint8_t *bytes;
    size_t size;
} seed;

static seed read_seed(const char *name) {
    FILE *file = fopen(name, "rb");
    seed s = {.bytes = malloc(MOST_NUMBERS)};
    if (file) s.size = fread(s.bytes, 1, MOST_NUMBERS, file), fclose(file);
    if (!s.size) exit(2);
    return s;
}

static uint64_t draw(uint64_t *random) { return (*random = *random * 6364136223846793005u + 1442695040888963407u) >> 20; }

/* Some bytes of a copy change; one of three lies where the layers are told, and there small numbers say most. */
static void mutate(const uint8_t *bytes, size_t size, size_t told, uint64_t *random) {
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    for (uint64_t change = 1 + draw(random) % 4; change; change--) {
        const int front = draw(random) % 3 == 0;
        const size_t at = draw(random) % (front && told < size ? told : size);
        copy[at] = (uint8_t)(draw(random) % (front && draw(random) % 2 ? 12 : 256));
    }
    const int cut = draw(random) % 16 == 0;
    LLVMFuzzerTestOneInput(copy, cut ? draw(random) % size : size);
    free(copy);
}

int main(int argc, char **argv) {
    if (argc < 3 || argc - 3 > MOST_SEEDS) return 2;
    uint64_t random = strtoull(argv[1], NULL, 10) * 2 + 1;
    seed seeds[MOST_SEEDS];
    const unsigned n = (unsigned)argc - 3;
    if (getenv("SHORT_ARRAY")) short_array = atol(getenv("SHORT_ARRAY"));
    for (unsigned j = 0; j < n; j++) {
        seeds[j] = read_seed(argv[3 + j]);
        LLVMFuzzerTestOneInput(seeds[j].bytes, seeds[j].size);
        if (refused) {
            fprintf(stderr, "%s was refused\n", argv[3 + j]);
            return 1;
        }
    }
    taken = 0;
    uint8_t own[OWN];
    for (size_t j = 0; j < OWN; j++) own[j] = (uint8_t)draw(&random);
    for (long left = atol(argv[2]); left; left--) {
        const seed *from = n && left % 2 ? &seeds[draw(&random) % n] : NULL;
        own[0] = 0, own[FRONT + draw(&random) % (OWN - FRONT)] = (uint8_t)draw(&random);
        for (size_t j = 1; j < FRONT; j++) own[j] = (uint8_t)draw(&random); /* what layers there are: anew each time */
        mutate(from ? from->bytes : own, from ? from->size : OWN, from ? 240 : FRONT, &random);
    }
    for (unsigned j = 0; j < n; j++) free(seeds[j].bytes);
    printf("%ld graphs run, %ld refused\n", taken, refused);
    for (int precision = 0; precision < 2; precision++)
        for (int kind = 0; kind <= ERNN_NORM; kind++) printf("%ld%c", layers_run[precision][kind], kind < ERNN_NORM ? ' ' : '\n');
    return 0;
}
#endif
