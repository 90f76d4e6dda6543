/* Load: which layers take their products in pairs (float_pairs.h), and the products of weights that these need. */
#include "host.h"

/* What the pairs of a row may leave of rounding, as the sum of ((1 + |a|) (1 + |b|))^2 says it. At 100 a step of 64 units
 * on any states is within 2e-6 of float64, plain sums within 1e-6; trained layers of 32 units have 20 to 40.
 */
#define PAIR_NOISE 100.0

static int is_quiet(const float *w, size_t rows, int all) {
    for (size_t r = 0; r < rows; r++, w += all) {
        double noise = 0;
        for (int k = 2; k + 1 < (all & ~3); k += 4) {
            const double a = w[k] < 0 ? 1 - w[k] : 1 + w[k], b = w[k + 1] < 0 ? 1 - w[k + 1] : 1 + w[k + 1];
            noise += a * a * b * b;
        }
        if (!(noise <= PAIR_NOISE)) return 0;
    }
    return 1;
}

/* How many of a layer's matrices go in pairs: none, that of h, that of its inputs too, where these are states as well. */
static int pairs_of(const ernn_host_graph *graph, int l) {
    const ernn_host_layer *layer = &graph->layer[l], *below = l ? layer - 1 : NULL;
    const size_t rows = (size_t)GATES(layer->kind) * layer->units;
    if ((layer->kind != ERNN_GRU && layer->kind != ERNN_LSTM) || !adds_beside_products()) return 0;
    if (!is_quiet(layer->w_hh, rows, layer->units)) return 0;
    const int on_states = below && (below->kind == ERNN_GRU || below->kind == ERNN_LSTM ||
                                    (below->kind == ERNN_RNN && below->activation == ERNN_TANH));
    return on_states && is_quiet(layer->w_ih, rows, layer->inputs) ? 2 : 1;
}

/* One vector of units: sums of - a b over `columns` whole fours. */
static float *put_products(float *to, const float *w, int G, int NB, int columns) {
    const int row = G * NB * V;
    for (int g = 0; g < G; g++)
        for (int j = 0; j < V; j++) {
            double sum = 0;
            for (int k = 2; k < columns; k += 4)
                sum -= (double)w[k * row + g * NB * V + j] * w[(k + 1) * row + g * NB * V + j];
            *to++ = (float)sum;
        }
    return to;
}

/* From a layer's weights as they were packed, behind them. */
static void pack_pairs(const ernn_packed_layer *layer, float *w, int pairs) {
    const int kind = layer->kind, inputs = layer->inputs, units = layer->units, padded = (int)layer->padded;
    const int far = FAR(kind, units);
    float *to = w + ROW(kind, inputs, COLUMNS_OF_H(far, layer)) * padded;
    for (int unit = 0; pairs && unit < padded; unit += V) {
        const int G = GATES(kind), NB = vectors_at(far, unit, padded);
        const float *of_inputs = w + vector_at(kind, far, unit, layer) + SUMS(kind) * NB * V;
        to = put_products(to, of_inputs + (size_t)G * inputs * NB * V, G, NB, units & ~3);
        if (pairs == 2) to = put_products(to, of_inputs, G, NB, inputs & ~3);
    }
}
