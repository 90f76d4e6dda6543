/* A model's firmware with states of unknown origin, as SET_STATE brings them, and with -DREPLACEABLE weights too, as a
 * board with a store takes them: of the right shape, and nothing else is known. Whatever the bytes, no step may leave its
 * memory (build with AddressSanitizer; with UBSan where the weights are the model's own).
 *
 * usage: firmware_fuzz SEED ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static uint64_t noise;

static uint32_t draw(void) {
    noise = noise * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(noise >> 32);
}

/* A few bytes, or one time in four all of them. */
static void mutate(uint8_t *bytes, size_t n) {
    if (draw() % 4 == 0)
        for (size_t j = 0; j < n; j++) bytes[j] = (uint8_t)draw();
    else
        for (unsigned change = draw() % 8; n && change; change--) bytes[draw() % n] = (uint8_t)(draw() % 2 ? draw() : 255);
}

/* Each of its own size on the heap: one byte further is somebody else's. */
static void one_round(void) {
    model_state *state = calloc(1, sizeof *state);
    uint8_t *bytes = calloc(1, MODEL_STATE_BYTES + !MODEL_STATE_BYTES);
    mutate(bytes, MODEL_STATE_BYTES);
    model_load(state, bytes);
#ifdef REPLACEABLE
    model_weights *w = malloc(sizeof *w);
    memcpy(w, &model_built_in, sizeof *w);
    mutate((uint8_t *)w + 8, sizeof *w - 8); /* behind shape and hash */
#endif
    for (int t = 0; t < 5; t++) {
#ifdef REPLACEABLE
        int16_t x[MODEL_INPUTS];
        float sample[MODEL_INPUTS];
        int32_t y[MODEL_OUTPUTS];
        for (int j = 0; j < MODEL_INPUTS; j++) sample[j] = (float)(int32_t)draw();
        if (t % 2 || model_quantize(w, sample, x) != ERNN_OK)
            for (int j = 0; j < MODEL_INPUTS; j++) x[j] = (int16_t)draw();
        model_step(w, state, x, y);
#elif defined(EXACT)
        int16_t x[MODEL_INPUTS];
        int32_t y[MODEL_OUTPUTS];
        for (int j = 0; j < MODEL_INPUTS; j++) x[j] = (int16_t)draw();
        model_step(state, x, y);
#else
        float x[MODEL_INPUTS], y[MODEL_OUTPUTS];
        for (int j = 0; j < MODEL_INPUTS; j++) x[j] = (float)(int32_t)draw() * (draw() % 2 ? 1e-9f : 1e9f);
        model_step(state, x, y);
#endif
        if (model_best(y) >= MODEL_OUTPUTS) abort();
    }
    model_save(state, bytes);
#ifdef REPLACEABLE
    free(w);
#endif
    free(bytes), free(state);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    noise = strtoull(argv[1], NULL, 10);
    for (long rounds = atol(argv[2]); rounds; rounds--) one_round();
    puts("clean");
    return 0;
}
