/* edge_rnn._native: the host kernel for Python, in CPython's limited API (one binary for 3.11 and later).
 *
 *   Kernel(precision, layers, edge, isa)    packed weights of one graph (kernel_binding.h)
 *   Stepper.step(sample)                    one stream's steps, from Kernel.bind (stepper_binding.h)
 *   plain(x, ...), averages(p, ...)         what streams side by side share (abreast_binding.h)
 *   csv(text, at, limit, longest, out, row) lines of numbers (csv_binding.h)
 *   frames(data, session, ...)              DATA frames of the wire (frames_binding.h)
 *   receive_frames(desks, x, seq, rows)     the same from many sockets at once (receive_binding.h)
 *   receive_csv(desks, x, seq, rows)        lines from many sockets at once
 *   below_largest(e), shares(e)             softmax without its exponential (softmax_binding.h)
 *   variants()                              names of the variants this machine can run
 *
 * Each of them checks what it is given; here the module is put together, and nothing else happens.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "abreast_binding.h"
#include "csv_binding.h"
#include "frames_binding.h"
#include "kernel_binding.h"
#include "receive_binding.h"
#include "softmax_binding.h"
#include "stepper_binding.h"

/* What edge_rnn/engines/native.py must agree on: raise it in both when a call of one changes for the other. */
#define BINDING 5

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

static PyMethodDef functions[] = {
    {"averages", ernn_python_averages, METH_VARARGS, "moving averages of many streams: see abreast_binding.h"},
    {"below_largest", ernn_python_below_largest, METH_O, "each row of e (R, C) float64 less its largest, in place"},
    {"csv", ernn_python_csv, METH_VARARGS, "csv(text, at, limit, longest, out, row): lines of numbers, to (at, row)"},
    {"frames", ernn_python_frames, METH_VARARGS, "frames(data, session, scale, last, offset, x, seq): see its header"},
#ifndef _WIN32
    {"receive_frames", ernn_python_receive_frames, METH_VARARGS, "receive_frames(desks, x, seq, rows): of many sockets"},
    {"receive_csv", ernn_python_receive_csv, METH_VARARGS, "receive_csv(desks, x, seq, rows): of many sockets"},
#endif
    {"plain", ernn_python_plain, METH_VARARGS, "which streams have simply the next samples: see abreast_binding.h"},
    {"shares", ernn_python_shares, METH_O, "each row of e (R, C) float64 divided by its sum, in place"},
    {"variants", variants, METH_NOARGS, "names of the variants this machine can run, fastest first"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edge_rnn._native", "The native engine's kernel.", -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && (PyModule_AddIntConstant(module, "BINDING", BINDING) < 0 || ernn_add_kernel(module) < 0 ||
                   ernn_add_stepper(module) < 0))
        Py_CLEAR(module);
    return module;
}
