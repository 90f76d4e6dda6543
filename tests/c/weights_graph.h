/* Bytes of unknown origin become a graph, by one of two ways that the first byte chooses: 1, the rest is a model file as
 * tests/kernel_files.py writes it, read as the binding reads a bundle's arrays; else the bytes choose layers of all
 * kinds and their numbers so that most graphs keep the rules, and a quarter of them breaks some.
 *
 * Test code. Each array is exactly as long as the layers say: one number further is somebody else's.
 */
#ifndef WEIGHTS_GRAPH_H
#define WEIGHTS_GRAPH_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simd/shape.h"

void *__real_malloc(size_t n);

enum { MOST_ARRAYS = ERNN_LAYER_ARRAYS * (ERNN_MAX_LAYERS + 1) + 8, MOST_NUMBERS = 1 << 20, WIDE = 128 };

static const uint8_t *input;
static size_t input_size, input_at;
static uint64_t noise;
static void *arrays[MOST_ARRAYS];
static unsigned held;
static long short_array = -1; /* the negative control: this one lacks its last number */

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

static size_t item_bytes(char format) { return format == 'b' ? 1 : format == 'h' ? 2 : 4; }

static void *array(char format, size_t count) {
    const size_t missing = (long)held == short_array ? item_bytes(format) : 0;
    return arrays[held++] = __real_malloc(item_bytes(format) * count - missing);
}

static void forget(void) {
    while (held) free(arrays[--held]);
}

/* ---- a model file ---- */

static const void *next_array(char format, size_t count) {
    const size_t missing = (long)held == short_array ? item_bytes(format) : 0, bytes = item_bytes(format) * count;
    uint8_t *to = array(format, count);
    for (size_t j = 0; j < bytes; j++) {
        const uint8_t next = byte();
        if (j < bytes - missing) to[j] = next;
    }
    return to;
}

static int next_word(void) {
    uint32_t v = 0;
    for (int shift = 0; shift < 32; shift += 8) v |= (uint32_t)byte() << shift;
    return (int)v;
}

/* 0: not even its arrays can be counted. */
static int read_file(ernn_host_graph *graph) {
    graph->precision = next_word() != 0;
    const int layers = next_word(), exact = graph->precision == ERNN_INT8;
    if (layers < 1 || layers > ERNN_MAX_LAYERS) return 0;
    graph->layers = (uint8_t)layers;
    graph->reach = 1e30f;
    for (int l = 0; l < layers; l++) {
        int words[ERNN_LAYER_WORDS];
        for (int j = 0; j < ERNN_LAYER_WORDS; j++) words[j] = next_word();
        if (ernn_layer_of(graph->precision, words, &graph->layer[l])) return 0;
    }
    const float **edge[2] = {exact ? &graph->sx : &graph->mean, &graph->std};
    for (int j = 0; j < (exact ? 1 : 2); j++) *edge[j] = next_array('f', graph->layer[0].inputs);
    for (int l = 0; l < layers; l++) {
        ernn_wanted wanted[ERNN_LAYER_ARRAYS];
        const unsigned n = ernn_arrays_of(graph->precision, l == 0, &graph->layer[l], wanted);
        for (unsigned j = 0; j < n; j++) {
            if (wanted[j].count > MOST_NUMBERS) return 0;
            *wanted[j].to = next_array(wanted[j].format, wanted[j].count);
        }
    }
    return 1;
}

/* ---- layers and numbers chosen by the bytes ---- */

static const float *floats(size_t n, int positive, int hostile) {
    float *to = array('f', n);
    for (size_t j = 0; j < n; j++) {
        uint32_t bits = word();
        if (!hostile) bits = (bits & 0x80ffffffu) | 0x3f000000u; /* 0.125 to 2 */
        memcpy(&to[j], &bits, 4);
        if (positive && !hostile) to[j] = fabsf(to[j]);
    }
    return to;
}

static const float *share(int hostile) {
    float *to = array('f', 1);
    *to = hostile && byte() < 8 ? (float)(int32_t)word() : (float)(word() >> 8) * 0x1p-24f;
    return to;
}

static const void *ints(size_t n, uint32_t mask, int32_t least, int hostile) {
    int32_t *to = array('i', n);
    for (size_t j = 0; j < n; j++) to[j] = hostile && byte() < 4 ? (int32_t)word() : (int32_t)(word() & mask) + least;
    return to;
}

/* From 1 to where products of n columns stay below 2^28. */
static const void *multipliers(size_t n, size_t columns, int S, int hostile) {
    const double limit = ldexp(1.0, 28 + S) / (127.0 * 32768.0 * (double)columns);
    const uint64_t most = limit < 1.0 ? 1 : limit > 2147483646.0 ? 2147483646 : (uint64_t)limit;
    int32_t *to = array('i', n);
    for (size_t j = 0; j < n; j++) to[j] = hostile && byte() < 4 ? (int32_t)word() : (int32_t)(1 + word() % most);
    return to;
}

static const void *shifts(int S, int hostile) {
    int32_t *to = array('i', 2);
    to[0] = hostile && byte() < 8 ? (int32_t)word() : S;
    to[1] = hostile && byte() < 8 ? (int32_t)word() : S < 33 ? 33 - S : 0;
    return to;
}

static const void *narrow(char format, size_t n, int hostile) {
    int8_t *to = array(format, n);
    for (size_t j = 0; j < n * item_bytes(format); j++) {
        to[j] = (int8_t)byte();
        if (to[j] == -128 && format == 'b' && !hostile) to[j] = 127;
    }
    return to;
}

static void fill(ernn_host_graph *graph, ernn_host_layer *at, int first, int hostile) {
    const int S = byte() % 4 ? 33 + byte() % 30 : 24 + byte() % 9, fast = at->kind == ERNN_FASTGRNN;
    ernn_wanted wanted[ERNN_LAYER_ARRAYS];
    const unsigned n = ernn_arrays_of(graph->precision, first, at, wanted);
    for (unsigned j = 0; j < n; j++) {
        const void **to = wanted[j].to;
        const size_t count = wanted[j].count;
        if (to == (const void **)&at->zeta || to == (const void **)&at->nu)
            *to = share(hostile);
        else if (wanted[j].format == 'f')
            *to = floats(count, 0, hostile);
        else if (wanted[j].format != 'i')
            *to = narrow(wanted[j].format, count, hostile);
        else if (to == (const void **)&at->ih_m)
            *to = multipliers(count, ernn_ih_columns(at), S, hostile);
        else if (to == (const void **)&at->hh_m)
            *to = multipliers(count, ernn_hh_columns(at), S, hostile);
        else if (to == (const void **)&at->ih_S_k || to == (const void **)&at->hh_S_k)
            *to = shifts(S, hostile);
        else if (to == (const void **)&at->zeta_q || to == (const void **)&at->nu_q)
            *to = ints(count, 0xffffff, 0, hostile);
        else if (at->kind == ERNN_STATISTICS && to == (const void **)&at->b)
            *to = ints(count, 0x7fffffff, 0, hostile);
        else if (to == (const void **)&at->bn && !fast)
            *to = ints(count, 0x1fffffff, -0xfffffff, hostile);
        else
            *to = ints(count, 0x3fffffff, -0x1fffffff, hostile);
    }
}

/* Words of a layer on `width` numbers. Wide ones come last: a window of windows of windows is only slow. */
static void choose(int *w, int exact, int width, int head) {
    enum { KIND, ACTIVATION, EXPONENT, INPUTS, UNITS, WINDOW, KERNEL, DILATION, HEADS, HIDDEN };
    int kind = byte() % (ERNN_NORM + 1);
    while (exact && !ernn_has_int8(kind)) kind = byte() % (ERNN_NORM + 1);
    if (width > WIDE || (width < 2 && kind == ERNN_STATISTICS)) kind = byte() % 2 ? ERNN_GRU : ERNN_DENSE;
    memset(w, 0, sizeof *w * ERNN_LAYER_WORDS);
    w[KIND] = kind = head ? ERNN_DENSE : kind;
    w[INPUTS] = width;
    w[UNITS] = kind >= ERNN_ATTENTION ? width : 1 + byte() % 70;
    if (kind == ERNN_WINDOW || kind == ERNN_STATISTICS || kind == ERNN_ATTENTION) w[WINDOW] = 2 + byte() % 8;
    if (kind == ERNN_WINDOW) w[UNITS] = w[WINDOW] * width;
    if (kind == ERNN_CONV) w[KERNEL] = 1 + byte() % 6, w[DILATION] = 1 + byte() % 5;
    if (kind == ERNN_STATISTICS) {
        w[WINDOW] = w[WINDOW] > width ? 2 : w[WINDOW];
        while (width % w[WINDOW]) w[WINDOW]++;
        w[UNITS] = 5 * (width / w[WINDOW]);
    }
    if (kind == ERNN_ATTENTION) {
        w[HEADS] = 1 + byte() % 8;
        while (width % w[HEADS]) w[HEADS]--;
    }
    if (kind == ERNN_FEEDFORWARD) w[HIDDEN] = 1 + byte() % 50;
    const int either = kind == ERNN_RNN || kind == ERNN_CONV || (kind == ERNN_DENSE && !head);
    w[ACTIVATION] = kind == ERNN_FEEDFORWARD ? ERNN_RELU : either ? byte() % 2 : ERNN_NONE;
    if (kind == ERNN_RNN) w[ACTIVATION]++; /* relu or tanh */
    if (kind == ERNN_GRU || kind == ERNN_LSTM || kind == ERNN_FASTGRNN) w[ACTIVATION] = ERNN_TANH;
    const int scaled = kind == ERNN_CONV || kind == ERNN_FASTGRNN || (kind == ERNN_DENSE && !head) || w[ACTIVATION] == ERNN_RELU;
    w[EXPONENT] = exact && scaled ? 1 + byte() % 16 : 0;
}

static int make_graph(ernn_host_graph *graph) {
    const int hostile = byte() % 4 == 0, exact = byte() & 1, layers = 1 + byte() % 4;
    int width = 1 + byte() % 40;
    graph->precision = (uint8_t)exact, graph->layers = (uint8_t)layers;
    graph->reach = hostile && byte() < 8 ? *floats(1, 0, 1) : 1e30f;
    for (int l = 0; l < layers; l++) {
        int words[ERNN_LAYER_WORDS];
        choose(words, exact, width, l + 1 == layers);
        if (hostile && byte() < 32) words[byte() % ERNN_LAYER_WORDS] = byte() % 2 ? byte() % 12 : (int)(word() % 9000);
        if (ernn_layer_of(exact, words, &graph->layer[l])) return 0;
        ernn_wanted wanted[ERNN_LAYER_ARRAYS];
        for (unsigned n = ernn_arrays_of(exact, l == 0, &graph->layer[l], wanted); n; n--)
            if (wanted[n - 1].count > MOST_NUMBERS) return 0;
        if (l == 0) {
            const size_t I = graph->layer[0].inputs;
            graph->mean = floats(I, 0, hostile), graph->std = floats(I, 1, hostile), graph->sx = floats(I, 1, hostile);
        }
        fill(graph, &graph->layer[l], l == 0, hostile);
        width = graph->layer[l].units;
    }
    if (hostile && byte() < 4) graph->layers = (uint8_t)(byte() % 2 ? 0 : layers - byte() % 2);
    return 1;
}

/* 0: nothing that ernn_check could judge. */
static int read_graph(ernn_host_graph *graph, const uint8_t *data, size_t size) {
    memset(graph, 0, sizeof *graph);
    input = data, input_size = size, input_at = 0, noise = size;
    return byte() == 1 ? read_file(graph) : make_graph(graph);
}

#endif
