/* The detector's moving averages; edge_rnn/detect.py is the only caller, and the rounding is that of its line, one
 * operation after the other.
 */
#include "smooth_binding.h"

#include "arrays_binding.h"

PyObject *ernn_python_smooth(PyObject *module, PyObject *args) {
    PyObject *p_object, *last_object, *alpha_object, *result = NULL;
    Py_buffer p, last, alpha;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOO", &p_object, &last_object, &alpha_object)) return NULL;
    if (ernn_take(last_object, &last, 'd', -1, 1, "last") < 0) return NULL;
    const Py_ssize_t K = last.len / (Py_ssize_t)sizeof(double);
    if (ernn_take(alpha_object, &alpha, 'd', K, 0, "alpha") < 0) goto release_last;
    if (ernn_take(p_object, &p, 'd', -1, 1, "p") < 0) goto release_alpha;
    if (p.ndim != 2 || p.shape[1] != K) {
        PyErr_SetString(PyExc_ValueError, "p: expected one column for each average");
        goto release_p;
    }
    double *row = p.buf, *now = last.buf;
    const double *a = alpha.buf;
    for (Py_ssize_t t = 0; t < p.shape[0]; t++, row += K)
        for (Py_ssize_t k = 0; k < K; k++) {
            const double step = a[k] * (row[k] - now[k]);
            now[k] = row[k] = now[k] != now[k] ? row[k] : now[k] + step;
        }
    result = Py_NewRef(Py_None);
release_p:
    PyBuffer_Release(&p);
release_alpha:
    PyBuffer_Release(&alpha);
release_last:
    PyBuffer_Release(&last);
    return result;
}
