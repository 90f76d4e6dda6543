/* tanh(x) = sign(x) (1 - 2 / (1 + e)), e = exp(2 |x|) = 2^k p(f), where k + f = |x| * 2 / ln 2 and |f| <= 1/2.
 * p is a minimax fit of 2^f with p(0) = 1, relative error 1e-7 (iteratively reweighted least squares in float64).
 *
 * In float32 it is within 2e-7 of tanh, and within 3e-8 beyond |x| = 3: a rational fit is as good near 0, but its
 * rounding stays 4e-7 where a gate saturates, and a slow unit adds that up over a thousand steps. tanh(0) is 0.
 * Adding ROUND, 1.5 * 2^23, leaves k in the low bits of a float. The host's narrower SIMD variants and the portable
 * kernel share these numbers; simd/exp2_table.h has AVX-512's.
 */
#ifndef ERNN_TANH_H
#define ERNN_TANH_H

#define ERNN_TANH_LIMIT 9.1f /* 1 - tanh is less than half a unit in the last place */
#define ERNN_TANH_SCALE 2.8853900817779268f
#define ERNN_TANH_ROUND 12582912.0f
#define ERNN_TANH_P1 0.6931470036506653f
#define ERNN_TANH_P2 0.24022242426872253f
#define ERNN_TANH_P3 0.05550733581185341f
#define ERNN_TANH_P4 0.009671512991189957f
#define ERNN_TANH_P5 0.001326472731307149f

#endif
