/* Rows of a matrix times a vector: nearly all of a step's time. */
#include "ernn_fixed.h"

#if ERNN_HELIUM
typedef int ernn_no_times; /* ernn_times4 in ernn_helium.h */
#elif ERNN_DSP
#include "ernn_times_dsp.h" /* all of it */
#else
#if ERNN_THUMB1 && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) /* at -Os gcc gives no high registers */
#include "ernn_times_m0.h"
#else
/* acc[r] = sum_j w[r][j] * x[j] of one row group; returns where the next one starts. */
static inline const int8_t *ernn_dot4(const int8_t *w, const int16_t *x, unsigned columns, int32_t acc[4]) {
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (const int16_t *end = x + columns; x != end; x += 8, w += 32) {
        for (int j = 0; j < 8; j++) {
            int32_t v = x[j];
            a0 += w[j] * v;
            a1 += w[8 + j] * v;
            a2 += w[16 + j] * v;
            a3 += w[24 + j] * v;
        }
    }
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    return w;
}
#endif

void ernn_times(const ernn_int8_matrix *matrix, unsigned row, unsigned rows, const int16_t *x, const int32_t *add,
                int32_t *out) {
    const unsigned columns = matrix->columns, k = matrix->k, shift = matrix->shift;
    const int8_t *w = matrix->w + (uint32_t)row * columns;
    const int32_t *m = matrix->m + row;
    for (const int32_t *end = m + rows; m != end; m += 4, add += 4, out += 4) {
        int32_t acc[4];
        w = ernn_dot4(w, x, columns, acc);
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) out[r] = add[r] + ernn_requant(acc[r], m[r], k, shift);
    }
}
#endif

#if ERNN_THUMB1
int32_t ernn_odd_chord(int32_t p, unsigned shift) {
    const int32_t sign = p >> 31;
    const uint32_t magnitude = (uint32_t)(p ^ sign) - (uint32_t)sign, most = (UINT32_C(256) << shift) - 1;
    return (ernn_chord(magnitude < most ? magnitude : most, shift) ^ sign) - sign;
}

int64_t ernn_mul(int32_t a, int32_t b) {
    const uint32_t al = (uint16_t)a, bl = (uint16_t)b;
    const int32_t ah = a >> 16, bh = b >> 16;
    const uint32_t low = al * bl;
    const int32_t middle = ah * (int32_t)bl + (int32_t)(low >> 16);
    const int32_t other = (int32_t)al * bh + (middle & 0xFFFF);
    return (int64_t)((uint64_t)(uint32_t)(ah * bh + (middle >> 16) + (other >> 16)) << 32 |
                     ((uint32_t)other << 16 | (uint16_t)low));
}
#endif
