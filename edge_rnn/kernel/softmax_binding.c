#include "softmax_binding.h"

#include "arrays_binding.h"

/* A view of e (R, C), or an error and -1. */
static int take_rows(PyObject *e, Py_buffer *view) {
    if (ernn_take(e, view, 'd', -1, 1, "softmax") < 0) return -1;
    if (view->ndim == 2) return 0;
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_ValueError, "softmax: expected e (R, C)");
    return -1;
}

PyObject *ernn_python_below_largest(PyObject *module, PyObject *e) {
    Py_buffer view;
    (void)module;
    if (take_rows(e, &view) < 0) return NULL;
    const Py_ssize_t C = view.shape[1];
    double *row = view.buf;
    for (Py_ssize_t r = 0; r < view.shape[0]; r++, row += C) {
        double largest = C ? row[0] : 0;
        for (Py_ssize_t c = 1; c < C; c++) /* one that is no number stays, as NumPy has it */
            if (row[c] > largest || row[c] != row[c]) largest = row[c];
        for (Py_ssize_t c = 0; c < C; c++) row[c] -= largest;
    }
    PyBuffer_Release(&view);
    return Py_NewRef(Py_None);
}

PyObject *ernn_python_shares(PyObject *module, PyObject *e) {
    Py_buffer view;
    (void)module;
    if (take_rows(e, &view) < 0) return NULL;
    const Py_ssize_t C = view.shape[1];
    double *row = view.buf;
    for (Py_ssize_t r = 0; r < view.shape[0]; r++, row += C) {
        double sum = C ? row[0] : 0;
        for (Py_ssize_t c = 1; c < C; c++) sum += row[c];
        for (Py_ssize_t c = 0; c < C; c++) row[c] /= sum;
    }
    PyBuffer_Release(&view);
    return Py_NewRef(Py_None);
}
