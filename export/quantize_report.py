"""What quantization did, layer by layer: ranges, saturation, size, and the units int8 cannot follow for long.

Numbers for people and for report.json; nothing here changes a graph.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.graph import Graph

from .calibration import Calibration, Trace, run_integers, trace
from .input_scale import InputScale

SLOW_FORGET_GATE = 1 - 2.0**-14
"""An LSTM unit that forgets less than this a step drifts in Q20 by up to tau * 2^-21 (docs/numeric.md)."""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer. Shares are of calibration values; `slow_units` and `cell_saturations` are an LSTM's."""

    name: str
    bits: int
    exponent: int | None
    largest_weight: float
    largest_activation: float
    saturated: float
    float_bytes: int
    int8_bytes: int
    slow_units: tuple[int, ...]
    cell_saturations: int


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """The whole network; `rmse` of the logits and `agreement` of their argmax are against float64 on calibration."""

    input_scale: str
    sx: tuple[float, ...]
    e: tuple[int, ...]
    input_saturated: tuple[float, ...]
    layers: tuple[LayerReport, ...]
    samples: int
    rmse: float
    largest_logit: float
    agreement: float
    float_bytes: int
    int8_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same in words, a line a fact; what needs attention starts with `warning:`."""
        worst = max(self.input_saturated)
        told = [f"input: scale {self.input_scale}, e = {list(self.e)}, {worst:.3%} of the worst channel saturated"]
        told += [
            f"{layer.name}: int{layer.bits}, |w| <= {layer.largest_weight:.4g}, "
            f"|activation| <= {layer.largest_activation:.4g}"
            + ("" if layer.exponent is None else f" in Q{16 - layer.exponent}")
            + f", saturated {layer.saturated:.3%}, {layer.float_bytes} -> {layer.int8_bytes} bytes"
            for layer in self.layers
        ]
        told.append(
            f"logits: rmse {self.rmse:.4g} of {self.largest_logit:.4g}, argmax agrees on {self.agreement:.2%} "
            f"of {self.samples} samples; {self.float_bytes} -> {self.int8_bytes} bytes"
        )
        return told + self.warnings()

    def warnings(self) -> list[str]:
        """Facts a person should act on."""
        found = []
        for layer in self.layers:
            if layer.slow_units:
                units = ", ".join(map(str, layer.slow_units))
                found.append(
                    f"warning: {layer.name}: the forget gate of unit {units} stays above 1 - 2^-14: "
                    "memories beyond 10^4 samples lose accuracy (docs/numeric.md)"
                )
            if layer.cell_saturations:
                found.append(
                    f"warning: {layer.name}: the cell saturated at +-2048 {layer.cell_saturations} times on calibration"
                )
        return found


def measure(graph: Graph, result: Graph, calibration: Calibration, scale: InputScale) -> QuantizeReport:
    """Run both graphs over whole stretches of the calibration samples and compare."""
    x, valid = calibration.blocks(len(calibration.samples))
    reference = trace(graph, x)
    integers, states = run_integers(result, x)
    layers = tuple(
        _layer(index, graph, result, reference, integers, states, valid) for index in range(len(graph.layers))
    )
    wanted, got = reference.logits[valid], integers[-1][valid] / 65536
    return QuantizeReport(
        input_scale=scale.mode,
        sx=tuple(float(v) for v in scale.sx),
        e=scale.e,
        input_saturated=scale.saturated,
        layers=layers,
        samples=len(wanted),
        rmse=float(np.sqrt(np.mean((got - wanted) ** 2))),
        largest_logit=float(np.abs(wanted).max()),
        agreement=float((got.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
        float_bytes=_bytes(graph.arrays),
        int8_bytes=_bytes(result.stored_arrays()),
    )


def _layer(
    index: int,
    graph: Graph,
    result: Graph,
    reference: Trace,
    integers: list[Array],
    states: dict[str, Array],
    valid: Array,
) -> LayerReport:
    layer, prefix = result.layers[index], f"l{index}."
    weights = [a for name, a in graph.layer_arrays(index).items() if name.startswith("w")]
    head = index == len(graph.layers) - 1
    values = integers[index][valid]
    forget = reference.forget[index]
    slow = () if forget is None else np.flatnonzero(forget[valid].min(axis=0) > SLOW_FORGET_GATE)
    cell = states[f"c{index}"][valid] if forget is not None else np.zeros(0, np.int32)
    stored = {name: a for name, a in result.stored_arrays().items() if name.startswith(prefix)}
    return LayerReport(
        name=f"layer {index} ({layer.kind})",
        bits=layer.bits or 8,
        exponent=layer.exponent,
        largest_weight=max((float(np.abs(w).max()) for w in weights), default=0.0),
        largest_activation=float(np.abs(reference.activations[index][valid]).max()),
        saturated=0.0 if head else float(((values == 32767) | (values == -32768)).mean()),
        float_bytes=_bytes(graph.layer_arrays(index)),
        int8_bytes=_bytes(stored),
        slow_units=tuple(int(unit) for unit in slow),
        cell_saturations=int(((cell == 2**31 - 1) | (cell == -(2**31))).sum()),
    )


def _bytes(arrays: dict[str, Array]) -> int:
    return sum(a.nbytes for a in arrays.values())
