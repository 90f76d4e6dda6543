/* The detector's moving averages for Python: edge_rnn._native.averages; edge_rnn/detect.py is the only caller. */
#include "averages_binding.h"

/* Whether the places where streams end go up to `rows`, in order. */
static int in_order(const int64_t *stops, Py_ssize_t streams, Py_ssize_t rows) {
    int64_t before = 0;
    for (Py_ssize_t n = 0; n < streams; before = stops[n++])
        if (stops[n] < before) return 0;
    return before == rows;
}

/* The rounding is that of edge_rnn/detect.py's line, one operation after the other. */
static double *smooth(double *row, const double *stop, double *now, const double *alpha, Py_ssize_t columns) {
    for (; row < stop; row += columns)
        for (Py_ssize_t k = 0; k < columns; k++) {
            const double step = alpha[k] * (row[k] - now[k]);
            now[k] = row[k] = now[k] != now[k] ? row[k] : now[k] + step;
        }
    return row;
}

PyObject *ernn_python_averages(PyObject *module, PyObject *args) {
    Py_buffer p = {0}, last = {0}, alpha = {0}, stops = {0};
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*w*y*y*", &p, &last, &alpha, &stops)) return NULL;
    const Py_ssize_t width = alpha.len, columns = width / (Py_ssize_t)sizeof(double);
    const Py_ssize_t rows = columns ? p.len / width : 0, streams = columns ? last.len / width : 0;
    if (!columns || width % (Py_ssize_t)sizeof(double) || p.len != rows * width || last.len != streams * width ||
        stops.len != streams * (Py_ssize_t)sizeof(int64_t) || !in_order(stops.buf, streams, rows)) {
        PyErr_SetString(PyExc_ValueError, "averages: expected p (R, K), last (M, K), alpha (K,), stops (M,) up to R");
    } else {
        double *row = p.buf, *now = last.buf;
        const int64_t *stop = stops.buf;
        for (Py_ssize_t n = 0; n < streams; n++, now += columns)
            row = smooth(row, (double *)p.buf + stop[n] * columns, now, alpha.buf, columns);
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&p);
    PyBuffer_Release(&last);
    PyBuffer_Release(&alpha);
    PyBuffer_Release(&stops);
    return result;
}
