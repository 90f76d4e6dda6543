/* What a graph must keep so that no kernel can overflow, divide by zero or leave its memory (docs/numeric.md,
 * "Obligations"). Reads weights of unknown origin; judges, changes nothing.
 */
#include <float.h>

#include "shape.h"

static const char *check_sizes(const ernn_host_layer *layer) {
    const int kind = layer->kind;
    const size_t inputs = layer->inputs, units = layer->units, W = layer->window, past = ernn_past(layer);
    if (kind == ERNN_CONV && (!layer->kernel || layer->kernel > 64 || !layer->dilation || layer->dilation > ERNN_MAX_WIDTH))
        return "a convolution's kernel is not in 1..64 or its dilation not in 1..4096";
    if ((kind == ERNN_WINDOW || kind == ERNN_STATISTICS || kind == ERNN_ATTENTION) && (W < 2 || W > ERNN_MAX_WIDTH))
        return "the layer's window is not in 2..4096";
    if (kind == ERNN_WINDOW && units != W * inputs) return "a window's units are not window * inputs";
    if (kind == ERNN_STATISTICS && (inputs % W || units != 5 * (inputs / W))) return "statistics do not fit their window";
    if (kind >= ERNN_ATTENTION && units != inputs) return "the layer's units are not its inputs";
    if (kind == ERNN_ATTENTION && (!layer->heads || layer->heads > 64 || units % layer->heads)) return "heads do not divide the units";
    if (kind == ERNN_FEEDFORWARD && (!layer->hidden || layer->hidden > ERNN_MAX_WIDTH)) return "hidden is not in 1..4096";
    if ((kind == ERNN_WINDOW || kind == ERNN_CONV ? inputs : kind == ERNN_ATTENTION ? units : 0) * past > ERNN_MAX_STATE)
        return "a state has more than 32768 numbers";
    return NULL;
}

static const char *check_shape(const ernn_host_layer *layer, int head) {
    if (layer->kind > ERNN_NORM) return "the layer's kind is unknown";
    if (!layer->inputs || layer->inputs > ERNN_MAX_WIDTH) return "the layer's inputs are not in 1..4096";
    if (!layer->units || layer->units > ERNN_MAX_WIDTH) return "the layer's units are not in 1..4096";
    if (head && (layer->kind != ERNN_DENSE || layer->activation != ERNN_NONE)) return "the last layer is not a head";
    const int tanh_only = layer->kind == ERNN_GRU || layer->kind == ERNN_LSTM || layer->kind == ERNN_FASTGRNN;
    if (tanh_only && layer->activation != ERNN_TANH) return "a GRU, LSTM or FastGRNN has another activation than tanh";
    if (layer->kind == ERNN_RNN && layer->activation != ERNN_TANH && layer->activation != ERNN_RELU)
        return "an RNN's activation is neither tanh nor relu";
    if ((layer->kind == ERNN_DENSE || layer->kind == ERNN_CONV) && layer->activation != ERNN_NONE && layer->activation != ERNN_RELU)
        return "a dense or conv layer's activation is neither none nor relu";
    if (layer->kind == ERNN_FEEDFORWARD && layer->activation != ERNN_RELU) return "a feed-forward layer's activation is not relu";
    const int plain = layer->kind >= ERNN_WINDOW && layer->kind != ERNN_CONV && layer->kind != ERNN_FEEDFORWARD;
    if (plain && layer->activation != ERNN_NONE) return "the layer has an activation";
    return check_sizes(layer);
}

static int all_finite(const float *x, size_t n) { return ernn_check_finite(x, n) == ERNN_OK; }

static const char *check_float(ernn_host_layer layer_, const float *std) {
    const ernn_host_layer *layer = &layer_;
    ernn_wanted wanted[ERNN_LAYER_ARRAYS];
    const unsigned n = ernn_arrays_of(ERNN_FLOAT32, 0, &layer_, wanted);
    for (unsigned j = 0; j < n; j++)
        if (!all_finite(*wanted[j].to, wanted[j].count)) return "a weight is NaN or Inf";
    if (layer->kind == ERNN_FASTGRNN && !(*layer->zeta >= 0.0f && *layer->zeta <= 1.0f && *layer->nu >= 0.0f && *layer->nu <= 1.0f))
        return "a FastGRNN's zeta or nu is not in 0..1";
    const int folds = layer->kind == ERNN_DENSE || ernn_recurrent(layer->kind);
    for (size_t j = 0; std && folds && j < ernn_ih_rows(layer) * layer->inputs; j++) {
        const double folded = (double)layer->w_ih[j] / (double)std[j % layer->inputs];
        if (folded > (double)FLT_MAX || folded < -(double)FLT_MAX) return "a weight divided by std leaves float32";
    }
    return NULL;
}

/* The largest |rq| of a row, for any int16 input; < 0 when the row breaks an obligation. It is below 2^29 then. */
static int64_t largest(const int8_t *w, size_t columns, int32_t m, int S) {
    int64_t sum = 0;
    for (size_t j = 0; j < columns; j++) {
        if (w[j] == -128) return -1;
        sum += w[j] < 0 ? -w[j] : w[j];
    }
    const int k = S < 33 ? 33 - S : 0;
    if (m <= 0 || (sum && sum * 32768 >= ((int64_t)1 << 31) >> k)) return -1;
    return ((sum * 32768 * m) >> S) + 1;
}

static int bad_shifts(const int32_t *S_k) {
    return S_k[0] < 1 || S_k[0] > 62 || S_k[1] != (S_k[0] < 33 ? 33 - S_k[0] : 0);
}

static int64_t magnitude(int32_t v) { return v < 0 ? -(int64_t)v : v; }

static const char *check_statistics(const ernn_host_layer *layer) {
    if (bad_shifts(layer->ih_S_k)) return "S is not in 1..62 or k not its pair";
    if ((int64_t)65536 * layer->window >= ((int64_t)1 << 31) >> layer->ih_S_k[1]) return "a sum of statistics overflows";
    for (size_t j = 0; j < layer->units; j++)
        if (layer->ih_m[j] <= 0) return "a multiplier of statistics is not positive";
    for (size_t c = 0; c < ernn_channels(layer); c++)
        if (layer->b[c] < 0) return "the floor of statistics is negative";
    return NULL;
}

static const char *check_int8(const ernn_host_layer *layer, int head) {
    const size_t H = layer->units, rows = ernn_ih_rows(layer), columns = ernn_ih_columns(layer);
    const int conv = layer->kind == ERNN_CONV, dense = conv || layer->kind == ERNN_DENSE, fast = layer->kind == ERNN_FASTGRNN;
    const int64_t limit = (int64_t)1 << 29; /* the sum of any three fits int32 */
    const int32_t one = INT32_C(1) << 24;
    const int shifted = conv || fast || (dense && !head) || (layer->kind == ERNN_RNN && layer->activation == ERNN_RELU);
    if (!ernn_has_int8(layer->kind)) return "the layer's kind has no int8 form";
    if (shifted ? layer->exponent < 1 || layer->exponent > 16 : layer->exponent != 0)
        return "the exponent of the layer's activation is missing, out of 1..16 or not called for";
    if (layer->kind == ERNN_WINDOW) return NULL;
    if (layer->kind == ERNN_STATISTICS) return check_statistics(layer);
    if (fast && (*layer->zeta_q < 0 || *layer->zeta_q > one || *layer->nu_q < 0 || *layer->nu_q > one))
        return "a FastGRNN's zeta or nu is not in 0..2^24";
    if (bad_shifts(layer->ih_S_k) || (!dense && bad_shifts(layer->hh_S_k))) return "S is not in 1..62 or k not its pair";
    for (size_t row = 0; row < rows; row++) {
        const int64_t ax = largest(layer->ih_w + row * columns, columns, layer->ih_m[row], layer->ih_S_k[0]);
        if (ax < 0 || magnitude(layer->b[row]) >= limit) return "the input matrix or b breaks an obligation of its rows";
        if (dense) continue;
        if (fast && magnitude(layer->bn[row]) >= limit) return "b_h breaks an obligation of its rows";
        int64_t ah = largest(layer->hh_w + row * H, H, layer->hh_m[row], layer->hh_S_k[0]);
        if (ah >= 0 && layer->kind == ERNN_GRU && row >= 2 * H) ah += magnitude(layer->bn[row - 2 * H]);
        if (ah < 0 || ah >= limit) return "the recurrent matrix breaks an obligation of its rows";
    }
    return NULL;
}

const char *ernn_check(const ernn_host_graph *graph, unsigned *layer) {
    *layer = 0;
    if (graph->precision > ERNN_INT8) return "the precision is unknown";
    if (!(graph->reach >= 0.0f && graph->reach <= FLT_MAX)) return "the reach is not a number of 0 or more";
    if (!graph->layers || graph->layers > ERNN_MAX_LAYERS) return "the number of layers is not in 1..32";
    for (; *layer < graph->layers; ++*layer) {
        const ernn_host_layer *at = &graph->layer[*layer];
        const int first = *layer == 0, head = *layer + 1u == graph->layers;
        const char *wrong = check_shape(at, head);
        if (!wrong && !first && at->inputs != at[-1].units) wrong = "the layer's inputs are not the units below";
        if (wrong) return wrong;
        if (graph->precision == ERNN_INT8) {
            if (first && !all_finite(graph->sx, at->inputs)) return "sx is NaN or Inf";
            for (unsigned j = 0; first && j < at->inputs; j++)
                if (!(graph->sx[j] > 0.0f)) return "sx is not positive";
            wrong = check_int8(at, head);
        } else {
            if (first && (!all_finite(graph->mean, at->inputs) || !all_finite(graph->std, at->inputs)))
                return "mean or std is NaN or Inf";
            for (unsigned j = 0; first && j < at->inputs; j++)
                if (!(graph->std[j] > 0.0f)) return "std is not positive";
            wrong = check_float(*at, first ? graph->std : NULL);
        }
        if (wrong) return wrong;
    }
    *layer = 0;
    return NULL;
}
