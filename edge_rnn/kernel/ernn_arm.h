/* Saturation in one instruction (Cortex-M3 and up). Only ernn_fixed.h includes this. */
#ifndef ERNN_ARM_H
#define ERNN_ARM_H

#include <arm_acle.h>

static inline int16_t ernn_sat16(int32_t v) { return (int16_t)__ssat(v, 16); }
#define ERNN_CLAMP(v, bits) ((uint32_t)__usat((int32_t)(v), bits))

/* Keeps the compiler from a second addressing mode: neighbours are then loaded by one LDRD. */
#define ERNN_ONE_ADDRESS(pointer) __asm("" : "+r"(pointer))

#endif
