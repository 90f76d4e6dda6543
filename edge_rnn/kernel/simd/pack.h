/* Load: the bundle's arrays into the order in which this instruction set reads them. Runs once a model.
 * Everything is padded with zeros to whole vectors, so that padded units stay exactly 0.
 */
#include "float_run.h"
#include "int8_run.h"
#include "pack_pairs.h"
#include "shape.h"

static size_t align_up(size_t n) { return (n + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN; }

/* Hand out `bytes`, aligned, from a running total. */
static size_t take(size_t *total, size_t bytes) {
    const size_t at = *total;
    *total = align_up(at + bytes);
    return at;
}

/* Whether layers may be woven: two or more GRUs of one block of four vectors, and the head. */
static int can_weave(const ernn_host_graph *graph) {
    int l = 0;
    while (BY_GATE(graph->layer[l].kind, (graph->layer[l].units + V - 1) / V)) l++;
    return l > 1 && l + 1 == graph->layers;
}

static void lay_out(const ernn_host_graph *graph, ernn_packed *m) {
    const int exact = graph->precision == ERNN_INT8;
    size_t model = align_up(sizeof *m), stream = 0, widest = 0, sums = 0;
    int recurrent = 0;
    memset(m, 0, sizeof *m);
    m->precision = graph->precision;
    m->layers = graph->layers;
    m->reach = graph->reach;
    m->inputs = graph->layer[0].inputs;
    m->outputs = graph->layer[graph->layers - 1].units;
    m->planes = (uint8_t)(exact && PLANES);
    m->woven = (uint8_t)(exact && can_weave(graph));
    const size_t inputs = (size_t)(m->inputs + V - 1) / V * V;
    m->edge = take(&model, 4 * inputs);
    if (exact) m->table = take(&model, TABLE_BYTES);
    m->x = (uint32_t)take(&stream, exact ? ACTIVATION_BYTES(inputs) : 4 * inputs);
    for (int l = 0; l < graph->layers; l++) {
        const ernn_host_layer *from = &graph->layer[l];
        ernn_packed_layer *to = &m->layer[l];
        const int head = l == graph->layers - 1, dense = from->kind == ERNN_DENSE, G = GATES(from->kind);
        to->kind = from->kind, to->activation = from->activation, to->shift = from->exponent;
        to->inputs = from->inputs, to->units = from->units;
        ernn_state_form form[ERNN_LAYER_STATES];
        to->states = (uint8_t)ernn_states_of(graph->precision, from, form);
        to->padded = (uint32_t)((from->units + V - 1) / V * V);
        to->in_place = to->padded == to->units;
        const int far = !exact && FAR(from->kind, from->units);
        const int most = exact ? BLOCK_OF(from->kind, (int)to->padded) : BLOCK_VECTORS(far, (int)to->padded);
        to->direct[0] = dense || (int)to->padded == most * V; /* one block: all of h is read before h' is written */
        to->direct[1] = dense || to->padded <= V;
        if (!dense && !to->in_place) m->copied = 1;
        if (!dense) m->turning = (uint8_t)(recurrent++ ? graph->layers - 1 : l); /* a head does not mind */
        const int relu = from->activation == ERNN_RELU;
        if (exact) to->run[0] = (void (*)(void))int8_layer_of(from->kind, relu, head);
        if (!exact) memcpy(to->run, float_layer_of(from->kind, far, relu), sizeof to->run);
        const size_t padded = to->padded, columns = dense ? 0 : far ? to->padded : from->units;
        if (padded > widest) widest = padded;
        if (!dense && (size_t)G * padded > sums) sums = (size_t)G * padded;
        to->h = (uint32_t)take(&stream, exact && !head ? ACTIVATION_BYTES(padded) : 4 * padded);
        if (!dense) to->c = (uint32_t)take(&stream, 4 * padded);
        if (m->woven && !head) to->hidden = (uint32_t)take(&stream, 4 * 3 * padded), to->run[1] = (void (*)(void))woven_int8;
        if (!exact) {
            const size_t floats = dense && COLUMNS(from->units) > 1 ? NARROW_FLOATS(from->inputs, from->units)
                                                                    : padded * ROW(from->kind, from->inputs, columns);
            const int pairs = pairs_of(graph, l);
            if (pairs) to->run[1] = paired_layer_of(from->kind, pairs == 2);
            to->weights = take(&model, 4 * (floats + (size_t)pairs * (size_t)G * padded));
            continue;
        }
        const size_t groups = (from->inputs + KP - 1) / KP + (columns + KP - 1) / KP;
        to->weights = take(&model, padded * (size_t)G * groups * KP * sizeof(weight_t));
        to->constants = take(&model, padded / V * ((size_t)G * sizeof(row_constants) + sizeof(vi)));
        to->k[0] = (uint8_t)from->ih_S_k[1] & 31, to->requant[0] = (uint8_t)(from->ih_S_k[0] + from->ih_S_k[1] - 32);
        if (dense) continue;
        to->k[1] = (uint8_t)from->hh_S_k[1] & 31, to->requant[1] = (uint8_t)(from->hh_S_k[0] + from->hh_S_k[1] - 32);
    }
    m->fresh = (uint32_t)take(&stream, 4 * widest);
    m->scratch_bytes = stream;
    if (!exact) {
        m->rows = (uint32_t)stream;
        m->row_bytes = (uint32_t)align_up(4 * (widest > inputs ? widest : inputs));
        const size_t all = stream + SPAN * (2 * (size_t)m->row_bytes + 4 * sums);
        m->scratch_bytes = align_up(all / TILE > stream ? all / TILE + 1 : stream); /* a sequence has TILE of them */
    }
    const size_t place_bytes = exact ? sizeof(int8_place) + 4 * widest : sizeof(place);
    m->bound_bytes = m->layers * (place_bytes + 2 * sizeof(uint8_t *));
    m->bytes = model;
}

/* The row of the bundle's matrices for a gate of a unit, or -1 for padding. */
static long row_of(const ernn_host_layer *from, int gate, int unit) {
    return unit < from->units ? (long)gate * from->units + unit : -1;
}

/* What tanh_ and sigmoid_ want to have in the weights (real.h). A GRU's z and an LSTM's f are kept as 1 - z and 1 - f. */
static double fold(const ernn_host_layer *from, int sum) {
    const int gated = from->kind == ERNN_GRU || from->kind == ERNN_LSTM;
    if (gated && sum == 1) return -SIGMOID_FOLD;
    if (from->kind == ERNN_GRU) return sum == 0 ? SIGMOID_FOLD : TANH_FOLD;
    if (from->kind == ERNN_LSTM) return sum == 2 ? TANH_FOLD : SIGMOID_FOLD;
    return from->kind == ERNN_RNN && from->activation == ERNN_TANH ? TANH_FOLD : 1.0;
}

static float *put_columns(float *w, const ernn_host_layer *from, const float *matrix, int columns, const float *std,
                          int unit, int N) {
    for (int k = 0; k < columns; k++)
        for (int gate = 0; gate < GATES(from->kind); gate++)
            for (int j = 0; j < N * V; j++) {
                const long row = row_of(from, gate, unit + j);
                const double scale = fold(from, gate);
                *w++ = row < 0 ? 0.0f : (float)(matrix[row * columns + k] * scale / (std ? std[k] : 1.0f));
            }
    return w;
}

/* float_narrow.h says the order. */
static void pack_narrow(const ernn_host_layer *from, float *w, const float *std) {
    const int F = COLUMNS(from->units), step = V / F;
    for (int j = 0; j < V; j++) *w++ = j < from->units ? from->b_ih[j] : 0.0f;
    for (int first = 0; first < (from->inputs + 3) / 4 * 4; first += F)
        for (int j = 0; j < V; j++) {
            const int column = first + j / step, unit = j % step;
            const int there = unit < from->units && column < from->inputs;
            const float weight = there ? from->w_ih[(size_t)unit * from->inputs + column] : 0.0f;
            *w++ = there && std ? (float)((double)weight / (double)std[column]) : weight;
        }
}

static void pack_float_layer(const ernn_host_layer *from, float *w, const float *std) {
    const int padded = (from->units + V - 1) / V * V, gru = from->kind == ERNN_GRU;
    const int far = FAR(from->kind, from->units);
    if (from->kind == ERNN_DENSE && COLUMNS(from->units) > 1) {
        pack_narrow(from, w, std);
        return;
    }
    for (int unit = 0; unit < padded;) {
        const int N = BLOCK_VECTORS(far, padded - unit);
        for (int sum = 0; sum < SUMS(from->kind); sum++)
            for (int j = 0; j < N * V; j++) {
                const long row = row_of(from, gru && sum == 3 ? 2 : sum, unit + j);
                double bias = 0.0;
                if (row >= 0 && !(gru && sum == 3)) bias += from->b_ih[row];
                if (row >= 0 && from->b_hh && !(gru && sum == 2)) bias += from->b_hh[row];
                *w++ = (float)(bias * fold(from, sum));
            }
        w = put_columns(w, from, from->w_ih, from->inputs, std, unit, N);
        if (from->kind != ERNN_DENSE) w = put_columns(w, from, from->w_hh, from->units, NULL, unit, N);
        if (far) w += (size_t)GATES(from->kind) * (padded - from->units) * V; /* zeros, for h's padding */
        unit += N * V;
    }
}

static weight_t *put_groups(weight_t *w, const ernn_host_layer *from, int first, int last, const int8_t *matrix,
                            int columns, int unit, int N) {
    for (int k = 0; k < columns; k += KP)
        for (int gate = first; gate < last; gate++)
            for (int v = 0; v < N; v++, w += V * KP)
                for (int lane = 0; lane < V; lane++)
                    for (int part = 0; part < KP; part++) {
                        const long row = row_of(from, GATE(from->kind, gate), unit + v * V + lane);
                        const int8_t value = row < 0 || k + part >= columns ? 0 : matrix[row * columns + k + part];
#if defined(__aarch64__)
                        w[part * V + lane] = value;
#else
                        w[lane * KP + part] = value;
#endif
                    }
    return w;
}

static void put_multiplier(vi *correction, vi *m, int lane, long row, const int8_t *matrix, int columns,
                           const int32_t *multiplier) {
    int32_t sum = 0;
    for (int k = 0; k < columns && row >= 0; k++) sum += matrix[row * columns + k];
    (*correction)[lane] = -32768 * sum;
    (*m)[lane] = row < 0 ? 0 : multiplier[row];
}

static void pack_int8_layer(const ernn_host_layer *from, weight_t *w, uint8_t *constants) {
    const int padded = (from->units + V - 1) / V * V, G = GATES(from->kind);
    for (int unit = 0; unit < padded;) {
        const int N = BLOCK_OF(from->kind, padded - unit);
        const int by_gate = BY_GATE(from->kind, N), F = FIRST(from->kind);
        for (int gate = 0, to; gate < G; gate = to) {
            to = by_gate ? gate + 1 : G;
            w = put_groups(w, from, gate, to, from->ih_w, from->inputs, unit, N);
        }
        for (int gate = 0, to; gate < G && from->kind != ERNN_DENSE; gate = to) {
            to = by_gate ? gate + 1 : gate < F ? F : G;
            w = put_groups(w, from, gate, to, from->hh_w, from->units, unit, N);
        }
        for (int gate = 0; gate < G; gate++)
            for (int v = 0; v < N; v++, constants += sizeof(row_constants)) {
                row_constants row;
                memset(&row, 0, sizeof row);
                for (int lane = 0; lane < V; lane++) {
                    const long at = row_of(from, GATE(from->kind, gate), unit + v * V + lane);
                    put_multiplier(&row.correction_ih, &row.m_ih, lane, at, from->ih_w, from->inputs, from->ih_m);
                    if (from->kind != ERNN_DENSE)
                        put_multiplier(&row.correction_hh, &row.m_hh, lane, at, from->hh_w, from->units, from->hh_m);
                    row.b[lane] = at < 0 ? 0 : from->b[at];
                }
                memcpy(constants, &row, sizeof row);
            }
        for (int j = 0; j < N * V && from->kind == ERNN_GRU; j++, constants += 4)
            memcpy(constants, &(int32_t){unit + j < from->units ? from->bn[unit + j] : 0}, 4);
        unit += N * V;
    }
}

static void pack(const ernn_host_graph *graph, ernn_packed *header, uint8_t *memory) {
    lay_out(graph, header);
    if (!memory) return;
    memset(memory, 0, header->bytes);
    memcpy(memory, header, sizeof *header);
    const int exact = graph->precision == ERNN_INT8;
    float *edge = (float *)(memory + header->edge);
    for (int j = 0; j < (header->inputs + V - 1) / V * V; j++)
        edge[j] = j < header->inputs ? (exact ? graph->sx : graph->mean)[j] : exact ? 1.0f : 0.0f;
    if (exact) fill_table(memory + header->table);
    for (int l = 0; l < graph->layers; l++) {
        const ernn_packed_layer *to = &header->layer[l];
        if (exact)
            pack_int8_layer(&graph->layer[l], (weight_t *)(memory + to->weights), memory + to->constants);
        else
            pack_float_layer(&graph->layer[l], (float *)(memory + to->weights), l ? NULL : graph->std);
        if (!exact) pack_pairs(to, (float *)(memory + to->weights), pairs_of(graph, l));
    }
}
