/* 2^a of a vector of float32, |a| <= 120, relative error 3e-7 at most; 2^0 is 1.
 *
 * a = k + f. Where two registers hold a table of 32 numbers (AVX-512), k is a multiple of 1/32 and 2^f, |f| <= 1/64, a
 * parabola, c ((f + ALPHA)^2 + BETA), whose c is in the table: two multiplications, where a polynomial of degree 5 has
 * seven. Additions, lookups and shifts run on units of their own beside the multiplying ones, which a layer keeps busy.
 * Elsewhere k is integral and the polynomial is ernn_tanh.h's.
 */
#ifndef ERNN_EXP2_TABLE_H
#define ERNN_EXP2_TABLE_H

#include "../ernn_tanh.h"
#include "vec.h"

#if V == 16

/* Minimax on |f| <= 1/64: relative error 5.3e-8 before rounding; ALPHA was rounded first, the others fitted to it. */
#define EXP2_ALPHA 1.4427267f
#define EXP2_BETA 2.081308f
#define EXP2_ROUND 393216.0f /* 1.5 * 2^18: adding it leaves 32 k in the low bits of a float */

/* The bits of c 2^(j / 32), c = 0.24022475, less the j << 18 that come with k. */
static const int32_t exp2_of_32nds[32] = {
    0x3e75fd7a, 0x3e77606b, 0x3e7870c7, 0x3e7740c5, 0x3e762088, 0x3e751067, 0x3e7410bd, 0x3e7321e7,
    0x3e724441, 0x3e71782d, 0x3e70be0d, 0x3e701647, 0x3e6f8140, 0x3e6eff61, 0x3e6e9117, 0x3e6e36cf,
    0x3e6df0f9, 0x3e6dc008, 0x3e6da470, 0x3e6d9eab, 0x3e6daf30, 0x3e6dd67f, 0x3e6e1517, 0x3e6e6b79,
    0x3e6eda2c, 0x3e6f61b8, 0x3e7002a7, 0x3e70bd89, 0x3e7192ef, 0x3e72836d, 0x3e738f9c, 0x3e74b816,
};

INLINE vf exp2_(vf a) {
    const vf m = a + EXP2_ROUND, f = a - (m - EXP2_ROUND), s = f + EXP2_ALPHA;
    const vi scale = lookup32((vi)m, exp2_of_32nds) + ((vi)m << 18);
    return (vf)scale * (s * s + EXP2_BETA);
}

#else

INLINE vf exp2_(vf a) {
    const vf k = roundf_(a), f = a - k, ff = f * f;
    const vf p = (ERNN_TANH_P1 * f + 1.0f) + (ERNN_TANH_P3 * f + ERNN_TANH_P2) * ff +
                 (ERNN_TANH_P5 * f + ERNN_TANH_P4) * (ff * ff);
    return scale2(p, k);
}

#endif
#endif
