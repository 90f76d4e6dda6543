/* Arrays from Python, by the buffer protocol, and aligned memory: what every part of the binding takes its arguments with. */
#ifndef ERNN_ARRAYS_BINDING_H
#define ERNN_ARRAYS_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Is an item of the view a '?' bool, 'b' int8, 'h' int16, 'i' int32, 'q' int64, 'f' float or 'd' double in this machine's
 * order?
 */
int ernn_is_format(const Py_buffer *view, char format);

/* A C-contiguous buffer of `count` items (< 0: any number), or an error that begins with `what` and -1. */
int ernn_take(PyObject *object, Py_buffer *view, char format, Py_ssize_t count, int writable, const char *what);

/* Whether each of M streams has `rows` > 0, together R, and is one of N by `where`; else 0 with an error. */
int ernn_in_order(const int64_t *rows, const int64_t *where, Py_ssize_t M, Py_ssize_t R, Py_ssize_t N);

/* Give back the first n views. */
void ernn_release(Py_buffer *views, unsigned n);

/* `bytes` at an address of ERNN_ALIGN; *memory is what PyMem_Free wants. NULL with an error when there is none. */
void *ernn_aligned(size_t bytes, void **memory);

#endif
