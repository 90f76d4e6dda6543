/* A network of RTNeural's compile-time layers (Eigen) as a Python module, called as lean as ours: a sample's address is
 * read from NumPy's struct, the logits are one array, made once. rtneural.py compiles it for each network with
 * -DRECURRENT=GRULayerT or LSTMLayerT, -DINPUTS, -DUNITS, -DDEPTH and -DOUTPUTS.
 *
 * Benchmark code: it trusts its one caller to hand over arrays of the right form.
 */
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

#include <RTNeural/RTNeural.h>

#include <algorithm>
#include <array>
#include <vector>

using First = RTNeural::RECURRENT<float, INPUTS, UNITS>;
using Next = RTNeural::RECURRENT<float, UNITS, UNITS>;
using Sample = Eigen::Matrix<float, INPUTS, 1>;
using Rows = std::vector<std::vector<float>>;

static First first;
static std::array<Next, DEPTH - 1> next;
static RTNeural::DenseT<float, UNITS, OUTPUTS> head;
static PyObject *logits;

static float *numbers(PyObject *array) {
    return static_cast<float *>(PyArray_DATA(reinterpret_cast<PyArrayObject *>(array)));
}

static Rows rows(PyObject *matrix) {
    auto *array = reinterpret_cast<PyArrayObject *>(matrix);
    Rows found;
    for (npy_intp i = 0; i < PyArray_DIM(array, 0); i++) {
        const float *row = numbers(matrix) + i * PyArray_DIM(array, 1);
        found.emplace_back(row, row + PyArray_DIM(array, 1));
    }
    return found;
}

template <typename Layer> static void fill(Layer &layer, PyObject *w, PyObject *u, PyObject *b) {
    layer.setWVals(rows(w));
    layer.setUVals(rows(u));
    if constexpr (requires { layer.setBVals(rows(b)); })
        layer.setBVals(rows(b)); /* GRU: of the inputs, of h */
    else
        layer.setBVals(rows(b)[0]);
    layer.reset();
}

/* load(layer, w (I, G x H), u (H, G x H), b (rows, G x H)), gates in Keras' order */
static PyObject *load(PyObject *, PyObject *arguments) {
    int layer;
    PyObject *w, *u, *b;
    if (!PyArg_ParseTuple(arguments, "iOOO", &layer, &w, &u, &b)) return nullptr;
    if (layer == 0)
        fill(first, w, u, b);
    else
        fill(next.at(layer - 1), w, u, b);
    Py_RETURN_NONE;
}

/* finish(w (C, H), b (C,), y (C,)): the head, and the array that `step` returns */
static PyObject *finish(PyObject *, PyObject *arguments) {
    PyObject *w, *b, *y;
    if (!PyArg_ParseTuple(arguments, "OOO", &w, &b, &y)) return nullptr;
    head.setWeights(rows(w));
    head.setBias(numbers(b));
    logits = Py_NewRef(y);
    Py_RETURN_NONE;
}

/* step(x (I,)) -> y, always the same array */
static PyObject *step(PyObject *, PyObject *x) {
    first.forward(Sample(numbers(x)));
    if constexpr (DEPTH == 1) {
        head.forward(first.outs);
    } else {
        next[0].forward(first.outs);
        for (int l = 1; l < DEPTH - 1; l++) next[l].forward(next[l - 1].outs);
        head.forward(next[DEPTH - 2].outs);
    }
    std::copy_n(head.outs.data(), OUTPUTS, numbers(logits));
    return Py_NewRef(logits);
}

static PyMethodDef methods[] = {{"load", load, METH_VARARGS, nullptr},
                                {"finish", finish, METH_VARARGS, nullptr},
                                {"step", step, METH_O, nullptr},
                                {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "rtneural_network", nullptr, -1, methods};

PyMODINIT_FUNC PyInit_rtneural_network() { return PyModule_Create(&module); }
