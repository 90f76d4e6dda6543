#include "stepper_binding.h"

#include "arrays_binding.h"
#include "kernel_binding.h"

/* With NumPy's headers a sample's address is read from its struct, whose layout is NumPy's stable binary interface.
 * The buffer protocol would cost 50 ns and, in NumPy, an allocation for each new array.
 */
#ifdef ERNN_NUMPY
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/ndarraytypes.h>
#endif

typedef struct {
    PyObject_HEAD
    Kernel *kernel;
    PyObject *out, *convert;
    Py_buffer out_view, views[ERNN_MODEL_STATES];
    uint8_t *states[ERNN_MODEL_STATES];
    unsigned held;
    uint8_t *scratch;
    void *memory;
} Stepper;

static PyTypeObject *stepper_type;
static PyObject *ndarray, *float32; /* numpy.ndarray and dtype("float32"), a singleton */

PyObject *ernn_python_bind(PyObject *object, PyObject *args) {
    Kernel *kernel = (Kernel *)object;
    PyObject *states, *out, *convert;
    if (!PyArg_ParseTuple(args, "OOO", &states, &out, &convert)) return NULL;
    allocfunc make = (allocfunc)PyType_GetSlot(stepper_type, Py_tp_alloc);
    Stepper *self = (Stepper *)make(stepper_type, 0);
    if (!self) return NULL;
    self->kernel = (Kernel *)Py_NewRef(object);
    self->convert = Py_NewRef(convert);
    self->scratch = ernn_aligned(kernel->model->scratch_bytes + kernel->model->bound_bytes, &self->memory);
    if (!self->scratch || ernn_take(out, &self->out_view, 'f', kernel->model->outputs, 1, "out") < 0) goto fail;
    self->out = Py_NewRef(out);
    if (ernn_take_states(kernel, states, 1, self->views, self->states) < 0) goto fail;
    self->held = kernel->states;
    kernel->isa->bind(kernel->model, self->scratch, self->states);
    return (PyObject *)self;
fail:
    Py_DECREF((PyObject *)self);
    return NULL;
}

static void stepper_dealloc(PyObject *object) {
    Stepper *self = (Stepper *)object;
    PyTypeObject *type = Py_TYPE(object);
    ernn_release(self->views, self->held);
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
    const int plain = view.ndim == 1 && view.shape[0] == m->inputs && ernn_is_format(&view, 'f');
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

static PyMethodDef stepper_methods[] = {
    {"step", stepper_step, METH_O, "step(sample): (I,) float32 -> (C,) logits, in the array given to bind"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stepper_slots[] = {
    {Py_tp_dealloc, stepper_dealloc}, {Py_tp_methods, stepper_methods}, {0, NULL},
};
static PyType_Spec stepper_spec = {"edge_rnn._native.Stepper", sizeof(Stepper), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                   stepper_slots};

static int find_numpy(void) {
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (!numpy) return -1;
    ndarray = PyObject_GetAttrString(numpy, "ndarray");
    float32 = PyObject_CallMethod(numpy, "dtype", "s", "float32");
    Py_DECREF(numpy);
    return ndarray && float32 ? 0 : -1;
}

int ernn_add_stepper(PyObject *module) {
    if (find_numpy() < 0 || (!stepper_type && !(stepper_type = (PyTypeObject *)PyType_FromSpec(&stepper_spec)))) return -1;
    return PyModule_AddObjectRef(module, "Stepper", (PyObject *)stepper_type);
}
