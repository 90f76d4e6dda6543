/* Load for the portable kernel: the bundle's arrays in the tiles of ernn.h, and where states and scratch lie. Runs once a
 * model; portable.c alone includes it.
 */
#include <string.h>

#include "../ernn.h"
#include "shape.h"

static int gates_of(int kind) { return kind == ERNN_GRU ? 3 : kind == ERNN_LSTM ? 4 : 1; }

static size_t take(size_t *total, size_t bytes) {
    const size_t at = *total;
    *total = (at + bytes + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN;
    return at;
}

/* Rows and columns of a matrix in tiles (ernn.h); returns its bytes. */
static size_t tile(const ernn_host_layer *from, const int8_t *matrix, size_t columns, int8_t *to) {
    const int G = gates_of(from->kind);
    const size_t padded = ERNN_PAD_COLUMNS(columns), blocks = ERNN_PAD_ROWS(from->units) / 4;
    for (size_t block = 0; to && block < blocks; block++)
        for (int gate = 0; gate < G; gate++)
            for (size_t column = 0; column < padded; column++)
                for (size_t r = 0; r < 4; r++) {
                    const size_t unit = block * 4 + r, row = (size_t)gate * from->units + unit;
                    int8_t *row_group = to + (block * (size_t)G + (size_t)gate) * 4 * padded;
                    row_group[column / 8 * 32 + r * 8 + column % 8] =
                        unit < from->units && column < columns ? matrix[row * columns + column] : 0;
                }
    return blocks * 4 * (size_t)G * padded;
}

/* One number a row, in the order of the tiles' rows. */
static size_t tile_rows(const ernn_host_layer *from, int G, const int32_t *rows, int32_t missing, int32_t *to) {
    const size_t blocks = ERNN_PAD_ROWS(from->units) / 4;
    for (size_t j = 0; to && j < blocks * 4 * (size_t)G; j++) {
        const size_t unit = j / (4 * (size_t)G) * 4 + j % 4, gate = j / 4 % (size_t)G;
        to[j] = unit < from->units ? rows[gate * from->units + unit] : missing;
    }
    return blocks * 4 * (size_t)G * 4;
}

/* n words; those of no array are not there. */
static size_t copy(const void *from, size_t n, void *to) {
    if (to) memcpy(to, from, 4 * n);
    return 4 * n;
}

#define PLACE(pointer, type, call)                                \
    do {                                                          \
        type *to = memory ? (type *)(memory + total) : NULL;      \
        (pointer) = to;                                           \
        take(&total, call);                                       \
    } while (0)

static size_t pack_int8(const ernn_host_graph *graph, uint8_t *memory, size_t total) {
    const size_t models = take(&total, sizeof(ernn_int8_model));
    const size_t layers = take(&total, sizeof(ernn_int8_layer) * graph->layers);
    const size_t inputs = graph->layer[0].inputs, sx = take(&total, sizeof(float) * inputs);
    for (int l = 0; l < graph->layers; l++) {
        const ernn_host_layer *from = &graph->layer[l];
        const int G = gates_of(from->kind);
        const size_t columns = ernn_ih_columns(from);
        ernn_int8_layer at = {.kind = from->kind, .activation = from->activation, .shift = from->exponent,
                              .inputs = from->inputs, .units = from->units,
                              .past = (uint16_t)ernn_past(from), .dilation = from->dilation};
        if (from->kind == ERNN_STATISTICS) {
            PLACE(at.ih.m, int32_t, copy(from->ih_m, from->units, to));
            PLACE(at.b, int32_t, copy(from->b, ernn_channels(from), to));
        } else if (from->kind != ERNN_WINDOW) {
            PLACE(at.ih.w, int8_t, tile(from, from->ih_w, columns, to));
            PLACE(at.ih.m, int32_t, tile_rows(from, G, from->ih_m, 1, to));
            PLACE(at.b, int32_t, tile_rows(from, G, from->b, 0, to));
            at.ih.columns = (uint16_t)ERNN_PAD_COLUMNS(columns);
        }
        if (from->ih_S_k) at.ih.k = (uint8_t)(from->ih_S_k[1] & 31), at.ih.shift = (uint8_t)(from->ih_S_k[0] + from->ih_S_k[1] - 32);
        if (ernn_recurrent(from->kind)) {
            PLACE(at.hh.w, int8_t, tile(from, from->hh_w, from->units, to));
            PLACE(at.hh.m, int32_t, tile_rows(from, G, from->hh_m, 1, to));
            at.hh.columns = (uint16_t)ERNN_PAD_COLUMNS(from->units);
            at.hh.k = (uint8_t)(from->hh_S_k[1] & 31), at.hh.shift = (uint8_t)(from->hh_S_k[0] + from->hh_S_k[1] - 32);
        }
        if (from->bn) PLACE(at.bn, int32_t, tile_rows(from, 1, from->bn, 0, to));
        if (from->kind == ERNN_FASTGRNN) {
            PLACE(at.zeta, int32_t, copy(from->zeta_q, 1, to));
            PLACE(at.nu, int32_t, copy(from->nu_q, 1, to));
        }
        if (memory) ((ernn_int8_layer *)(memory + layers))[l] = at;
    }
    const size_t o = graph->layer[0].o ? take(&total, sizeof(int16_t) * inputs) : 0;
    if (!memory) return total;
    memcpy(memory + sx, graph->sx, sizeof(float) * inputs);
    if (o) memcpy(memory + o, graph->layer[0].o, sizeof(int16_t) * inputs);
    *(ernn_int8_model *)(memory + models) = (ernn_int8_model){
        graph->layer[0].inputs, graph->layer[graph->layers - 1].units, graph->layers, (const float *)(memory + sx),
        (const ernn_int8_layer *)(memory + layers), o ? (const int16_t *)(memory + o) : NULL};
    return total;
}

/* b_ih + b_hh, but for a GRU's n gate, whose hidden half stays apart. */
static size_t merge(const ernn_host_layer *from, float *to) {
    const size_t rows = (size_t)gates_of(from->kind) * from->units;
    for (size_t row = 0; to && row < rows; row++) {
        const int apart = !from->b_hh || (from->kind == ERNN_GRU && row >= 2 * (size_t)from->units);
        to[row] = apart ? from->b_ih[row] : from->b_ih[row] + from->b_hh[row];
    }
    return sizeof *to * rows;
}

static size_t pack_float(const ernn_host_graph *graph, uint8_t *memory, size_t total) {
    const size_t models = take(&total, sizeof(ernn_float_model));
    const size_t layers = take(&total, sizeof(ernn_float_layer) * graph->layers);
    ernn_float_model model = {graph->layer[0].inputs, graph->layer[graph->layers - 1].units, graph->layers, 0, 0, 0};
    PLACE(model.mean, float, copy(graph->mean, model.inputs, to));
    PLACE(model.std, float, copy(graph->std, model.inputs, to));
    for (int l = 0; l < graph->layers; l++) {
        const ernn_host_layer *from = &graph->layer[l];
        const size_t H = from->units, rows = ernn_ih_rows(from), out = ernn_hh_rows(from);
        ernn_float_layer at = {.kind = from->kind, .activation = from->activation, .inputs = from->inputs,
                               .units = from->units, .past = (uint16_t)ernn_past(from), .dilation = from->dilation,
                               .heads = from->heads, .hidden = from->hidden};
        if (rows) PLACE(at.w_ih, float, copy(from->w_ih, rows * ernn_ih_columns(from), to));
        if (out) PLACE(at.w_hh, float, copy(from->w_hh, out * ernn_hh_columns(from), to));
        const int merged = from->kind == ERNN_RNN || from->kind == ERNN_GRU || from->kind == ERNN_LSTM;
        if (merged) PLACE(at.b, float, merge(from, to));
        if (rows && !merged) PLACE(at.b, float, copy(from->b_ih, rows, to));
        if (out && !merged) PLACE(at.bn, float, copy(from->b_hh, out, to));
        if (from->kind == ERNN_GRU) PLACE(at.bn, float, copy(from->b_hh + 2 * H, H, to));
        if (from->zeta) PLACE(at.zeta, float, copy(from->zeta, 1, to));
        if (from->nu) PLACE(at.nu, float, copy(from->nu, 1, to));
        if (from->norm_w) PLACE(at.norm_w, float, copy(from->norm_w, from->inputs, to));
        if (from->norm_b) PLACE(at.norm_b, float, copy(from->norm_b, from->inputs, to));
        if (from->bias) PLACE(at.bias, float, copy(from->bias, from->heads * (size_t)from->window, to));
        if (memory) ((ernn_float_layer *)(memory + layers))[l] = at;
    }
    if (!memory) return total;
    model.layer = (const ernn_float_layer *)(memory + layers);
    *(ernn_float_model *)(memory + models) = model;
    return total;
}

/* Where each layer's states lie: float32 in the order of a snapshot; int8 all h, then all s and c, then the buffers, each
 * padded (ernn.h). Behind them the scratch of a step.
 */
static void lay_out_stream(const ernn_host_graph *graph, ernn_packed *m) {
    const int exact = graph->precision == ERNN_INT8;
    const size_t item = exact ? 2 : 4;
    size_t at = 0, widest = m->inputs, more = 0;
    for (int pass = 0; pass < (exact ? 3 : 1); pass++) {
        at = (at + 3) / 4 * 4;
        if (pass == 1) m->x = (uint32_t)at; /* here: where s begins */
        if (pass == 2) m->buf = (uint32_t)at;
        for (int l = 0; l < graph->layers; l++) {
            const ernn_host_layer *from = &graph->layer[l];
            ernn_packed_layer *to = &m->layer[l];
            const int buffer = from->kind == ERNN_WINDOW || from->kind == ERNN_CONV;
            ernn_state_form form[ERNN_LAYER_STATES];
            to->states = (uint8_t)ernn_states_of(graph->precision, from, form);
            to->kind = from->kind, to->units = from->units, to->inputs = from->inputs;
            for (unsigned n = 0; n < to->states; n++) {
                const int word = form[n].format == 'i', mine = !exact || pass == (buffer ? 2 : word ? 1 : 0);
                if (!mine) continue;
                to->state_at[n] = (uint32_t)at, to->state_bytes[n] = (uint32_t)((word || !exact ? 4 : 2) * form[n].width);
                at += !exact || buffer ? to->state_bytes[n] : word ? 4u * ERNN_PAD_ROWS(from->units) : 2u * ERNN_PAD_COLUMNS(from->units);
            }
            if (exact && pass == 0 && ernn_recurrent(from->kind)) {
                to->h = to->state_at[0];
                if (from->kind == ERNN_GRU || from->kind == ERNN_FASTGRNN) to->h = (uint32_t)at, at += 2u * ERNN_PAD_COLUMNS(from->units);
            }
            if (from->units > widest) widest = from->units;
            if (exact && ernn_ih_columns(from) > widest) widest = ernn_ih_columns(from);
            const size_t asked = from->kind == ERNN_CONV ? ernn_ih_columns(from)
                                 : from->kind == ERNN_ATTENTION ? 4 * (size_t)from->units + from->window
                                                                : (size_t)from->units + from->hidden;
            if (asked > more) more = asked;
        }
    }
    m->fresh = (uint32_t)(at = (at + 3) / 4 * 4);
    take(&at, exact ? 3 * item * ERNN_PAD_COLUMNS(widest) : item * (2 * widest + more));
    take(&at, sizeof(int16_t) * m->inputs + sizeof(int32_t) * m->outputs + 8);
    m->scratch_bytes = at;
    m->bound_bytes = ERNN_LAYER_STATES * m->layers * sizeof(uint8_t *);
}

static void pack(const ernn_host_graph *graph, ernn_packed *header, uint8_t *memory) {
    const size_t first = (sizeof *header + ERNN_ALIGN - 1) / ERNN_ALIGN * ERNN_ALIGN;
    memset(header, 0, sizeof *header);
    header->precision = graph->precision, header->layers = graph->layers, header->reach = graph->reach;
    header->inputs = graph->layer[0].inputs, header->outputs = graph->layer[graph->layers - 1].units;
    header->portable = 1;
    header->float_step = ernn_float_step, header->int8_step = ernn_int8_step;
    header->edge = first; /* here: where the model struct lies */
    lay_out_stream(graph, header);
    header->bytes = (graph->precision == ERNN_INT8 ? pack_int8 : pack_float)(graph, memory, first);
    if (memory) memcpy(memory, header, sizeof *header);
}
