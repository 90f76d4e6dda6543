/* float32 tanh and sigmoid without libm, as ernn_tanh.h has them. */
#ifndef ERNN_REAL_H
#define ERNN_REAL_H

#include <string.h>

#include "ernn.h"
#include "ernn_tanh.h"

static inline float ernn_tanhf(float x) {
    float a = (x < 0.0f ? -x : x);
    if (a > ERNN_TANH_LIMIT) a = ERNN_TANH_LIMIT;
    a *= ERNN_TANH_SCALE;
    float rounded = a + ERNN_TANH_ROUND;
    float f = a - (rounded - ERNN_TANH_ROUND);
    float p = ((((ERNN_TANH_P5 * f + ERNN_TANH_P4) * f + ERNN_TANH_P3) * f + ERNN_TANH_P2) * f + ERNN_TANH_P1) * f + 1.0f;
    uint32_t k, e;
    memcpy(&k, &rounded, 4);
    memcpy(&e, &p, 4);
    e += k << 23;
    memcpy(&p, &e, 4);
    float y = 1.0f - 2.0f / (1.0f + p);
    return x < 0.0f ? -y : y;
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
