/* A layer from the numbers that describe it, and what follows from its kind and sizes: rows and columns of its matrices,
 * which arrays it has and in what order they come, which states. One place for the binding, the checks, the packers and the tests' model files.
 */
#ifndef ERNN_SHAPE_H
#define ERNN_SHAPE_H

#include "host.h"

#define ERNN_LAYER_WORDS 10  /* numbers that describe a layer */
#define ERNN_LAYER_ARRAYS 11 /* the most that a layer has */
#define ERNN_LAYER_STATES 3

typedef struct {
    char format; /* struct's letters: b h i f */
    size_t count;
    const void **to;
} ernn_wanted;

typedef struct {
    char format;
    size_t width;
} ernn_state_form;

/* The kinds that docs/numeric.md knows. */
static inline int ernn_has_int8(int kind) { return kind <= ERNN_STATISTICS; }

/* A layer of numbers of unknown origin; NULL, or why its arrays cannot even be counted. ernn_check judges the rest. */
static inline const char *ernn_layer_of(int precision, const int *words, ernn_host_layer *layer) {
    enum { KIND, ACTIVATION, EXPONENT, INPUTS, UNITS, WINDOW, KERNEL, DILATION, HEADS, HIDDEN };
    const int *w = words;
    for (int j = 0; j < ERNN_LAYER_WORDS; j++)
        if (w[j] < 0 || w[j] > (j < INPUTS ? 255 : ERNN_MAX_WIDTH)) return "a layer's kind or size is out of range";
    if (w[KIND] > ERNN_NORM || !w[INPUTS] || !w[UNITS]) return "a layer's kind or size is out of range";
    if (precision == ERNN_INT8 && !ernn_has_int8(w[KIND])) return "a layer has no int8 form";
    layer->kind = (uint8_t)w[KIND], layer->activation = (uint8_t)w[ACTIVATION], layer->exponent = (uint8_t)w[EXPONENT];
    layer->inputs = (uint16_t)w[INPUTS], layer->units = (uint16_t)w[UNITS], layer->window = (uint16_t)w[WINDOW];
    layer->kernel = (uint16_t)w[KERNEL], layer->dilation = (uint16_t)w[DILATION];
    layer->heads = (uint16_t)w[HEADS], layer->hidden = (uint16_t)w[HIDDEN];
    return NULL;
}

static inline int ernn_recurrent(int kind) { return kind >= ERNN_RNN && kind <= ERNN_FASTGRNN; }

/* Rows of the past in a layer's buffer, or that it sees. */
static inline size_t ernn_past(const ernn_host_layer *layer) {
    return layer->kind == ERNN_CONV ? (layer->kernel - 1u) * (size_t)layer->dilation : layer->window;
}

/* Channels of a window whose statistics a layer gives; 0 where the window is none. */
static inline size_t ernn_channels(const ernn_host_layer *layer) {
    return layer->window ? layer->inputs / (size_t)layer->window : 0;
}

static inline size_t ernn_ih_rows(const ernn_host_layer *layer) {
    switch (layer->kind) {
        case ERNN_WINDOW: case ERNN_STATISTICS: case ERNN_NORM: return 0;
        case ERNN_GRU: case ERNN_ATTENTION: return 3 * (size_t)layer->units;
        case ERNN_LSTM: return 4 * (size_t)layer->units;
        case ERNN_FEEDFORWARD: return layer->hidden;
        default: return layer->units;
    }
}

static inline size_t ernn_ih_columns(const ernn_host_layer *layer) {
    return layer->inputs * (layer->kind == ERNN_CONV ? (size_t)layer->kernel : 1u);
}

/* The second matrix; for attention and feed-forward the one of the output. */
static inline size_t ernn_hh_rows(const ernn_host_layer *layer) {
    if (layer->kind == ERNN_ATTENTION || layer->kind == ERNN_FEEDFORWARD) return layer->units;
    return ernn_recurrent(layer->kind) ? ernn_ih_rows(layer) : 0;
}

static inline size_t ernn_hh_columns(const ernn_host_layer *layer) {
    return layer->kind == ERNN_FEEDFORWARD ? layer->hidden : layer->units;
}

/* The arrays of a layer, each where it belongs in the struct; returns how many. */
static inline unsigned ernn_arrays_of(int precision, int first, ernn_host_layer *layer, ernn_wanted *wanted) {
    const size_t rows = ernn_ih_rows(layer), ih = rows * ernn_ih_columns(layer), units = layer->units;
    const size_t out = ernn_hh_rows(layer), hh = out * ernn_hh_columns(layer), inputs = layer->inputs;
    const int fast = layer->kind == ERNN_FASTGRNN, keeps = layer->kind == ERNN_WINDOW || layer->kind == ERNN_CONV;
    unsigned n = 0;
#define ERNN_WANT(type, number, field) \
    wanted[n].format = type, wanted[n].count = number, wanted[n++].to = (const void **)&layer->field
    if (precision == ERNN_FLOAT32) {
        if (ih) {
            ERNN_WANT('f', ih, w_ih);
            ERNN_WANT('f', rows, b_ih);
        }
        if (hh) {
            ERNN_WANT('f', hh, w_hh);
            ERNN_WANT('f', out, b_hh);
        }
        if (fast) {
            ERNN_WANT('f', 1, zeta);
            ERNN_WANT('f', 1, nu);
        }
        if (layer->kind >= ERNN_ATTENTION) {
            ERNN_WANT('f', inputs, norm_w);
            ERNN_WANT('f', inputs, norm_b);
        }
        if (layer->kind == ERNN_ATTENTION) ERNN_WANT('f', layer->heads * (size_t)layer->window, bias);
        return n;
    }
    if (ih) {
        ERNN_WANT('b', ih, ih_w);
        ERNN_WANT('i', rows, ih_m);
        ERNN_WANT('i', 2, ih_S_k);
    }
    if (hh) {
        ERNN_WANT('b', hh, hh_w);
        ERNN_WANT('i', out, hh_m);
        ERNN_WANT('i', 2, hh_S_k);
    }
    if (layer->kind == ERNN_STATISTICS) {
        ERNN_WANT('i', units, ih_m);
        ERNN_WANT('i', 2, ih_S_k);
        ERNN_WANT('i', ernn_channels(layer), b);
    }
    if (ih) ERNN_WANT('i', rows, b);
    if (layer->kind == ERNN_GRU || fast) ERNN_WANT('i', units, bn);
    if (fast) {
        ERNN_WANT('i', 1, zeta_q);
        ERNN_WANT('i', 1, nu_q);
    }
    if (first && keeps) ERNN_WANT('h', inputs, o);
#undef ERNN_WANT
    return n;
}

/* The states of a layer, in the order of edge_rnn/layer.py; returns how many. */
static inline unsigned ernn_states_of(int precision, const ernn_host_layer *layer, ernn_state_form *form) {
    const char word = precision == ERNN_INT8 ? 'i' : 'f', half = precision == ERNN_INT8 ? 'h' : 'f';
    const size_t units = layer->units, past = ernn_past(layer);
    switch (layer->kind) {
        case ERNN_RNN: form[0] = (ernn_state_form){half, units}; return 1;
        case ERNN_GRU: case ERNN_FASTGRNN: form[0] = (ernn_state_form){word, units}; return 1;
        case ERNN_LSTM: form[0] = (ernn_state_form){half, units}, form[1] = (ernn_state_form){word, units}; return 2;
        case ERNN_WINDOW: case ERNN_CONV: form[0] = (ernn_state_form){half, past * layer->inputs}; return past != 0;
        case ERNN_ATTENTION:
            form[0] = form[1] = (ernn_state_form){word, past * units}, form[2] = (ernn_state_form){word, 1};
            return 3;
        default: return 0;
    }
}

#endif
