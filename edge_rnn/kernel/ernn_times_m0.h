/* The dot product on Cortex-M0, M0+, M1 and M23. They have eight registers for nearly everything and no signed load with
 * a constant offset, so a compiler spends six instructions on a product; with the row offsets kept in registers and
 * the sums in r8 to r11 it is four. One low register is left over: the compiler needs it.
 */
#ifndef ERNN_TIMES_M0_H
#define ERNN_TIMES_M0_H

#include "ernn.h"

#define ERNN_COLUMN                     \
    "movs %[t], #0\n\t"                 \
    "ldrsh %[v], [%[x], %[t]]\n\t"      \
    "adds %[x], #2\n\t"                 \
    "ldrsb %[t], [%[w], %[t]]\n\t"      \
    "muls %[t], %[v]\n\t"               \
    "add %[a0], %[t]\n\t"               \
    "ldrsb %[t], [%[w], %[k8]]\n\t"     \
    "muls %[t], %[v]\n\t"               \
    "add %[a1], %[t]\n\t"               \
    "ldrsb %[t], [%[w], %[k16]]\n\t"    \
    "muls %[t], %[v]\n\t"               \
    "add %[a2], %[t]\n\t"               \
    "ldrsb %[t], [%[w], %[k24]]\n\t"    \
    "muls %[t], %[v]\n\t"               \
    "add %[a3], %[t]\n\t"               \
    "adds %[w], #1\n\t"

static inline const int8_t *ernn_dot4(const int8_t *w, const int16_t *x, unsigned columns, int32_t acc[4]) {
    const int16_t *end = x + columns;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, v, t;
    __asm(".syntax unified\n"
          "1:\n\t" /* no .rept: the compiler counts lines to know how far its own branches reach */
          ERNN_COLUMN ERNN_COLUMN ERNN_COLUMN ERNN_COLUMN ERNN_COLUMN ERNN_COLUMN ERNN_COLUMN ERNN_COLUMN
          "adds %[w], #24\n\t"
          "cmp %[x], %[end]\n\t"
          "beq 2f\n\t"
          "b 1b\n"
          "2:"
          : [w] "+l"(w), [x] "+l"(x), [v] "=&l"(v), [t] "=&l"(t), [a0] "+h"(a0), [a1] "+h"(a1), [a2] "+h"(a2),
            [a3] "+h"(a3)
          : [k8] "l"(8), [k16] "l"(16), [k24] "l"(24), [end] "h"(end)
          : "cc", "memory");
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    return w;
}

#endif
