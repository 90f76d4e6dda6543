#ifndef ERNN_ABREAST_BINDING_H
#define ERNN_ABREAST_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Streams side by side: M of N take R samples, `rows` (M,) int64 > 0 each, one stream's after the other's; `where` (M,)
 * int64 says which of the N each is.
 *
 * plain(x, rows, where, inside, seq, counts, limits, last, run, upto, well): which of them are simply the next good
 * samples, `well` (M,) bool; gives how many. x (R, I) float32; inside (N,) bool; seq (R,) int64 or None; limits: floor,
 * ceiling (I,) float32, low, high (I,) float64, longest, stuck (I,) int64 (edge_rnn/faults.py). counts (4, N) int64
 * (COUNTS of edge_rnn/abreast.py), last (N, I) float32 and run (N, I) int64 move on, for those alone; upto (M,) int64
 * gets their new slots.
 *
 * averages(p, labels, alpha, memory, rows, where, upto, averages, quiet): the detector's moving averages and what needs
 * a look (edge_rnn/detect.py). p (R, C) float64, labels (K,) int64, alpha (K,) float64, memory (5, N, K) float64, upto
 * (M,) int64; out go averages (R, K) float64 and quiet (M, K) bool.
 */
PyObject *ernn_python_plain(PyObject *module, PyObject *args);
PyObject *ernn_python_averages(PyObject *module, PyObject *args);

#endif
