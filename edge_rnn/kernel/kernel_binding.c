#include "kernel_binding.h"

#include <string.h>

#include "arrays_binding.h"
#include "graph_binding.h"
#include "runs_binding.h"
#include "stepper_binding.h"

/* So few steps are done before another thread has woken up: they keep the interpreter's lock. */
enum { FEW = 16 };

int ernn_take_states(const Kernel *self, PyObject *states, Py_ssize_t n, Py_buffer *views, uint8_t **at) {
    if (!PyTuple_Check(states) || PyTuple_Size(states) != (Py_ssize_t)self->states) {
        PyErr_Format(PyExc_ValueError, "states: expected a tuple of %u arrays", self->states);
        return -1;
    }
    for (unsigned j = 0; j < self->states; j++) {
        PyObject *state = PyTuple_GetItem(states, (Py_ssize_t)j);
        if (ernn_take(state, &views[j], self->state[j].format, n * (Py_ssize_t)self->state[j].width, 1, "a state") < 0) {
            ernn_release(views, j);
            return -1;
        }
        at[j] = views[j].buf;
    }
    return 0;
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
    Py_buffer *views = PyMem_Calloc(ERNN_GRAPH_VIEWS, sizeof *views);
    Kernel *self = NULL;
    unsigned held = 0;
    if (!graph || !views) {
        PyErr_NoMemory();
        goto done;
    }
    graph->precision = strcmp(precision, "int8") == 0 ? ERNN_INT8 : ERNN_FLOAT32;
    if (ernn_take_graph(layers, edge, graph, views, &held) < 0) goto done;
    allocfunc make = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    if (!(self = (Kernel *)make(type, 0))) goto done;
    ernn_packed header;
    isa->pack(graph, &header, NULL);
    if (!(self->model = ernn_aligned(header.bytes, &self->memory))) {
        Py_DECREF((PyObject *)self);
        self = NULL;
        goto done;
    }
    isa->pack(graph, &header, (uint8_t *)self->model);
    self->isa = isa;
    name_states(self, graph);
done:
    ernn_release(views, held);
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

PyObject *ernn_none_or_error(ernn_status status) {
    if (status == ERNN_OK) return Py_NewRef(Py_None);
    PyErr_SetString(PyExc_ValueError, "x holds NaN, Inf or a number beyond the model's reach");
    return NULL;
}

/* One call without the GIL: `streams` of one step each, or one stream of many steps. */
static PyObject *kernel_call(Kernel *self, PyObject *args, char in_format, char out_format, int group) {
    PyObject *x_object, *states, *out_object, *result = NULL;
    Py_buffer x, out, views[ERNN_MODEL_STATES];
    uint8_t *at[ERNN_MODEL_STATES];
    void *memory = NULL;
    const ernn_packed *m = self->model;
    if (!PyArg_ParseTuple(args, "OOO", &x_object, &states, &out_object)) return NULL;
    if (in_format == 'h' && m->precision != ERNN_INT8) {
        PyErr_SetString(PyExc_ValueError, "a float32 model has no integers");
        return NULL;
    }
    if (ernn_take(x_object, &x, in_format, -1, 0, "x") < 0) return NULL;
    const Py_ssize_t items = x.len / x.itemsize, n = items / m->inputs;
    if (x.ndim < 1 || items % m->inputs || x.shape[x.ndim - 1] != m->inputs) {
        PyErr_Format(PyExc_ValueError, "x: expected rows of %d", m->inputs);
        goto release_x;
    }
    if (ernn_take(out_object, &out, out_format, n * m->outputs, 1, "out") < 0) goto release_x;
    if (ernn_take_states(self, states, group ? n : 1, views, at) < 0) goto release_out;
    uint8_t *scratch = ernn_aligned(m->scratch_bytes * self->isa->tile, &memory);
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
    result = ernn_none_or_error(status);
release_states:
    ernn_release(views, self->states);
release_out:
    PyBuffer_Release(&out);
release_x:
    PyBuffer_Release(&x);
    return result;
}

static PyObject *kernel_run(PyObject *self, PyObject *args) { return kernel_call((Kernel *)self, args, 'f', 'f', 0); }
static PyObject *kernel_group(PyObject *self, PyObject *args) { return kernel_call((Kernel *)self, args, 'f', 'f', 1); }
static PyObject *kernel_step_int(PyObject *self, PyObject *args) { return kernel_call((Kernel *)self, args, 'h', 'i', 1); }

static PyObject *kernel_isa(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_FromString(((Kernel *)self)->isa->name);
}

static PyObject *kernel_bytes(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(((Kernel *)self)->model->bytes);
}

static PyMethodDef kernel_methods[] = {
    {"run", kernel_run, METH_VARARGS, "run(x, states, out): T steps of one stream"},
    {"runs", ernn_python_runs, METH_VARARGS, "runs(x, rows, where, states, out): steps of many streams"},
    {"group", kernel_group, METH_VARARGS, "group(x, states, out): one step of N streams"},
    {"step_int", kernel_step_int, METH_VARARGS, "step_int(xq, states, out): the exact integers of N streams"},
    {"bind", ernn_python_bind, METH_VARARGS, "bind(states, out, convert): a Stepper"},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef kernel_members[] = {
    {"isa", kernel_isa, NULL, "the variant in use", NULL},
    {"bytes", kernel_bytes, NULL, "memory of the packed weights", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot kernel_slots[] = {
    {Py_tp_new, kernel_new}, {Py_tp_dealloc, kernel_dealloc}, {Py_tp_methods, kernel_methods},
    {Py_tp_getset, kernel_members}, {0, NULL},
};
static PyType_Spec kernel_spec = {"edge_rnn._native.Kernel", sizeof(Kernel), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, kernel_slots};

int ernn_add_kernel(PyObject *module) {
    static PyObject *type;
    if (!type && !(type = PyType_FromSpec(&kernel_spec))) return -1;
    return PyModule_AddObjectRef(module, "Kernel", type);
}
