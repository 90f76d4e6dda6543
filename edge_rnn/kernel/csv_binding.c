/* csv.h for Python: edge_rnn._native.csv; edge_rnn/endpoints/lines.py is the only caller. */
#include "csv_binding.h"

#include <string.h>

#include "csv.h"

enum { LONGEST_NUMBER = 256 };

/* PyOS_string_to_double is what float() calls; it wants a terminated text. */
int ernn_number_as_python(const char *text, size_t length, double *value) {
    char copy[LONGEST_NUMBER];
    if (length >= sizeof copy) return 0;
    memcpy(copy, text, length);
    copy[length] = 0;
    *value = PyOS_string_to_double(copy, NULL, NULL);
    if (*value == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return 1;
}

PyObject *ernn_python_csv(PyObject *module, PyObject *args) {
    Py_buffer text = {0}, limit = {0}, out = {0};
    Py_ssize_t at, longest, row;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ny*nw*n", &text, &at, &limit, &longest, &out, &row)) return NULL;
    const Py_ssize_t columns = limit.len / (Py_ssize_t)sizeof(double);
    const Py_ssize_t rows = columns ? out.len / limit.len : 0;
    if (!columns || at < 0 || at > text.len || longest < 0 || row < 0 || row > rows) {
        PyErr_SetString(PyExc_ValueError, "csv: expected a limit a column, and places inside the text and the rows");
    } else {
        size_t read = 0;
        const size_t bytes = ernn_csv((const char *)text.buf + at, (size_t)(text.len - at), (size_t)columns,
                                      (size_t)longest, limit.buf, ernn_number_as_python, (double *)out.buf + row * columns,
                                      (size_t)(rows - row), &read);
        result = Py_BuildValue("nn", at + (Py_ssize_t)bytes, row + (Py_ssize_t)read);
    }
    PyBuffer_Release(&text);
    PyBuffer_Release(&limit);
    PyBuffer_Release(&out);
    return result;
}
