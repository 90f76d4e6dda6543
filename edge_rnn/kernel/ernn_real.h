/* float32 tanh and sigmoid without libm: x P(x^2) / Q(x^2) on a clamped range, within 4.4e-7 of the truth. */
#ifndef ERNN_REAL_H
#define ERNN_REAL_H

#include "ernn.h"
#include "ernn_tanh.h"

static inline float ernn_tanhf(float x) {
    if (x > ERNN_TANH_LIMIT) x = ERNN_TANH_LIMIT;
    if (x < -ERNN_TANH_LIMIT) x = -ERNN_TANH_LIMIT;
    float y = x * x;
    float p = ((ERNN_TANH_P3 * y + ERNN_TANH_P2) * y + ERNN_TANH_P1) * y + ERNN_TANH_P0;
    float q = (((ERNN_TANH_Q4 * y + ERNN_TANH_Q3) * y + ERNN_TANH_Q2) * y + ERNN_TANH_Q1) * y + 1.0f;
    return x * p / q;
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
