/* @TITLE@ on @BOARD@.
 * Reads samples from the serial line (115200 baud) as CSV lines in physical units, "v1,v2,...", one step each, and
 * answers with the label of the largest logit. For your sensor: replace read_sample, keep the rest.
 */
#include "@PREFIX@.h"
#include "board.h"

static @PREFIX@_state state; /* zero: the start of a stream */

static int next_byte(void) {
    int byte;
    while ((byte = board_uart_get()) < 0) {
    }
    return byte;
}

static void print(const char *text) {
    while (*text) board_uart_put((uint8_t)*text++);
}

/* One line of @P@_INPUTS decimal numbers; 0 when it is something else. */
static int read_sample(float *x) {
    int numbers = 0, good = 1;
    for (int byte = next_byte(); byte != '\n'; byte = next_byte()) {
        float value = 0.0f, unit = 1.0f;
        int digits = 0, negative = byte == '-', fraction = 0;
        if (negative) byte = next_byte();
        for (; (byte >= '0' && byte <= '9') || (byte == '.' && !fraction); byte = next_byte()) {
            if (byte == '.') {
                fraction = 1;
                continue;
            }
            value = 10.0f * value + (float)(byte - '0');
            if (fraction) unit *= 10.0f;
            digits++;
        }
        if (byte == '\r') byte = next_byte();
        if (!digits || numbers == @P@_INPUTS || (byte != ',' && byte != '\n')) good = 0;
        if (good) x[numbers++] = (negative ? -value : value) / unit;
        while (!good && byte != '\n') byte = next_byte();
        if (byte == '\n') break;
    }
    return good && numbers == @P@_INPUTS;
}

int main(void) {
    float x[@P@_INPUTS];
@VARIABLES@
    print("@PREFIX@ ready\n");
    for (;;) {
        if (!read_sample(x) || @PREPARE@ != ERNN_OK) {
            print("expected @INPUTS@ finite numbers with commas between them\n");
            continue;
        }
        @PREFIX@_step(&state, @X@, y);
        print(@PREFIX@_labels[@PREFIX@_best(y)]);
        print("\n");
    }
}
