#include "softmax_binding.h"

#include "arrays_binding.h"

static void below_largest(double *row, Py_ssize_t classes) {
    double largest = row[0];
    for (Py_ssize_t c = 1; c < classes; c++) /* one that is no number stays, as NumPy has it */
        if (row[c] > largest || row[c] != row[c]) largest = row[c];
    for (Py_ssize_t c = 0; c < classes; c++) row[c] -= largest;
}

static void shares(double *row, Py_ssize_t classes) {
    double sum = row[0];
    for (Py_ssize_t c = 1; c < classes; c++) sum += row[c];
    for (Py_ssize_t c = 0; c < classes; c++) row[c] /= sum;
}

/* Change each row of e (R, C). */
static PyObject *each_row(PyObject *e, void (*change)(double *row, Py_ssize_t classes)) {
    Py_buffer view;
    if (ernn_take(e, &view, 'd', -1, 1, "softmax") < 0) return NULL;
    const int fits = view.ndim == 2 && view.shape[1] > 0;
    double *row = view.buf;
    for (Py_ssize_t r = 0; fits && r < view.shape[0]; r++, row += view.shape[1]) change(row, view.shape[1]);
    PyBuffer_Release(&view);
    if (fits) return Py_NewRef(Py_None);
    PyErr_SetString(PyExc_ValueError, "softmax: expected e (R, C) of one class and more");
    return NULL;
}

PyObject *ernn_python_below_largest(PyObject *module, PyObject *e) {
    (void)module;
    return each_row(e, below_largest);
}

PyObject *ernn_python_shares(PyObject *module, PyObject *e) {
    (void)module;
    return each_row(e, shares);
}
