#include "runs_binding.h"

#include "arrays_binding.h"
#include "kernel_binding.h"

/* So few steps are done before another thread has woken up: they keep the interpreter's lock. */
enum { FEW = 1024 };

/* How many streams the states hold, any number where there is none; -1 with an error. */
static Py_ssize_t streams_of(const Kernel *self, PyObject *states) {
    Py_buffer first;
    if (!self->states) return PY_SSIZE_T_MAX;
    if (!PyTuple_Check(states) || PyTuple_Size(states) < 1) {
        PyErr_SetString(PyExc_ValueError, "states: expected a tuple of arrays (N, ...)");
        return -1;
    }
    if (ernn_take(PyTuple_GetItem(states, 0), &first, self->state[0].format, -1, 0, "a state") < 0) return -1;
    const Py_ssize_t n = first.len / first.itemsize / (Py_ssize_t)self->state[0].width;
    PyBuffer_Release(&first);
    return n;
}

static ernn_status run_all(const Kernel *self, uint8_t *scratch, uint8_t **at, Py_ssize_t streams, const int64_t *rows,
                           const int64_t *where, const float *x, float *out) {
    const ernn_packed *m = self->model;
    for (Py_ssize_t n = 0; n < streams; x += rows[n] * m->inputs, out += rows[n] * m->outputs, n++) {
        const ernn_status status = self->isa->run(m, scratch, at, (size_t)where[n], (size_t)rows[n], x, out);
        if (status != ERNN_OK) return status;
    }
    return ERNN_OK;
}

PyObject *ernn_python_runs(PyObject *kernel, PyObject *args) {
    const Kernel *self = (const Kernel *)kernel;
    const ernn_packed *m = self->model;
    PyObject *x_o, *rows_o, *where_o, *states, *out_o, *result = NULL;
    Py_buffer arrays[4], views[ERNN_MODEL_STATES];
    uint8_t *at[ERNN_MODEL_STATES];
    unsigned held = 0;
    void *memory = NULL;
    if (!PyArg_ParseTuple(args, "OOOOO", &x_o, &rows_o, &where_o, &states, &out_o)) return NULL;
    const Py_ssize_t known = streams_of(self, states);
    if (known < 0 || ernn_take(rows_o, &arrays[0], 'q', -1, 0, "rows") < 0) return NULL;
    held = 1;
    const Py_ssize_t streams = arrays[0].len / arrays[0].itemsize;
    if (ernn_take(where_o, &arrays[1], 'q', streams, 0, "where") < 0) goto release;
    held = 2;
    if (ernn_take(x_o, &arrays[2], 'f', -1, 0, "x") < 0) goto release;
    held = 3;
    const Py_ssize_t items = arrays[2].len / arrays[2].itemsize, steps = items / m->inputs;
    if (ernn_take(out_o, &arrays[3], 'f', steps * m->outputs, 1, "out") < 0) goto release;
    held = 4;
    if (items % m->inputs) {
        PyErr_Format(PyExc_ValueError, "x: expected rows of %d", m->inputs);
        goto release;
    }
    if (!ernn_in_order(arrays[0].buf, arrays[1].buf, streams, steps, known)) goto release;
    if (ernn_take_states(self, states, known, views, at) < 0) goto release;
    uint8_t *scratch = ernn_aligned(m->scratch_bytes * self->isa->tile, &memory);
    if (scratch) {
        PyThreadState *paused = steps > FEW ? PyEval_SaveThread() : NULL;
        const ernn_status status =
            run_all(self, scratch, at, streams, arrays[0].buf, arrays[1].buf, arrays[2].buf, arrays[3].buf);
        if (paused) PyEval_RestoreThread(paused);
        PyMem_Free(memory);
        result = ernn_none_or_error(status);
    }
    ernn_release(views, self->states);
release:
    ernn_release(arrays, held);
    return result;
}
