/* Prints the labels, then steps a stream, moves its state to another struct through bytes, and steps both: they agree. */
#include <stdio.h>
#include <string.h>

#include "model.h"

int main(void) {
    static model_state one, two;
    uint8_t bytes[MODEL_STATE_BYTES + 1] = {0};
    int32_t y[MODEL_OUTPUTS], y2[MODEL_OUTPUTS];
    int16_t xq[MODEL_INPUTS];
    for (int j = 0; j < MODEL_OUTPUTS; j++) printf("%s%c", model_labels[j], 0);
    for (int t = 0; t < 200; t++) {
        for (int j = 0; j < MODEL_INPUTS; j++) xq[j] = (int16_t)((t * 7919 + j * 104729) % 65536 - 32768);
        model_step(&one, xq, y);
        if (t >= 100) model_step(&two, xq, y2);
        if (t >= 100 && memcmp(y, y2, sizeof y)) return 1;
        if (t == 99) model_save(&one, bytes), model_load(&two, bytes);
    }
    fwrite(bytes, 1, MODEL_STATE_BYTES, stdout);
    return 0;
}
