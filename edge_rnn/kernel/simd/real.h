/* exp, sigmoid and tanh of a vector of float32; ernn_tanh.h and exp2_table.h have the numbers.
 *
 * Their arguments come in powers of two, so that no multiplication stands in the chain h -> h': pack.h folds SIGMOID_FOLD
 * and TANH_FOLD into the weights. sigma(x) = 1 / (1 + 2^a) keeps its relative error, 2e-7, down to the smallest values: a
 * GRU's z and an LSTM's f are therefore kept as what is lost, 1 - z = sigma(-x), and a unit that holds on for 10^6 steps
 * loses a 10^6th, not the next float32 of 1 - 1e-6.
 */
#ifndef ERNN_SIMD_REAL_H
#define ERNN_SIMD_REAL_H

#include "exp2_table.h"

#define SIGMOID_FOLD (-1.4426950408889634) /* a = -x / ln 2 */
#define TANH_FOLD 2.8853900817779268       /* a = 2 x / ln 2 */

/* Beyond it a gate is open or closed to the last digit; the product of two exponentials still is a number. */
#define GATE_REACH 60.0f

/* 1 + 2^a of a gate's sum a, which may be any number: what sigma and tanh are divided by. Two gates that are multiplied
 * share one division by the product of theirs.
 */
INLINE vf gate_over(vf a) { return 1.0f + exp2_(within(a, GATE_REACH)); }

/* sigma(x) of a = SIGMOID_FOLD * x */
INLINE vf sigmoid_(vf a) { return 1.0f / gate_over(a); }

/* tanh(x) of a = TANH_FOLD * x: (2^a - 1) / (2^a + 1) */
INLINE vf tanh_(vf a) {
    const vf over = gate_over(a);
    return (over - 2.0f) / over;
}

#endif
