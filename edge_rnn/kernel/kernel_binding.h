/* Kernel(precision, layers, edge, isa)    packed weights of one graph; immutable, shared by threads
 *       .run(x, states, out)                x (T, I) -> out (T, C) on stream 0 of `states`; the GIL is released
 *       .runs(x, rows, where, states, out)  the same for many streams (runs_binding.h)
 *       .group(x, states, out)              x (N, I) -> out (N, C), one step of N streams; the GIL is released
 *       .step_int(xq, states, out)          int8 graphs: (N, I) int16 -> (N, C) int32 Q16
 *       .bind(states, out, convert)         a Stepper (stepper_binding.h)
 */
#ifndef ERNN_KERNEL_BINDING_H
#define ERNN_KERNEL_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "simd/shape.h"

enum { ERNN_MODEL_STATES = ERNN_LAYER_STATES * ERNN_MAX_LAYERS };

typedef struct {
    PyObject_HEAD
    const ernn_isa *isa;
    ernn_packed *model; /* ERNN_ALIGN aligned, in `memory` */
    void *memory;
    unsigned states;
    ernn_state_form state[ERNN_MODEL_STATES];
} Kernel;

/* Views and addresses of a model's states for n streams, or an error and -1. */
int ernn_take_states(const Kernel *self, PyObject *states, Py_ssize_t n, Py_buffer *views, uint8_t **at);

/* What a call gives back: None, or an error and NULL when samples were refused. */
PyObject *ernn_none_or_error(ernn_status status);

/* The type into the module; -1 with an error. */
int ernn_add_kernel(PyObject *module);

#endif
