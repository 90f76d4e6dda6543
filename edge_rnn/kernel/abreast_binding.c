/* What edge_rnn/faults.py and edge_rnn/detect.py do in NumPy, for many streams at once and to the same bits: a round of
 * few samples costs what its calls cost, and here it is two.
 */
#include "abreast_binding.h"

#include <math.h>

#include "arrays_binding.h"

enum { AVERAGE, PEAK, FLOOR, CEILING, SILENT, FIELDS }; /* as detect.py has them */
enum { SLOT, AHEAD, DUE, NUMBERED, COUNTS }; /* as abreast.py has them */
enum { MOST = 12 };

/* Views that are released together. */
typedef struct {
    Py_buffer view[MOST];
    unsigned held;
} views;

static void *borrow(views *v, PyObject *object, char format, Py_ssize_t count, int writable, const char *what) {
    if (ernn_take(object, &v->view[v->held], format, count, writable, what) < 0) return NULL;
    void *at = v->view[v->held++].buf;
    return at ? at : v; /* empty arrays may have no address: it is not followed */
}

static Py_ssize_t items(const views *v) { return v->view[v->held - 1].len / v->view[v->held - 1].itemsize; }

typedef struct {
    const float *floor, *ceiling;
    const double *low, *high;
    const int64_t *longest, *stuck;
} limits;

/* One channel of one stream, `last` for `same` samples so far: whether its values are measurements. */
static int calm(const float *x, Py_ssize_t rows, Py_ssize_t stride, const limits *l, Py_ssize_t c, float last, int64_t same) {
    for (Py_ssize_t t = 0; t < rows; t++, x += stride) {
        same = *x == last ? same + 1 : 1;
        last = *x;
        if (!(last >= l->floor[c] && last <= l->ceiling[c]) || same > l->stuck[c]) return 0;
        if (same > l->longest[c] && (last < l->low[c] || last > l->high[c])) return 0;
    }
    return 1;
}

/* For how many samples the last of x has been the same. */
static int64_t same_for(const float *x, Py_ssize_t rows, Py_ssize_t stride, float last, int64_t same) {
    Py_ssize_t t = rows - 1;
    while (t > 0 && x[t * stride] == x[(t - 1) * stride]) t--;
    return rows - t + (t == 0 && x[0] == last ? same : 0);
}

static int consecutive(const int64_t *seq, int64_t rows, int64_t due) {
    if (due < 0) return 0;
    for (int64_t t = 0; t < rows; t++)
        if (seq[t] != due + t) return 0;
    return 1;
}

static int one_plain(const float *x, Py_ssize_t rows, const limits *l, Py_ssize_t I, float *last, int64_t *run) {
    for (Py_ssize_t c = 0; c < I; c++)
        if (!calm(x + c, rows, I, l, c, last[c], run[c])) return 0;
    for (Py_ssize_t c = 0; c < I; c++) {
        run[c] = same_for(x + c, rows, I, last[c], run[c]);
        last[c] = x[(rows - 1) * I + c];
    }
    return 1;
}

PyObject *ernn_python_plain(PyObject *module, PyObject *args) {
    PyObject *x_o, *rows_o, *where_o, *inside_o, *seq_o, *counts_o, *limit_o[6], *last_o, *run_o, *upto_o, *well_o;
    PyObject *result = NULL;
    views v = {.held = 0};
    limits l;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOOO(OOOOOO)OOOO", &x_o, &rows_o, &where_o, &inside_o, &seq_o, &counts_o, limit_o,
                          limit_o + 1, limit_o + 2, limit_o + 3, limit_o + 4, limit_o + 5, &last_o, &run_o, &upto_o, &well_o))
        return NULL;
    if (!(l.floor = borrow(&v, limit_o[0], 'f', -1, 0, "floor"))) goto done;
    const Py_ssize_t I = items(&v);
    if (!(l.ceiling = borrow(&v, limit_o[1], 'f', I, 0, "ceiling")) || !(l.low = borrow(&v, limit_o[2], 'd', I, 0, "low")) ||
        !(l.high = borrow(&v, limit_o[3], 'd', I, 0, "high")) || !(l.longest = borrow(&v, limit_o[4], 'q', I, 0, "longest")) ||
        !(l.stuck = borrow(&v, limit_o[5], 'q', I, 0, "stuck")))
        goto done;
    ernn_release(v.view, v.held); /* the watch keeps them */
    v.held = 0;
    const uint8_t *inside = borrow(&v, inside_o, '?', -1, 0, "inside");
    const Py_ssize_t N = inside ? items(&v) : 0;
    const int64_t *rows = inside ? borrow(&v, rows_o, 'q', -1, 0, "rows") : NULL;
    const Py_ssize_t M = rows ? items(&v) : 0;
    const float *x = rows ? borrow(&v, x_o, 'f', -1, 0, "x") : NULL;
    if (!x) goto done;
    const Py_ssize_t R = I ? items(&v) / I : 0;
    if (!I || R * I != items(&v)) {
        PyErr_SetString(PyExc_ValueError, "plain: expected x (R, I)");
        goto done;
    }
    const int64_t *where = borrow(&v, where_o, 'q', M, 0, "where");
    int64_t *counts = where ? borrow(&v, counts_o, 'q', COUNTS * N, 1, "counts") : NULL;
    float *last = counts ? borrow(&v, last_o, 'f', N * I, 1, "last") : NULL;
    int64_t *run = last ? borrow(&v, run_o, 'q', N * I, 1, "run") : NULL;
    int64_t *upto = run ? borrow(&v, upto_o, 'q', M, 1, "upto") : NULL;
    uint8_t *well = upto ? borrow(&v, well_o, '?', M, 1, "well") : NULL;
    const int64_t *seq = NULL;
    if (!well || (seq_o != Py_None && !(seq = borrow(&v, seq_o, 'q', R, 0, "seq")))) goto done;
    if (!ernn_in_order(rows, where, M, R, N)) goto done;
    Py_ssize_t found = 0;
    for (Py_ssize_t m = 0, at = 0; m < M; at += (Py_ssize_t)rows[m++]) {
        const int64_t n = where[m];
        well[m] = inside[n] && (!seq || consecutive(seq + at, rows[m], counts[DUE * N + n])) &&
                  one_plain(x + at * I, (Py_ssize_t)rows[m], &l, I, last + n * I, run + n * I);
        if (!well[m]) continue;
        found++;
        for (int field = SLOT; field < (seq ? COUNTS : DUE); field++) counts[field * N + n] += rows[m];
        upto[m] = counts[SLOT * N + n];
    }
    result = PyLong_FromSsize_t(found);
done:
    ernn_release(v.view, v.held);
    return result;
}

/* One class of one stream: the rounding is that of edge_rnn/detect.py's line, one operation after the other. */
static int smooth(const double *p, Py_ssize_t classes, double *to, Py_ssize_t K, Py_ssize_t rows, double alpha, double *memory,
                  Py_ssize_t field, int64_t upto) {
    double now = memory[AVERAGE * field], lowest = INFINITY, highest = -INFINITY;
    int known = 1;
    for (Py_ssize_t t = 0; t < rows; t++, p += classes, to += K) {
        const double step = alpha * (*p - now);
        *to = now = now != now ? *p : now + step;
        lowest = now < lowest ? now : lowest;
        highest = now > highest ? now : highest;
        known &= now == now;
    }
    memory[AVERAGE * field] = now;
    const double floor = memory[FLOOR * field];
    const int quiet = known && lowest >= floor && highest < memory[CEILING * field];
    if (quiet && floor > -INFINITY && highest > memory[PEAK * field]) memory[PEAK * field] = highest;
    return quiet || (double)upto <= memory[SILENT * field];
}

PyObject *ernn_python_averages(PyObject *module, PyObject *args) {
    PyObject *p_o, *labels_o, *alpha_o, *memory_o, *rows_o, *where_o, *upto_o, *out_o, *quiet_o, *result = NULL;
    views v = {.held = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOOOOOO", &p_o, &labels_o, &alpha_o, &memory_o, &rows_o, &where_o, &upto_o, &out_o, &quiet_o))
        return NULL;
    const int64_t *labels = borrow(&v, labels_o, 'q', -1, 0, "labels");
    const Py_ssize_t K = labels ? items(&v) : 0;
    const double *alpha = labels ? borrow(&v, alpha_o, 'd', K, 0, "alpha") : NULL;
    const int64_t *rows = alpha ? borrow(&v, rows_o, 'q', -1, 0, "rows") : NULL;
    const Py_ssize_t M = rows ? items(&v) : 0;
    const int64_t *where = rows ? borrow(&v, where_o, 'q', M, 0, "where") : NULL;
    const int64_t *upto = where ? borrow(&v, upto_o, 'q', M, 0, "upto") : NULL;
    double *memory = upto ? borrow(&v, memory_o, 'd', -1, 1, "memory") : NULL;
    const Py_ssize_t field = memory ? items(&v) / FIELDS : 0, N = K ? field / K : 0;
    const double *p = memory ? borrow(&v, p_o, 'd', -1, 0, "p") : NULL;
    if (!p) goto done;
    const Py_buffer *view = &v.view[v.held - 1];
    if (!K || view->ndim != 2 || N * K * FIELDS * (Py_ssize_t)sizeof(double) != v.view[v.held - 2].len) {
        PyErr_SetString(PyExc_ValueError, "averages: expected p (R, C), K labels, memory (5, N, K)");
        goto done;
    }
    const Py_ssize_t R = view->shape[0], C = view->shape[1];
    for (Py_ssize_t k = 0; k < K; k++)
        if (labels[k] < 0 || labels[k] >= C) {
            PyErr_SetString(PyExc_ValueError, "averages: a label is no column of p");
            goto done;
        }
    double *out = borrow(&v, out_o, 'd', R * K, 1, "averages");
    uint8_t *quiet = out ? borrow(&v, quiet_o, '?', M * K, 1, "quiet") : NULL;
    if (!quiet || !ernn_in_order(rows, where, M, R, N)) goto done;
    for (Py_ssize_t m = 0; m < M; p += rows[m] * C, out += rows[m] * K, m++)
        for (Py_ssize_t k = 0; k < K; k++)
            quiet[m * K + k] = (uint8_t)smooth(p + labels[k], C, out + k, K, (Py_ssize_t)rows[m], alpha[k],
                                               memory + where[m] * K + k, field, upto[m]);
    result = Py_NewRef(Py_None);
done:
    ernn_release(v.view, v.held);
    return result;
}
