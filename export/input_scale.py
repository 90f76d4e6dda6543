"""Which value one input code stands for: sx, one float32 a channel (docs/numeric.md, "Choosing sx").

One weight scale serves a whole row of the first matrix, so a channel whose folded weights are far larger starves the
others. sx_j = r_j * 2^e_j makes the columns alike; the e_j are those with the least logit error on calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_rnn.arrays import Array
from edge_rnn.engines.integer import quantize_input
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import Graph

from .calibration import F64, Calibration, run_integers, trace

MODES = ("auto", "range", "lsb")
KEEP_SAMPLES = ("window", "conv")
"""As the first layer these keep codes less the mean's."""
SMALLEST_E, LARGEST_E = -4, 6
SEARCH_STEPS = 256
"""The search restarts the state so often; it runs the stretches side by side."""
WORTH = 0.995
"""A move must bring the error to this share of what it was: a smaller gain is noise of the calibration."""


@dataclass(frozen=True)
class InputScale:
    """sx = r * 2^e of each channel, and the share of calibration samples beyond int16."""

    mode: str
    sx: Array
    r: tuple[float, ...]
    e: tuple[int, ...]
    saturated: tuple[float, ...]


def choose_input_scale(
    graph: Graph, calibration: Calibration, mode: str, build: Callable[[Array], Graph]
) -> InputScale:
    """`build` makes the int8 graph for given sx, or raises BundleError. Raises UsageError for an unknown mode."""
    if mode not in MODES:
        raise UsageError(f"input scale is {mode!r}, expected {', '.join(MODES)}")
    if mode == "lsb" and calibration.lsb is None:
        raise UsageError("input scale lsb needs data that are int16 codes times `scale`, these are not: use auto")
    reach = calibration.reach
    if graph.layers[0].kind in KEEP_SAMPLES:
        reach = reach + np.abs(graph.arrays["mean"])  # these keep codes less the mean's
    r = code_values(reach, None if mode == "range" else calibration.lsb)
    e = _search(graph, calibration, r, build) if mode == "auto" else np.zeros(graph.inputs, int)
    sx = _scaled(r, e)
    codes = quantize_input(calibration.samples, sx)
    saturated = ((codes == 32767) | (codes == -32768)).mean(axis=0)
    return InputScale(mode, sx, tuple(r.tolist()), tuple(e.tolist()), tuple(saturated.tolist()))


def code_values(max_abs: Sequence[float] | F64, lsb: Sequence[float] | None) -> F64:
    """r: the value of one code, the data's own where they are codes, else 1.25 * max |x| / 32767."""
    if lsb is not None:
        return np.array(lsb, np.float64)
    reach = np.array(max_abs, np.float64)
    return 1.25 * np.where(reach > 0, reach, 1.0) / 32767


def equal_columns(columns: F64) -> npt.NDArray[np.int64]:
    """The e_j, powers of two, that bring each column's size to the median one."""
    sizes = np.maximum(columns, 1e-30)
    e = np.clip(np.rint(np.log2(np.median(sizes) / sizes)), SMALLEST_E, LARGEST_E)
    exponents: npt.NDArray[np.int64] = e.astype(np.int64)
    return exponents


def _scaled(r: F64, e: Array) -> Array:
    return (r * 2.0**e).astype(np.float32)


def _search(graph: Graph, calibration: Calibration, r: F64, build: Callable[[Array], Graph]) -> Array:
    """Start from equal columns at several common sizes, then move one channel at a time while the error falls."""
    x, valid = calibration.blocks(SEARCH_STEPS)
    wanted = trace(graph, x).logits[valid]
    known: dict[tuple[int, ...], float] = {}

    def error(e: Array) -> float:
        key = tuple(e.tolist())
        if key not in known:
            try:
                activations, _ = run_integers(build(_scaled(r, e)), x)
            except BundleError:
                known[key] = np.inf
            else:
                known[key] = float(np.sqrt(np.mean((activations[-1][valid] / 65536 - wanted) ** 2)))
        return known[key]

    first = next(index for index, layer in enumerate(graph.layers) if layer.exact_matrices)
    a = graph.layer_arrays(first)
    weights = np.abs(a["w"] if "w" in a else a["w_ih"]).reshape(-1, graph.inputs).max(axis=0).astype(np.float64)
    starts = [np.zeros(graph.inputs, np.int64), equal_columns(r / graph.arrays["std"])]  # the latter is qat.py's
    equal = equal_columns(weights * r / graph.arrays["std"])
    starts += [np.clip(equal + shift, SMALLEST_E, LARGEST_E) for shift in range(-3, 4)]
    best = min(starts, key=error)
    moved = True
    while moved:
        moved = False
        for channel in range(graph.inputs):
            for direction in (1, -1):
                while SMALLEST_E <= best[channel] + direction <= LARGEST_E:
                    trial = best.copy()
                    trial[channel] += direction
                    if not error(trial) < WORTH * error(best):
                        break
                    best, moved = trial, True
    return best
