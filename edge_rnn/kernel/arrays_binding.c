#include "arrays_binding.h"

#include "simd/host.h"

static size_t item_size(char format) {
    switch (format) {
        case 'b': case '?': return 1;
        case 'h': return 2;
        case 'd': case 'q': return 8;
        default: return 4;
    }
}

int ernn_is_format(const Py_buffer *view, char format) {
    const char *f = view->format;
    if (!f || (size_t)view->itemsize != item_size(format)) return 0;
    if (*f == '@' || *f == '=' || (*f == '<' && PY_LITTLE_ENDIAN)) f++;
    return f[1] == 0 && (*f == format || ((format == 'i' || format == 'q') && *f == 'l'));
}

int ernn_take(PyObject *object, Py_buffer *view, char format, Py_ssize_t count, int writable, const char *what) {
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) < 0) return -1;
    if (ernn_is_format(view, format) && (count < 0 || view->len == count * view->itemsize)) return 0;
    PyErr_Format(PyExc_ValueError, "%s: expected %zd items of format '%c', got %zd bytes of '%s'", what, count, format,
                 view->len, view->format ? view->format : "?");
    PyBuffer_Release(view);
    return -1;
}

int ernn_in_order(const int64_t *rows, const int64_t *where, Py_ssize_t M, Py_ssize_t R, Py_ssize_t N) {
    Py_ssize_t sum = 0;
    for (Py_ssize_t m = 0; m < M; m++) {
        if (rows[m] <= 0 || rows[m] > R - sum || where[m] < 0 || where[m] >= N) {
            PyErr_SetString(PyExc_ValueError, "rows or streams are out of range");
            return 0;
        }
        sum += (Py_ssize_t)rows[m];
    }
    if (sum != R) PyErr_SetString(PyExc_ValueError, "rows do not add up to the samples");
    return sum == R;
}

void ernn_release(Py_buffer *views, unsigned n) {
    while (n) PyBuffer_Release(&views[--n]);
}

void *ernn_aligned(size_t bytes, void **memory) {
    *memory = PyMem_Malloc(bytes + ERNN_ALIGN);
    if (!*memory) return PyErr_NoMemory();
    const size_t off = (size_t)((uintptr_t)*memory % ERNN_ALIGN);
    return (uint8_t *)*memory + (ERNN_ALIGN - off);
}
