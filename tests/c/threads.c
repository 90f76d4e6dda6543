/* Eight threads share one packed model, each with its own state and scratch; built with ThreadSanitizer, and every
 * thread must end where a lone one ends.
 *
 * usage: threads FILE ISA
 */
#include <pthread.h>

#include "model_file.h"

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return __real_malloc(n); }

enum { THREADS = 8, STEPS = 300 };

static ernn_host_graph graph;
static const ernn_isa *isa;
static ernn_packed *model;

static void *aligned(size_t bytes) { return aligned_alloc(ERNN_ALIGN, (bytes + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN); }

static void *work(void *unused) {
    uint8_t *scratch = aligned(model->scratch_bytes * isa->tile), *pointers[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    uint8_t *state = calloc(1, states_bytes(&graph) + 1);
    place_states(&graph, state, pointers, NULL);
    float *x = calloc(model->inputs, sizeof *x), *y = calloc(model->outputs, sizeof *y);
    for (int t = 0; t < STEPS; t++) {
        for (int j = 0; j < model->inputs; j++) x[j] = (float)((t * 7 + j * 3) % 11) - 5.0f;
        isa->run(model, scratch, pointers, 0, 1, x, y);
    }
    (void)unused;
    return state;
}

int main(int argc, char **argv) {
    if (argc != 3 || !(model_file = fopen(argv[1], "rb")) || !(isa = ernn_isa_named(argv[2]))) return 2;
    read_graph(&graph);
    ernn_packed header;
    isa->pack(&graph, &header, NULL);
    model = aligned(header.bytes);
    isa->pack(&graph, &header, (uint8_t *)model);
    const void *alone = work(NULL);
    pthread_t threads[THREADS];
    for (int n = 0; n < THREADS; n++) pthread_create(&threads[n], NULL, work, NULL);
    for (int n = 0; n < THREADS; n++) {
        void *state;
        pthread_join(threads[n], &state);
        if (memcmp(state, alone, states_bytes(&graph)) != 0) return 1;
    }
    puts("all threads agree");
    return 0;
}
