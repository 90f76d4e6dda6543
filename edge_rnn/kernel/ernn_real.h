/* float32 tanh, sigmoid, exp and square root without libm; ernn_tanh.h has the numbers. */
#ifndef ERNN_REAL_H
#define ERNN_REAL_H

#include <string.h>

#include "ernn.h"
#include "ernn_tanh.h"

/* 2^a, |a| < 126 */
static inline float ernn_exp2f(float a) {
    float rounded = a + ERNN_TANH_ROUND;
    float f = a - (rounded - ERNN_TANH_ROUND);
    float p = ((((ERNN_TANH_P5 * f + ERNN_TANH_P4) * f + ERNN_TANH_P3) * f + ERNN_TANH_P2) * f + ERNN_TANH_P1) * f + 1.0f;
    uint32_t k, e;
    memcpy(&k, &rounded, 4);
    memcpy(&e, &p, 4);
    e += k << 23;
    memcpy(&p, &e, 4);
    return p;
}

static inline float ernn_tanhf(float x) {
    float a = (x < 0.0f ? -x : x);
    if (a > ERNN_TANH_LIMIT) a = ERNN_TANH_LIMIT;
    float y = 1.0f - 2.0f / (1.0f + ernn_exp2f(a * ERNN_TANH_SCALE));
    return x < 0.0f ? -y : y;
}

/* exp(x), x <= 0; below -87 it is 1e-38. */
static inline float ernn_expf(float x) { return ernn_exp2f((x > -87.0f ? x : -87.0f) * (0.5f * ERNN_TANH_SCALE)); }

/* The square root of a normal number > 0: a guess from its bits, then Newton's steps, each doubling the right digits. */
static inline float ernn_sqrtf(float x) {
    uint32_t bits;
    float y;
    memcpy(&bits, &x, 4);
    bits = (bits >> 1) + 0x1fbb4f2eu;
    memcpy(&y, &bits, 4);
    for (int step = 0; step < 3; step++) y = 0.5f * (y + x / y);
    return y;
}

static inline float ernn_sigmoidf(float x) { return 0.5f + 0.5f * ernn_tanhf(0.5f * x); }

static inline float ernn_dotf(const float *w, const float *x, unsigned n) {
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f; /* four chains: an addition need not wait for the one before */
    unsigned j = 0;
    for (; j + 4 <= n; j += 4) {
        a += w[j] * x[j];
        b += w[j + 1] * x[j + 1];
        c += w[j + 2] * x[j + 2];
        d += w[j + 3] * x[j + 3];
    }
    for (; j < n; j++) a += w[j] * x[j];
    return (a + b) + (c + d);
}

#endif
