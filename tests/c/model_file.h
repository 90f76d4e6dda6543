/* The tests' own model file: int32 words and arrays, written by tests/kernel_files.py, read by the C test programs.
 * Test code: it exits on a short file and frees nothing.
 */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/host.h"

static FILE *model_file;

static void *read_array(size_t bytes) {
    void *to = malloc(bytes ? bytes : 1);
    if (!to || fread(to, 1, bytes, model_file) != bytes) {
        fprintf(stderr, "the model file is short\n");
        exit(2);
    }
    return to;
}

static int32_t read_word(void) { return *(int32_t *)read_array(4); }

static void read_graph(ernn_host_graph *graph) {
    memset(graph, 0, sizeof *graph);
    graph->precision = (uint8_t)read_word();
    graph->layers = (uint8_t)read_word();
    for (int l = 0; l < graph->layers; l++) {
        ernn_host_layer *at = &graph->layer[l];
        at->kind = (uint8_t)read_word(), at->activation = (uint8_t)read_word(), at->exponent = (uint8_t)read_word();
        at->inputs = (uint16_t)read_word(), at->units = (uint16_t)read_word();
    }
    const size_t I = graph->layer[0].inputs;
    graph->reach = 1e30f;
    if (graph->precision == ERNN_INT8) {
        graph->sx = read_array(4 * I);
    } else {
        graph->mean = read_array(4 * I);
        graph->std = read_array(4 * I);
    }
    for (int l = 0; l < graph->layers; l++) {
        ernn_host_layer *at = &graph->layer[l];
        const size_t H = at->units, rows = (at->kind == ERNN_GRU ? 3 : at->kind == ERNN_LSTM ? 4 : 1) * H;
        const int dense = at->kind == ERNN_DENSE;
        if (graph->precision == ERNN_FLOAT32) {
            at->w_ih = read_array(4 * rows * at->inputs);
            at->b_ih = read_array(4 * rows);
            if (dense) continue;
            at->w_hh = read_array(4 * rows * H);
            at->b_hh = read_array(4 * rows);
            continue;
        }
        at->ih_w = read_array(rows * at->inputs), at->ih_m = read_array(4 * rows), at->ih_S_k = read_array(8);
        if (!dense) at->hh_w = read_array(rows * H), at->hh_m = read_array(4 * rows), at->hh_S_k = read_array(8);
        at->b = read_array(4 * rows);
        if (at->kind == ERNN_GRU) at->bn = read_array(4 * H);
    }
}

/* The canonical states of one stream in one block of memory; returns its bytes, pointers[] point into it. */
static size_t place_states(const ernn_host_graph *graph, uint8_t *memory, uint8_t **pointers) {
    size_t total = 0;
    for (unsigned l = 0, n = 0; l < graph->layers; l++) {
        const int kind = graph->layer[l].kind, exact = graph->precision == ERNN_INT8;
        for (unsigned which = 0; kind != ERNN_DENSE && which < (kind == ERNN_LSTM ? 2u : 1u); which++) {
            if (memory) pointers[n++] = memory + total;
            total += graph->layer[l].units * (exact && which == 0 && kind != ERNN_GRU ? 2u : 4u);
        }
    }
    return total;
}

#endif
