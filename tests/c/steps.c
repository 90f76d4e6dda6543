/* N single steps of a model file's network on one variant: the difference of two runs' instruction counts is the cost
 * of a step without noise.
 *
 * usage: steps FILE ISA N
 */
#include "model_file.h"

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return __real_malloc(n); }

static void *aligned(size_t bytes) { return aligned_alloc(ERNN_ALIGN, (bytes + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN); }

int main(int argc, char **argv) {
    if (argc != 4 || !(model_file = fopen(argv[1], "rb"))) return 2;
    ernn_host_graph graph;
    read_graph(&graph);
    const ernn_isa *isa = ernn_isa_named(argv[2]);
    if (!isa) return 2;
    ernn_packed header;
    isa->pack(&graph, &header, NULL);
    ernn_packed *model = aligned(header.bytes);
    isa->pack(&graph, &header, (uint8_t *)model);
    uint8_t *scratch = aligned(header.scratch_bytes + header.bound_bytes), *pointers[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    uint8_t *state = calloc(1, states_bytes(&graph) + 1);
    place_states(&graph, state, pointers, NULL);
    float *x = calloc(header.inputs, sizeof *x), *y = calloc(header.outputs, sizeof *y);
    isa->bind(model, scratch, pointers);
    for (long n = atol(argv[3]); n; n--) {
        x[0] = (float)(n % 3) - 1.0f;
        if (isa->step(model, scratch, x, y) != ERNN_OK) return 1;
    }
    printf("%g\n", (double)y[0]);
    return 0;
}
