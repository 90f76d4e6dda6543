/* edge_rnn._native: the host kernel for Python, in CPython's limited API (one binary for 3.11 and later).
 *
 *   Kernel(precision, layers, edge, isa)    packed weights of one graph; immutable, shared by threads
 *       .run(x, states, out)                x (T, I) -> out (T, C) on stream 0 of `states`; the GIL is released
 *       .group(x, states, out)              x (N, I) -> out (N, C), one step of N streams; the GIL is released
 *       .step_int(xq, states, out)          int8 graphs: (N, I) int16 -> (N, C) int32 Q16
 *       .bind(states, out, convert)         a Stepper
 *   smooth(p, last, alpha)                 the detector's moving averages
 *   csv(text, at, limit, longest, out, row) lines of numbers (csv_binding.h)
 *   frames(data, session, ...)             DATA frames of the wire (frames_binding.h)
 *   Stepper.step(sample)                    (I,) -> `out`, the same array each time; nothing is allocated
 *
 * All checks are made here. A sample that is not plain float32, or holds NaN or too much, goes to `convert`, which gives
 * contiguous float32 or raises; the state has not moved then. edge_rnn/engines/native.py is the only caller.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "csv_binding.h"
#include "frames_binding.h"
#include "simd/shape.h"

/* What edge_rnn/engines/native.py must agree on: raise it in both when a call of one changes for the other. */
#define BINDING 3

/* So few steps are done before another thread has woken up: they keep the interpreter's lock. */
enum { FEW = 16 };

/* With NumPy's headers a sample's address is read from its struct, whose layout is NumPy's stable binary interface.
 * The buffer protocol would cost 50 ns and, in NumPy, an allocation for each new array.
 */
#ifdef ERNN_NUMPY
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/ndarraytypes.h>
#endif

typedef struct {
    PyObject_HEAD
    const ernn_isa *isa;
    ernn_packed *model; /* ERNN_ALIGN aligned, in `memory` */
    void *memory;
    unsigned states;
    ernn_state_form state[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
} Kernel;

typedef struct {
    PyObject_HEAD
    Kernel *kernel;
    PyObject *out, *convert;
    Py_buffer out_view, views[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    uint8_t *states[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    unsigned held;
    uint8_t *scratch;
    void *memory;
} Stepper;

static PyTypeObject *kernel_type, *stepper_type;
static PyObject *ndarray, *float32; /* numpy.ndarray and dtype("float32"), a singleton */

static void *aligned(size_t bytes, void **memory) {
    *memory = PyMem_Malloc(bytes + ERNN_ALIGN);
    if (!*memory) return PyErr_NoMemory();
    const size_t off = (size_t)((uintptr_t)*memory % ERNN_ALIGN);
    return (uint8_t *)*memory + (ERNN_ALIGN - off);
}

/* ---- arrays ---- */

static size_t item_size(char format) { return format == 'b' ? 1 : format == 'h' ? 2 : format == 'd' ? 8 : 4; }

static int is_format(const Py_buffer *view, char format) {
    const char *f = view->format;
    if (!f || (size_t)view->itemsize != item_size(format)) return 0;
    if (*f == '@' || *f == '=' || (*f == '<' && PY_LITTLE_ENDIAN)) f++;
    return f[1] == 0 && (*f == format || (format == 'i' && *f == 'l'));
}

/* A C-contiguous buffer of `count` items (< 0: any number), or an error and -1. */
static int take(PyObject *object, Py_buffer *view, char format, Py_ssize_t count, int writable, const char *what) {
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) < 0) return -1;
    if (is_format(view, format) && (count < 0 || view->len == count * view->itemsize)) return 0;
    PyErr_Format(PyExc_ValueError, "%s: expected %zd items of format '%c', got %zd bytes of '%s'", what, count, format,
                 view->len, view->format ? view->format : "?");
    PyBuffer_Release(view);
    return -1;
}

static void release(Py_buffer *views, unsigned n) {
    while (n) PyBuffer_Release(&views[--n]);
}

/* Views and addresses of a model's states for n streams. */
static int take_states(const Kernel *self, PyObject *states, Py_ssize_t n, Py_buffer *views, uint8_t **at) {
    if (!PyTuple_Check(states) || PyTuple_Size(states) != (Py_ssize_t)self->states) {
        PyErr_Format(PyExc_ValueError, "states: expected a tuple of %u arrays", self->states);
        return -1;
    }
    for (unsigned j = 0; j < self->states; j++) {
        PyObject *state = PyTuple_GetItem(states, (Py_ssize_t)j);
        if (take(state, &views[j], self->state[j].format, n * (Py_ssize_t)self->state[j].width, 1, "a state") < 0) {
            release(views, j);
            return -1;
        }
        at[j] = views[j].buf;
    }
    return 0;
}

/* ---- Kernel ---- */

/* One layer's words, in the order of `words`, and its arrays, in that of shape.h. */
static int take_layer(PyObject *item, int precision, int first, ernn_host_layer *layer, Py_buffer *views, unsigned *held) {
    enum { KIND, ACTIVATION, EXPONENT, INPUTS, UNITS, WINDOW, KERNEL, DILATION, HEADS, HIDDEN, WORDS };
    int w[WORDS];
    PyObject *arrays;
    if (!PyArg_ParseTuple(item, "iiiiiiiiiiO!", w, w + 1, w + 2, w + 3, w + 4, w + 5, w + 6, w + 7, w + 8, w + 9, &PyTuple_Type,
                          &arrays))
        return -1;
    for (int j = 0; j < WORDS; j++)
        if (w[j] < 0 || w[j] > (j < INPUTS ? 255 : ERNN_MAX_WIDTH)) w[KIND] = 255;
    if (w[KIND] > ERNN_NORM || !w[INPUTS] || !w[UNITS]) {
        PyErr_SetString(PyExc_ValueError, "a layer's kind or size is out of range");
        return -1;
    }
    layer->kind = (uint8_t)w[KIND], layer->activation = (uint8_t)w[ACTIVATION], layer->exponent = (uint8_t)w[EXPONENT];
    layer->inputs = (uint16_t)w[INPUTS], layer->units = (uint16_t)w[UNITS], layer->window = (uint16_t)w[WINDOW];
    layer->kernel = (uint16_t)w[KERNEL], layer->dilation = (uint16_t)w[DILATION];
    layer->heads = (uint16_t)w[HEADS], layer->hidden = (uint16_t)w[HIDDEN];
    if (precision == ERNN_INT8 && layer->kind > ERNN_CONV) {
        PyErr_SetString(PyExc_ValueError, "a layer has no int8 form");
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
        if (take(PyTuple_GetItem(arrays, (Py_ssize_t)j), view, wanted[j].format, (Py_ssize_t)wanted[j].count, 0, "a layer's array") < 0)
            return -1;
        *wanted[j].to = view->buf;
        ++*held;
    }
    return 0;
}

static int take_graph(PyObject *layers, PyObject *edge, ernn_host_graph *graph, Py_buffer *views, unsigned *held) {
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
        if (take(PyTuple_GetItem(edge, j), &views[*held], 'f', graph->layer[0].inputs, 0, "mean, std or sx") < 0) return -1;
        *to[j] = views[*held].buf;
    }
    Py_buffer *view = &views[*held];
    if (take(PyTuple_GetItem(edge, exact ? 1 : 2), view, 'f', 1, 0, "reach") < 0) return -1;
    graph->reach = *(const float *)view->buf;
    ++*held;
    unsigned layer;
    const char *wrong = ernn_check(graph, &layer);
    if (wrong) PyErr_Format(PyExc_ValueError, "layer %u: %s", layer, wrong);
    return wrong ? -1 : 0;
}

static void name_states(Kernel *self, const ernn_host_graph *graph) {
    for (int l = 0; l < graph->layers; l++)
        self->states += ernn_states_of(graph->precision, &graph->layer[l], self->state + self->states);
}

static PyObject *kernel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *precision, *name;
    PyObject *layers, *edge;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "sO!O!z", &precision, &PyTuple_Type, &layers, &PyTuple_Type, &edge, &name)) return NULL;
    const ernn_isa *isa = ernn_isa_named(name);
    if (!isa) return PyErr_Format(PyExc_ValueError, "no variant called %s here", name);
    ernn_host_graph *graph = PyMem_Calloc(1, sizeof *graph);
    Py_buffer *views = PyMem_Calloc(ERNN_LAYER_ARRAYS * ERNN_MAX_LAYERS + 3, sizeof *views);
    Kernel *self = NULL;
    unsigned held = 0;
    if (!graph || !views) {
        PyErr_NoMemory();
        goto done;
    }
    graph->precision = strcmp(precision, "int8") == 0 ? ERNN_INT8 : ERNN_FLOAT32;
    if (take_graph(layers, edge, graph, views, &held) < 0) goto done;
    allocfunc make = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    if (!(self = (Kernel *)make(type, 0))) goto done;
    ernn_packed header;
    isa->pack(graph, &header, NULL);
    if (!(self->model = aligned(header.bytes, &self->memory))) {
        Py_DECREF((PyObject *)self);
        self = NULL;
        goto done;
    }
    isa->pack(graph, &header, (uint8_t *)self->model);
    self->isa = isa;
    name_states(self, graph);
done:
    release(views, held);
    PyMem_Free(views);
    PyMem_Free(graph);
    return (PyObject *)self;
}

static void kernel_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyMem_Free(((Kernel *)object)->memory);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* One call without the GIL: `streams` of one step each, or one stream of many steps. */
static PyObject *kernel_call(Kernel *self, PyObject *args, char in_format, char out_format, int group) {
    PyObject *x_object, *states, *out_object, *result = NULL;
    Py_buffer x, out, views[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    uint8_t *at[ERNN_LAYER_STATES * ERNN_MAX_LAYERS];
    void *memory = NULL;
    const ernn_packed *m = self->model;
    if (!PyArg_ParseTuple(args, "OOO", &x_object, &states, &out_object)) return NULL;
    if (in_format == 'h' && m->precision != ERNN_INT8) {
        PyErr_SetString(PyExc_ValueError, "a float32 model has no integers");
        return NULL;
    }
    if (take(x_object, &x, in_format, -1, 0, "x") < 0) return NULL;
    const Py_ssize_t items = x.len / x.itemsize, n = items / m->inputs;
    if (items % m->inputs || x.shape[x.ndim - 1] != m->inputs) {
        PyErr_Format(PyExc_ValueError, "x: expected rows of %d", m->inputs);
        goto release_x;
    }
    if (take(out_object, &out, out_format, n * m->outputs, 1, "out") < 0) goto release_x;
    if (take_states(self, states, group ? n : 1, views, at) < 0) goto release_out;
    uint8_t *scratch = aligned(m->scratch_bytes * self->isa->tile, &memory);
    if (!scratch) goto release_states;
    ernn_status status = ERNN_OK;
    PyThreadState *paused = n > FEW ? PyEval_SaveThread() : NULL;
    if (in_format == 'h') {
        for (Py_ssize_t s = 0; s < n; s++)
            self->isa->run_int(m, scratch, at, (size_t)s, 1, (const int16_t *)x.buf + s * m->inputs,
                               (int32_t *)out.buf + s * m->outputs);
    } else if (group) {
        status = self->isa->group(m, scratch, at, (size_t)n, x.buf, out.buf);
    } else {
        status = self->isa->run(m, scratch, at, 0, (size_t)n, x.buf, out.buf);
    }
    if (paused) PyEval_RestoreThread(paused);
    PyMem_Free(memory);
    if (status == ERNN_OK)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "x holds NaN, Inf or a number beyond the model's reach");
release_states:
    release(views, self->states);
release_out:
    PyBuffer_Release(&out);
release_x:
    PyBuffer_Release(&x);
    return result;
}

static PyObject *kernel_run(PyObject *self, PyObject *args) { return kernel_call((Kernel *)self, args, 'f', 'f', 0); }
static PyObject *kernel_group(PyObject *self, PyObject *args) { return kernel_call((Kernel *)self, args, 'f', 'f', 1); }
static PyObject *kernel_step_int(PyObject *self, PyObject *args) { return kernel_call((Kernel *)self, args, 'h', 'i', 1); }

static PyObject *kernel_bind(PyObject *object, PyObject *args) {
    Kernel *kernel = (Kernel *)object;
    PyObject *states, *out, *convert;
    if (!PyArg_ParseTuple(args, "OOO", &states, &out, &convert)) return NULL;
    allocfunc make = (allocfunc)PyType_GetSlot(stepper_type, Py_tp_alloc);
    Stepper *self = (Stepper *)make(stepper_type, 0);
    if (!self) return NULL;
    self->kernel = (Kernel *)Py_NewRef(object);
    self->convert = Py_NewRef(convert);
    self->scratch = aligned(kernel->model->scratch_bytes + kernel->model->bound_bytes, &self->memory);
    if (!self->scratch || take(out, &self->out_view, 'f', kernel->model->outputs, 1, "out") < 0) goto fail;
    self->out = Py_NewRef(out);
    if (take_states(kernel, states, 1, self->views, self->states) < 0) goto fail;
    self->held = kernel->states;
    kernel->isa->bind(kernel->model, self->scratch, self->states);
    return (PyObject *)self;
fail:
    Py_DECREF((PyObject *)self);
    return NULL;
}

static PyObject *kernel_isa(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_FromString(((Kernel *)self)->isa->name);
}

static PyObject *kernel_bytes(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(((Kernel *)self)->model->bytes);
}

/* ---- Stepper ---- */

static void stepper_dealloc(PyObject *object) {
    Stepper *self = (Stepper *)object;
    PyTypeObject *type = Py_TYPE(object);
    release(self->views, self->held);
    if (self->out) PyBuffer_Release(&self->out_view);
    Py_XDECREF(self->out);
    Py_XDECREF(self->convert);
    Py_XDECREF((PyObject *)self->kernel);
    PyMem_Free(self->memory);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int advance(const Stepper *self, const void *x) {
    const Kernel *kernel = self->kernel;
    return kernel->isa->step(kernel->model, self->scratch, x, self->out_view.buf) == ERNN_OK;
}

/* 1: stepped; 0: not a plain float32 sample, or NaN; the state has not moved. */
static int try_step(Stepper *self, PyObject *sample) {
    const ernn_packed *m = self->kernel->model;
    Py_buffer view;
#ifdef ERNN_NUMPY
    if ((PyObject *)Py_TYPE(sample) == ndarray) {
        const PyArrayObject_fields *array = (const PyArrayObject_fields *)sample;
        const int flags = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;
        return (PyObject *)array->descr == float32 && array->nd == 1 && array->dimensions[0] == m->inputs &&
               (array->flags & flags) == flags && advance(self, array->data);
    }
#endif
    if (PyObject_GetBuffer(sample, &view, PyBUF_ND | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    const int plain = view.ndim == 1 && view.shape[0] == m->inputs && is_format(&view, 'f');
    const int done = plain && advance(self, view.buf);
    PyBuffer_Release(&view);
    return done;
}

static PyObject *stepper_step(PyObject *object, PyObject *sample) {
    Stepper *self = (Stepper *)object;
    if (!try_step(self, sample)) {
        PyObject *converted = PyObject_CallFunctionObjArgs(self->convert, sample, NULL);
        if (!converted) return NULL;
        const int done = try_step(self, converted);
        Py_DECREF(converted);
        if (!done) {
            PyErr_SetString(PyExc_ValueError, "the converter gave no contiguous, finite float32 sample");
            return NULL;
        }
    }
    return Py_NewRef(self->out);
}

/* ---- module ---- */

static PyMethodDef kernel_methods[] = {
    {"run", kernel_run, METH_VARARGS, "run(x, states, out): T steps of one stream"},
    {"group", kernel_group, METH_VARARGS, "group(x, states, out): one step of N streams"},
    {"step_int", kernel_step_int, METH_VARARGS, "step_int(xq, states, out): the exact integers of N streams"},
    {"bind", kernel_bind, METH_VARARGS, "bind(states, out, convert): a Stepper"},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef kernel_members[] = {
    {"isa", kernel_isa, NULL, "the variant in use", NULL},
    {"bytes", kernel_bytes, NULL, "memory of the packed weights", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef stepper_methods[] = {
    {"step", stepper_step, METH_O, "step(sample): (I,) float32 -> (C,) logits, in the array given to bind"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot kernel_slots[] = {
    {Py_tp_new, kernel_new}, {Py_tp_dealloc, kernel_dealloc}, {Py_tp_methods, kernel_methods},
    {Py_tp_getset, kernel_members}, {0, NULL},
};
static PyType_Slot stepper_slots[] = {
    {Py_tp_dealloc, stepper_dealloc}, {Py_tp_methods, stepper_methods}, {0, NULL},
};
static PyType_Spec kernel_spec = {"edge_rnn._native.Kernel", sizeof(Kernel), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, kernel_slots};
static PyType_Spec stepper_spec = {"edge_rnn._native.Stepper", sizeof(Stepper), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                   stepper_slots};

static PyObject *variants(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *names = PyList_New(0);
    for (unsigned n = 0; names && ernn_isa_at(n); n++) {
        PyObject *name = PyUnicode_FromString(ernn_isa_at(n)->name);
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

/* smooth(p, last, alpha): p (T, K) probabilities become their moving averages, last (K,) goes on from where it was and
 * NaN means nothing came yet. The rounding is that of edge_rnn/detect.py's line, one operation after the other.
 */
static PyObject *smooth(PyObject *module, PyObject *args) {
    PyObject *p_object, *last_object, *alpha_object, *result = NULL;
    Py_buffer p, last, alpha;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOO", &p_object, &last_object, &alpha_object)) return NULL;
    if (take(last_object, &last, 'd', -1, 1, "last") < 0) return NULL;
    const Py_ssize_t K = last.len / (Py_ssize_t)sizeof(double);
    if (take(alpha_object, &alpha, 'd', K, 0, "alpha") < 0) goto release_last;
    if (take(p_object, &p, 'd', -1, 1, "p") < 0) goto release_alpha;
    if (p.ndim != 2 || p.shape[1] != K) {
        PyErr_SetString(PyExc_ValueError, "p: expected one column for each average");
        goto release_p;
    }
    double *row = p.buf, *now = last.buf;
    const double *a = alpha.buf;
    for (Py_ssize_t t = 0; t < p.shape[0]; t++, row += K)
        for (Py_ssize_t k = 0; k < K; k++) {
            const double step = a[k] * (row[k] - now[k]);
            now[k] = row[k] = now[k] != now[k] ? row[k] : now[k] + step;
        }
    result = Py_NewRef(Py_None);
release_p:
    PyBuffer_Release(&p);
release_alpha:
    PyBuffer_Release(&alpha);
release_last:
    PyBuffer_Release(&last);
    return result;
}

static PyMethodDef functions[] = {
    {"csv", ernn_python_csv, METH_VARARGS, "csv(text, at, limit, longest, out, row): lines of numbers, to (at, row)"},
    {"frames", ernn_python_frames, METH_VARARGS, "frames(data, session, scale, last, offset, x, seq): see its header"},
    {"smooth", smooth, METH_VARARGS, "smooth(p, last, alpha): moving averages of (T, K) probabilities, in place"},
    {"variants", variants, METH_NOARGS, "names of the variants this machine can run, fastest first"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edge_rnn._native", "The native engine's kernel.", -1, functions, NULL, NULL, NULL, NULL};

static int find_numpy(void) {
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (!numpy) return -1;
    ndarray = PyObject_GetAttrString(numpy, "ndarray");
    float32 = PyObject_CallMethod(numpy, "dtype", "s", "float32");
    Py_DECREF(numpy);
    return ndarray && float32 ? 0 : -1;
}

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    if (find_numpy() < 0 || (!kernel_type && !(kernel_type = (PyTypeObject *)PyType_FromSpec(&kernel_spec))) ||
        (!stepper_type && !(stepper_type = (PyTypeObject *)PyType_FromSpec(&stepper_spec))) ||
        PyModule_AddIntConstant(module, "BINDING", BINDING) < 0 ||
        PyModule_AddObjectRef(module, "Kernel", (PyObject *)kernel_type) < 0 ||
        PyModule_AddObjectRef(module, "Stepper", (PyObject *)stepper_type) < 0)
        Py_CLEAR(module);
    return module;
}
