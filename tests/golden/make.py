"""Make the golden vectors of the parts that this project defined: all but GRU, LSTM and RNN in int8 (README.md).

python tests/golden/make.py     writes the files of MODELS, the same bytes each time

The integers come from tests/plain_integers.py, which shares no code with the engines or the exporter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from int8_models import float_graph, read_golden  # noqa: E402
from plain_integers import Model, quantize  # noqa: E402

from edge_rnn.arrays import pack_arrays  # noqa: E402

MODELS = {
    "RELU_RNN": (["relu", "relu"], 4, 12, 8, [2, 1]),
    "DENSE": (["dense", "linear", "gru", "dense"], 5, 9, 8, [3, 2, None, 1]),
    "INT4": (["lstm", "gru"], 5, 7, 4, [None, None]),
    "FASTGRNN": (["fastgrnn", "fastgrnn"], 5, 11, 8, [1, 3]),
    "WINDOW": (["window", "dense", "window", "dense"], 3, 23, 8, [None, 3, None, 2]),
    "CONV": (["conv", "conv", "conv_linear"], 5, 9, 8, [3, 2, 1]),
    "MIXED": (["conv", "fastgrnn", "window", "gru"], 4, 14, 4, [2, 2, None, None]),
    "STATISTICS": (["statistics", "dense", "statistics"], 3, 21, 8, [None, None, 3, None, None]),
}
"""Name -> hidden layers, inputs, units, bits, exponents."""
STEPS = 600
CODES = [2.0**-13 * (1 + n % 7 / 4) for n in range(5 * 21)]
"""Values of one code of a statistics layer's outputs, unlike each other."""


def make(name: str, seed: int) -> bytes:
    kinds, inputs, units, bits, exponents = MODELS[name]
    rng = np.random.default_rng(seed)
    graph = float_graph(rng, kinds, inputs, 3, units)
    x = np.cumsum(rng.normal(0, 0.3, (STEPS, inputs)), axis=0)
    x = (x - x.mean(axis=0)) / x.std(axis=0) * graph.arrays["std"] + graph.arrays["mean"]
    x[STEPS // 2 : 3 * STEPS // 4] *= 100
    x[3 * STEPS // 4 :] = rng.choice([-1e6, 1e6, 0.01], (STEPS - 3 * STEPS // 4, inputs))
    x = x.astype(np.float32)
    sx = (1.25 * np.abs(x[: STEPS // 2]).max(axis=0).astype(np.float64) / 32767).astype(np.float32)
    floats = {key: array.astype(np.float64).tolist() for key, array in graph.arrays.items()}
    codes = {i: CODES[: layer.units] for i, layer in enumerate(graph.layers) if layer.kind == "statistics"}
    weights = quantize(graph.layers, floats, sx.astype(np.float64).tolist(), [*exponents, None], bits, codes)
    layers = [
        layer.to_json()
        | ({} if e is None else {"exponent": e})
        | ({} if bits == 8 or not layer.exact_matrices else {"bits": bits})
        for layer, e in zip(graph.layers, [*exponents, None], strict=True)
    ]
    model = Model([type("Layer", (), {"exponent": None, **layer}) for layer in layers], weights, table())
    xq = [[code(v, s) for v, s in zip(sample, sx, strict=True)] for sample in x]
    y_q, states = [], {f"state.{key}": [] for key in model.state}
    for t, sample in enumerate(xq):
        y_q.append(model.step(sample))
        if (t + 1) % 50 == 0:
            for key, value in model.state.items():
                states[f"state.{key}"].append(list(value))
    arrays = {f"float.{key}": array for key, array in graph.arrays.items()}
    arrays |= {f"codes.{index}": np.array(values) for index, values in codes.items()}
    for key, value in weights.items():
        narrow = key.endswith("w") and key.split(".")[1] in ("w", "ih_w", "hh_w")
        dtype = np.int8 if narrow else np.int16 if key == "l0.o" else np.int32
        arrays[key] = nibbles(value) if narrow and bits == 4 else np.array(value, dtype)
    for key, rows in states.items():
        arrays[key] = np.array(rows, np.int16 if key.startswith(("state.h", "state.buf")) else np.int32)
    arrays |= {"sx": sx, "x": x, "xq": np.array(xq, np.int16), "y_q": np.array(y_q, np.int32)}
    arrays["layers"] = np.frombuffer(json.dumps(layers, sort_keys=True).encode(), np.uint8)
    return pack_arrays(arrays)


def code(x: np.float32, sx: np.float32) -> int:
    return max(-32768, min(32767, round(float(np.float32(x / sx)))))


def nibbles(rows: list[list[int]]) -> np.ndarray:
    packed = []
    for row in rows:
        even = [*row, 0] if len(row) % 2 else row
        packed.append([(low & 15) | (high & 15) << 4 for low, high in zip(even[::2], even[1::2], strict=True)])
    return np.array(packed, np.uint8)


def table() -> list[int]:
    return read_golden("GRU")["lut"].tolist()


if __name__ == "__main__":
    for seed, name in enumerate(MODELS):
        (HERE / f"{name}.npz").write_bytes(make(name, seed))
