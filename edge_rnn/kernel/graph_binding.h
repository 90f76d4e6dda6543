#ifndef ERNN_GRAPH_BINDING_H
#define ERNN_GRAPH_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "simd/shape.h"

/* Views of all arrays that a graph can have: those of its layers, and mean, std or sx, and reach. */
enum { ERNN_GRAPH_VIEWS = ERNN_LAYER_ARRAYS * ERNN_MAX_LAYERS + 3 };

/* A graph (its precision is set) from tuples of layers and (mean, std, reach) or (sx, reach), checked, or an error and -1.
 * The graph points into the first *held views, which the caller gives back either way.
 */
int ernn_take_graph(PyObject *layers, PyObject *edge, ernn_host_graph *graph, Py_buffer *views, unsigned *held);

#endif
