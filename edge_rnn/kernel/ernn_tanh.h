/* tanh(x) = x P(x^2) / Q(x^2) on [-LIMIT, LIMIT], a minimax fit of degree 3 over 4 (iteratively reweighted least
 * squares in float64). Evaluated in float32 it is within 4.4e-7 of tanh on the whole line and never beyond 1.
 * The host's SIMD variants and the portable kernel share these numbers.
 */
#ifndef ERNN_TANH_H
#define ERNN_TANH_H

#define ERNN_TANH_LIMIT 7.9f
#define ERNN_TANH_P0 0.9999994039535522f
#define ERNN_TANH_P1 0.12922686338424683f
#define ERNN_TANH_P2 0.0029485123232007027f
#define ERNN_TANH_P3 1.1414685104682576e-05f
#define ERNN_TANH_Q1 0.4625580608844757f
#define ERNN_TANH_Q2 0.02380351535975933f
#define ERNN_TANH_Q3 0.00023839551431592554f
#define ERNN_TANH_Q4 2.4572426582381013e-07f

#endif
