/* The dot product on cores with the DSP extension (Cortex-M4, M7, M33): SMLAD makes two products of 16 bits. SXTB16
 * widens bytes 0 and 2 of a word of weights, turned by 8 bits bytes 1 and 3; so the activations of a group of four
 * stand in the order 0 2 1 3 (ERNN_LANE). Weights and activations are aligned to 4 bytes (ERNN_ALIGNED).
 */
#ifndef ERNN_TIMES_DSP_H
#define ERNN_TIMES_DSP_H

#include "ernn.h"

/* a += 8 weights times 8 activations. As one block, or the compiler loads all rows first and runs out of registers. */
#define ERNN_DOT8(a)                                                                                 \
    __asm("ldrd %[low], %[high], [%[w]], #8\n\t"                                                     \
          "sxtb16 %[t], %[low]\n\t"                                                                  \
          "smlad %[acc], %[t], %[x02], %[acc]\n\t"                                                   \
          "sxtb16 %[low], %[low], ror #8\n\t"                                                        \
          "smlad %[acc], %[low], %[x13], %[acc]\n\t"                                                 \
          "sxtb16 %[t], %[high]\n\t"                                                                 \
          "smlad %[acc], %[t], %[x46], %[acc]\n\t"                                                   \
          "sxtb16 %[high], %[high], ror #8\n\t"                                                      \
          "smlad %[acc], %[high], %[x57], %[acc]"                                                    \
          : [acc] "+r"(a), [w] "+r"(w), [t] "=&r"(t), [low] "=&r"(low), [high] "=&r"(high)           \
          : [x02] "r"(x02), [x13] "r"(x13), [x46] "r"(x46), [x57] "r"(x57), "m"(*(const char(*)[8])w))

#define ERNN_LOAD8                                                                                  \
    __asm("ldrd %[x02], %[x13], [%[x]], #8\n\t"                                                      \
          "ldrd %[x46], %[x57], [%[x]], #8"                                                          \
          : [x02] "=&r"(x02), [x13] "=&r"(x13), [x46] "=&r"(x46), [x57] "=&r"(x57), [x] "+r"(x)      \
          : "m"(*(const int16_t(*)[8])x))

/* out = add + rq(acc) of two rows (numeric.md): SMMLA adds half of the last bit to the high half of the product. */
#define ERNN_REQUANT2(a, b)                                                                          \
    __asm("ldrd %[t], %[u], [%[m]], #8\n\t"                                                          \
          "smmla %[one], %[one], %[t], %[half]\n\t"                                                 \
          "smmla %[two], %[two], %[u], %[half]\n\t"                                                 \
          "ldrd %[t], %[u], [%[add]], #8\n\t"                                                        \
          "asr %[one], %[one], %[shift]\n\t"                                                        \
          "asr %[two], %[two], %[shift]\n\t"                                                        \
          "add %[one], %[t]\n\t"                                                                    \
          "add %[two], %[u]\n\t"                                                                    \
          "strd %[one], %[two], [%[out]], #8"                                                        \
          : [one] "+r"(a), [two] "+r"(b), [m] "+r"(m), [add] "+r"(add), [out] "+r"(out), [t] "=&r"(low), [u] "=&r"(high) \
          : [half] "r"(half), [shift] "r"(shift)                                                     \
          : "memory")

void ernn_times(const ernn_int8_matrix *matrix, unsigned row, unsigned rows, const int16_t *activations,
                const int32_t *add, int32_t *out) {
    const unsigned k = matrix->k, shift = matrix->shift, half = 1u << (shift - 1);
    const int16_t *end_x = activations + matrix->columns;
    const int8_t *w = matrix->w + row * matrix->columns;
    const int32_t *m = matrix->m + row, *end_m = m + rows;
    do {
        const int16_t *x = activations;
        uint32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, t, low, high, x02, x13, x46, x57;
        do {
            ERNN_LOAD8;
            ERNN_DOT8(a0);
            ERNN_DOT8(a1);
            ERNN_DOT8(a2);
            ERNN_DOT8(a3);
        } while (x != end_x);
        if (k) a0 <<= k, a1 <<= k, a2 <<= k, a3 <<= k;
        ERNN_REQUANT2(a0, a1);
        ERNN_REQUANT2(a2, a3);
    } while (m != end_m);
}

#endif
