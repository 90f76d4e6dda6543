/* Weights of unknown origin: bytes become a graph, ernn_check judges it, and what it lets through is packed and run by
 * every variant, with hostile samples. Whatever the bytes, no variant may leave its memory or overflow (build with
 * AddressSanitizer and UBSan), and int8 integers and states must be the portable kernel's.
 *
 * LLVMFuzzerTestOneInput is libFuzzer's entry (clang -fsanitize=fuzzer,address,undefined -DERNN_LIBFUZZER). Without it
 * main drives it: it mutates bytes of its own by a seed and prints how many graphs were let through and refused.
 *
 * usage: weights_fuzz SEED COUNT
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/shape.h"

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return __real_malloc(n); }

enum { MOST_ARRAYS = 8 * ERNN_MAX_LAYERS + 3, STREAMS = 9, STEPS = 5 };

static const uint8_t *input;
static size_t input_size, input_at;
static uint64_t noise;
static void *arrays[MOST_ARRAYS];
static unsigned held;
static long taken, refused;

/* The next byte: the input's, and behind its end noise that follows from it. */
static uint8_t byte(void) {
    noise = noise * 6364136223846793005u + 1442695040888963407u;
    const uint8_t given = input_at < input_size ? input[input_at] : (uint8_t)(noise >> 56);
    input_at++;
    noise ^= given;
    return given;
}

static uint32_t word(void) {
    uint32_t v = byte();
    for (int n = 0; n < 3; n++) v = v << 8 | byte();
    return v;
}

/* Exactly as long as the layers say: one byte further is somebody else's. */
static void *array(size_t bytes) { return arrays[held++] = __real_malloc(bytes); }

static const int8_t *int8_array(size_t n, int hostile) {
    int8_t *to = array(n);
    for (size_t j = 0; j < n; j++) {
        to[j] = (int8_t)byte();
        if (to[j] == -128 && !hostile) to[j] = 127;
    }
    return to;
}

/* Numbers in 1..most, or anything. */
static const int32_t *positive_array(size_t n, int64_t most, int hostile) {
    int32_t *to = array(4 * n);
    for (size_t j = 0; j < n; j++) to[j] = hostile && byte() < 4 ? (int32_t)word() : (int32_t)(1 + word() % (uint64_t)most);
    return to;
}

static const int32_t *bias_array(size_t n, int hostile) {
    int32_t *to = array(4 * n);
    for (size_t j = 0; j < n; j++) to[j] = hostile && byte() < 4 ? (int32_t)word() : (int32_t)(word() & 0x3fffffff) - 0x1fffffff;
    return to;
}

static const int32_t *shifts(int S, int hostile) {
    int32_t *to = array(8);
    to[0] = hostile && byte() < 8 ? (int32_t)word() : S;
    to[1] = hostile && byte() < 8 ? (int32_t)word() : S < 33 ? 33 - S : 0;
    return to;
}

static const float *float_array(size_t n, int positive, int hostile) {
    float *to = array(4 * n);
    for (size_t j = 0; j < n; j++) {
        uint32_t bits = word();
        if (!hostile) bits = (bits & 0x80ffffffu) | 0x3f000000u; /* 0.125 to 2 */
        memcpy(&to[j], &bits, 4);
        if (positive && !hostile) to[j] = fabsf(to[j]);
    }
    return to;
}

/* The largest multiplier whose products stay below 2^28 for n columns. */
static int64_t most_multiplier(size_t n, int S) {
    const double limit = ldexp(1.0, 28 + S) / (127.0 * 32768.0 * (double)n);
    return limit < 1.0 ? 1 : limit > 2147483646.0 ? 2147483646 : (int64_t)limit;
}

static void read_layer(ernn_host_graph *graph, ernn_host_layer *at, int head, int hostile) {
    const int exact = graph->precision == ERNN_INT8;
    at->units = (uint16_t)(1 + byte() % 70);
    at->kind = head ? ERNN_DENSE : byte() % 4;
    at->activation = at->kind == ERNN_GRU || at->kind == ERNN_LSTM ? ERNN_TANH : head ? ERNN_NONE : byte() & 1;
    if (at->kind == ERNN_RNN) at->activation++; /* relu or tanh */
    const int scaled = exact && !head && (at->kind == ERNN_DENSE || at->activation == ERNN_RELU);
    at->exponent = scaled ? 1 + byte() % 16 : 0;
    if (hostile && byte() < 8) at->kind = byte();
    if (at->kind > ERNN_LSTM) at->kind |= 0x80; /* no kind at all: the arrays of the newer ones are not made here */
    if (hostile && byte() < 8) at->activation = byte();
    if (hostile && byte() < 8) at->exponent = byte();
    const size_t I = at->inputs, H = at->units;
    const size_t rows = (at->kind == ERNN_GRU ? 3 : at->kind == ERNN_LSTM ? 4 : 1) * H;
    const int dense = at->kind == ERNN_DENSE;
    if (!exact) {
        at->w_ih = float_array(rows * I, 0, hostile), at->b_ih = float_array(rows, 0, hostile);
        if (!dense) at->w_hh = float_array(rows * H, 0, hostile), at->b_hh = float_array(rows, 0, hostile);
        return;
    }
    const int S = 24 + byte() % 39;
    at->ih_w = int8_array(rows * I, hostile), at->ih_S_k = shifts(S, hostile);
    at->ih_m = positive_array(rows, most_multiplier(I, S), hostile);
    if (!dense) {
        at->hh_w = int8_array(rows * H, hostile), at->hh_S_k = shifts(S, hostile);
        at->hh_m = positive_array(rows, most_multiplier(H, S), hostile);
    }
    at->b = bias_array(rows, hostile);
    if (at->kind == ERNN_GRU) {
        int32_t *bn = array(4 * H);
        for (size_t j = 0; j < H; j++) bn[j] = (int32_t)(word() & 0x0fffffff) * (hostile && byte() < 4 ? 8 : 1);
        at->bn = bn;
    }
}

static void read_graph(ernn_host_graph *graph) {
    const int hostile = byte() % 4 == 0;
    memset(graph, 0, sizeof *graph);
    graph->precision = byte() & 1;
    graph->layers = (uint8_t)(1 + byte() % 4);
    uint16_t width = (uint16_t)(1 + byte() % 40);
    graph->mean = float_array(width, 0, hostile), graph->std = float_array(width, 1, hostile);
    graph->sx = float_array(width, 1, hostile);
    graph->reach = hostile && byte() < 8 ? *float_array(1, 0, 1) : 1e30f;
    for (int l = 0; l < graph->layers; l++) {
        graph->layer[l].inputs = width;
        read_layer(graph, &graph->layer[l], l + 1 == graph->layers, hostile);
        width = graph->layer[l].units;
    }
    /* Not layer 0's: who calls ernn_check promises arrays of the sizes that the layers imply. */
    if (hostile && byte() < 8 && graph->layers > 1) graph->layer[1 + byte() % (graph->layers - 1)].inputs = (uint16_t)word();
    if (hostile && byte() < 8) graph->layer[byte() % graph->layers].units = 0;
    if (hostile && byte() < 4) graph->layers = byte();
}

static void *aligned(size_t bytes) { return aligned_alloc(ERNN_ALIGN, (bytes + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN); }

typedef struct {
    uint8_t *state[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    size_t bytes[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    unsigned n;
} states;

static states zero_states(const ernn_host_graph *graph) {
    states made = {.n = 0};
    for (unsigned l = 0; l < graph->layers; l++) {
        const int kind = graph->layer[l].kind, exact = graph->precision == ERNN_INT8;
        for (unsigned which = 0; kind != ERNN_DENSE && which < (kind == ERNN_LSTM ? 2u : 1u); which++) {
            made.bytes[made.n] = STREAMS * graph->layer[l].units * (exact && which == 0 && kind != ERNN_GRU ? 2u : 4u);
            made.state[made.n] = calloc(1, made.bytes[made.n]);
            made.n++;
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
    float *x = array(4 * I * STREAMS);
    int16_t *xq = array(2 * I * STREAMS);
    const float corners[] = {0.0f, -0.0f, 1e-45f, 1e30f, -1e30f, 32767.5f, 3e38f, INFINITY, NAN};
    const int wild = byte() % 4 == 0;
    for (size_t j = 0; j < I * STREAMS; j++) {
        x[j] = byte() < 64 ? corners[byte() % (wild ? 9 : 6)] : (float)(int32_t)word() * 1e-6f;
        xq[j] = byte() < 64 ? (byte() & 1 ? 32767 : -32768) : (int16_t)word();
    }
    int32_t *y = array(4 * C * STREAMS * (STEPS + 1)), *expected = array(4 * C * STREAMS * (STEPS + 1));
    memset(y, 0, 4 * C * STREAMS * (STEPS + 1)), memset(expected, 0, 4 * C * STREAMS * (STEPS + 1));
    states truth = zero_states(graph);
    run(&ernn_isa_portable, graph, x, xq, &truth, expected);
    for (unsigned n = 0; ernn_isa_at(n) && ernn_isa_at(n) != &ernn_isa_portable; n++) {
        states mine = zero_states(graph);
        run(ernn_isa_at(n), graph, x, xq, &mine, y);
        if (exact && memcmp(y, expected, 4 * C * STREAMS) != 0) fail(ernn_isa_at(n)->name, "a logit");
        for (unsigned j = 0; exact && j < mine.n; j++)
            if (memcmp(mine.state[j], truth.state[j], mine.bytes[j]) != 0) fail(ernn_isa_at(n)->name, "a state");
        drop(&mine);
    }
    drop(&truth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ernn_host_graph graph;
    unsigned layer;
    input = data, input_size = size, input_at = 0, noise = size;
    held = 0;
    read_graph(&graph);
    if (ernn_check(&graph, &layer) == NULL) {
        taken++;
        run_all(&graph);
    } else {
        refused++;
    }
    while (held) free(arrays[--held]);
    return 0;
}

#ifndef ERNN_LIBFUZZER
int main(int argc, char **argv) {
    if (argc != 3) return 2;
    uint64_t random = strtoull(argv[1], NULL, 10) * 2 + 1;
    uint8_t data[512];
    for (size_t j = 0; j < sizeof data; j++) data[j] = (uint8_t)(random >> 33), random = random * 6364136223846793005u + 1;
    for (long n = atol(argv[2]); n; n--) {
        for (int change = 0; change < 4; change++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            /* One of three goes to the first bytes, which say what layers there are. */
            const size_t span = random >> 60 < 5 ? 24 : sizeof data;
            data[(random >> 20) % span] = (uint8_t)(random >> 48);
        }
        LLVMFuzzerTestOneInput(data, (size_t)(random >> 40) % sizeof data);
    }
    printf("%ld graphs run, %ld refused\n", taken, refused);
    return 0;
}
#endif
