/* exp, sigmoid and tanh of a vector of float32; ernn_tanh.h has the numbers.
 *
 * Their arguments come in powers of two, so that no multiplication stands in the chain h -> h': pack.h folds SIGMOID_FOLD
 * and TANH_FOLD into the weights. sigma(x) = 1 / (1 + 2^a) keeps its relative error, 2e-7, down to the smallest values: a
 * GRU's z and an LSTM's f are therefore kept as what is lost, 1 - z = sigma(-x), and a unit that holds on for 10^6 steps
 * loses a 10^6th, not the next float32 of 1 - 1e-6.
 */
#ifndef ERNN_SIMD_REAL_H
#define ERNN_SIMD_REAL_H

#include "../ernn_tanh.h"
#include "vec.h"

#define SIGMOID_FOLD (-1.4426950408889634) /* a = -x / ln 2 */
#define TANH_FOLD 2.8853900817779268       /* a = 2 x / ln 2 */

/* 2^a, |a| < 126; with AVX-512 any a */
INLINE vf exp2_(vf a) {
    const vf k = roundf_(a), f = a - k, ff = f * f;
    const vf p = (ERNN_TANH_P1 * f + 1.0f) + (ERNN_TANH_P3 * f + ERNN_TANH_P2) * ff +
                 (ERNN_TANH_P5 * f + ERNN_TANH_P4) * (ff * ff);
    return scale2(p, k);
}

/* sigma(x) of a = SIGMOID_FOLD * x */
INLINE vf sigmoid_(vf a) {
    if (V != 16) a = maxf(minf(a, splat(125.0f)), splat(-125.0f));
    return 1.0f / (1.0f + exp2_(a));
}

/* tanh(x) of a = TANH_FOLD * x, odd to the bit */
INLINE vf tanh_(vf a) {
    const vi sign = (vi)a & splati(INT32_MIN);
    vf size = (vf)((vi)a ^ sign);
    if (V != 16) size = minf(size, splat(ERNN_TANH_LIMIT * ERNN_TANH_SCALE));
    return (vf)((vi)(1.0f - 2.0f / (1.0f + exp2_(size))) ^ sign);
}

#endif
