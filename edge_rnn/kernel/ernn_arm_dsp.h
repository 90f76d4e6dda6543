/* Products that keep the high word, on cores with the DSP extension. Only ernn_fixed.h includes this. */
#ifndef ERNN_ARM_DSP_H
#define ERNN_ARM_DSP_H

#include <arm_acle.h>

/* (a * b + 2^31) >> 32: SMMULR, for which ACLE has no name. */
static inline int32_t ernn_mulr32(int32_t a, int32_t b) {
    int32_t high;
    __asm("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
}

/* (a * q + 2^23) >> 24. |a| = 2^29 is reached: 4a saturates there, and the product is right all the same. */
static inline int32_t ernn_mulr24(int32_t a, int32_t q) { return ernn_mulr32(__qadd(2 * a, 2 * a), q << 6); }

#endif
