/* The tests' own model file: int32 words and arrays, written by tests/kernel_files.py, read by the C test programs.
 * Test code: it exits on a short file and frees nothing.
 */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/shape.h"

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
        int words[ERNN_LAYER_WORDS];
        for (int j = 0; j < ERNN_LAYER_WORDS; j++) words[j] = read_word();
        if (ernn_layer_of(graph->precision, words, at)) {
            fprintf(stderr, "layer %d is none\n", l);
            exit(2);
        }
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
        ernn_wanted wanted[ERNN_LAYER_ARRAYS];
        const unsigned n = ernn_arrays_of(graph->precision, l == 0, &graph->layer[l], wanted);
        for (unsigned j = 0; j < n; j++)
            *wanted[j].to = read_array(wanted[j].count * (wanted[j].format == 'b' ? 1 : wanted[j].format == 'h' ? 2 : 4));
    }
}

/* The states of one stream in one block of memory, each aligned as its numbers ask, between them zeros; returns its bytes,
 * pointers[] point into it. With `from`, the numbers of each are read from there.
 */
static size_t place_states(const ernn_host_graph *graph, uint8_t *memory, uint8_t **pointers, FILE *from) {
    size_t total = 0;
    for (unsigned l = 0, n = 0; l < graph->layers; l++) {
        ernn_state_form form[ERNN_LAYER_STATES];
        const unsigned count = ernn_states_of(graph->precision, &graph->layer[l], form);
        for (unsigned j = 0; j < count; j++) {
            const size_t bytes = form[j].width * (form[j].format == 'h' ? 2u : 4u);
            if (pointers) pointers[n++] = memory + total;
            if (from && fread(memory + total, 1, bytes, from) != bytes) {
                fprintf(stderr, "the model file is short\n");
                exit(2);
            }
            total += (bytes + 3) / 4 * 4;
        }
    }
    return total;
}

static size_t states_bytes(const ernn_host_graph *graph) { return place_states(graph, NULL, NULL, NULL); }

#endif
