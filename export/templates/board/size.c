/* The smallest program that steps the model: what `make size` measures. */
#include "@PREFIX@.h"
#include "board.h"

static @PREFIX@_state state;
static @INPUT@ x[@P@_INPUTS];
static @OUTPUT@ y[@P@_OUTPUTS];

void board_init(void) {}

int main(void) {
    for (;;) {
        __asm volatile("" ::: "memory"); /* x comes from outside, y goes there */
        @PREFIX@_step(@BUILT_IN@&state, x, y);
    }
}
