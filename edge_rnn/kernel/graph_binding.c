/* A graph as edge_rnn/engines/native.py hands it over: numbers and arrays of each layer, every size checked here, every
 * value by ernn_check.
 */
#include "graph_binding.h"

#include "arrays_binding.h"

/* One layer's words and its arrays, both in shape.h's order. */
static int take_layer(PyObject *item, int precision, int first, ernn_host_layer *layer, Py_buffer *views, unsigned *held) {
    int w[ERNN_LAYER_WORDS];
    PyObject *arrays;
    if (!PyArg_ParseTuple(item, "iiiiiiiiiiO!", w, w + 1, w + 2, w + 3, w + 4, w + 5, w + 6, w + 7, w + 8, w + 9, &PyTuple_Type,
                          &arrays))
        return -1;
    const char *wrong = ernn_layer_of(precision, w, layer);
    if (wrong) {
        PyErr_SetString(PyExc_ValueError, wrong);
        return -1;
    }
    ernn_wanted wanted[ERNN_LAYER_ARRAYS];
    const unsigned n = ernn_arrays_of(precision, first, layer, wanted);
    if (PyTuple_Size(arrays) != (Py_ssize_t)n) {
        PyErr_Format(PyExc_ValueError, "a layer has %zd arrays, expected %u", PyTuple_Size(arrays), n);
        return -1;
    }
    for (unsigned j = 0; j < n; j++) {
        Py_buffer *view = &views[*held];
        if (ernn_take(PyTuple_GetItem(arrays, (Py_ssize_t)j), view, wanted[j].format, (Py_ssize_t)wanted[j].count, 0, "a layer's array") < 0)
            return -1;
        *wanted[j].to = view->buf;
        ++*held;
    }
    return 0;
}

int ernn_take_graph(PyObject *layers, PyObject *edge, ernn_host_graph *graph, Py_buffer *views, unsigned *held) {
    const Py_ssize_t n = PyTuple_Size(layers);
    const int exact = graph->precision == ERNN_INT8;
    if (n < 1 || n > ERNN_MAX_LAYERS || PyTuple_Size(edge) != (exact ? 2 : 3)) {
        PyErr_SetString(PyExc_ValueError, "expected 1..32 layers and (mean, std, reach) or (sx, reach)");
        return -1;
    }
    graph->layers = (uint8_t)n;
    for (Py_ssize_t l = 0; l < n; l++)
        if (take_layer(PyTuple_GetItem(layers, l), graph->precision, l == 0, &graph->layer[l], views, held) < 0) return -1;
    const float **to[2] = {exact ? &graph->sx : &graph->mean, &graph->std};
    for (int j = 0; j < (exact ? 1 : 2); j++, ++*held) {
        if (ernn_take(PyTuple_GetItem(edge, j), &views[*held], 'f', graph->layer[0].inputs, 0, "mean, std or sx") < 0) return -1;
        *to[j] = views[*held].buf;
    }
    Py_buffer *view = &views[*held];
    if (ernn_take(PyTuple_GetItem(edge, exact ? 1 : 2), view, 'f', 1, 0, "reach") < 0) return -1;
    graph->reach = *(const float *)view->buf;
    ++*held;
    unsigned layer;
    const char *wrong = ernn_check(graph, &layer);
    if (wrong) PyErr_Format(PyExc_ValueError, "layer %u: %s", layer, wrong);
    return wrong ? -1 : 0;
}
