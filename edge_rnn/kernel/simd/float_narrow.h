/* Dense layers of few units, as heads are: a vector holds F = 2 or 4 columns of V / F units each, so that six classes do
 * not cost what sixteen do. The sums of its parts are added at the end. Wider layers are float_layer.h's.
 *
 * The weights are the bias, then for every four columns 4 / F vectors: lane j has column j / (V / F) of those F, unit
 * j % (V / F). Columns behind the last have zeros, and meet numbers that are finite: every row of a scratch is padded.
 */
#include "float_block.h"

/* Columns in a vector; 1: the layer is too wide for this. */
#define COLUMNS(units) (4 * (units) <= V ? 4 : 2 * (units) <= V ? 2 : 1)
#define NARROW_FLOATS(inputs, units) ((1 + ((size_t)(inputs) + 3) / 4 * (4 / COLUMNS(units))) * V)

/* The numbers that meet the f-th vector of four columns, each in V / F lanes. */
INLINE vf spread_part(const int F, const int f, const float *p) {
    const int from = F == 4 ? 0 : 2 * f, step = V / F;
    int32_t lane[V];
    UNROLL for (int j = 0; j < V; j++) lane[j] = from + j / step;
    return pick4(p, lane);
}

/* Four columns of S streams; one stream's parts go to sums of their own. Gives where the next weights lie. */
INLINE const float *four_columns(vf *sum, const int F, const int S, const float *w, const uint8_t *x, size_t stride) {
    const int parts = 4 / F;
    UNROLL for (int f = 0; f < parts; f++, w += V)
        UNROLL for (int s = 0; s < S; s++)
            sum[S == 1 ? f : s] += loadf(w) * spread_part(F, f, (const float *)(x + (size_t)s * stride));
    return w;
}

/* S = 1 or TILE streams. One stream sums in eight chains, or it would wait for each addition. */
INLINE void narrow_layer(const int F, const int S, const int relu, const ernn_packed_layer *layer, const float *w, const place *at) {
    const int sums = S == 1 ? 8 : S, parts = S == 1 ? 4 / F : S, at_once = sums / parts;
    vf sum[TILE > 8 ? TILE : 8];
    const uint8_t *x = at->x;
    int left = (layer->inputs + 3) / 4;
    UNROLL for (int c = 0; c < sums; c++) sum[c] = c < S ? loadf(w) : (vf){0};
    w += V;
    for (; left >= at_once; left -= at_once)
        UNROLL for (int u = 0; u < at_once; u++, x += 16) w = four_columns(sum + u * parts, F, S, w, x, at->x_stride);
    for (; left > 0; left--, x += 16) w = four_columns(sum, F, S, w, x, at->x_stride);
    if (S == 1) sum[0] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
    UNROLL for (int s = 0; s < S; s++) {
        vf y = sum[s] + swap_halves(sum[s]);
        if (F == 4) y += swap_quarters(y);
        storef(at->out + (size_t)s * at->out_stride, relu ? maxf(y, (vf){0}) : y);
    }
}
