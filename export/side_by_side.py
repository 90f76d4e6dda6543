"""A model's float32 and int8 forms beside each other: bytes, how often they answer alike, time of a step.

For people at export; nothing is written here. Accuracy needs labelled recordings: see tools/accuracy_int8.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_rnn.bench import interleave
from edge_rnn.bundle import Bundle, parse_bundle
from edge_rnn.engine import State, Step, open_engine
from edge_rnn.graph import Graph

from .bundle_writer import Facts, build_bundle
from .calibration import Calibration

ROUNDS = 10


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Of each form: the bundle's bytes, the weights' bytes, and the median step in microseconds on the engine named.

    `agreement` is the share of calibration samples with the same argmax.
    """

    engine: str
    bundle_bytes: dict[str, int]
    weight_bytes: dict[str, int]
    step_p50_us: dict[str, float]
    agreement: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """A small table."""
        told = [f"{'':<22}{'float32':>12}{'int8':>12}"]
        rows = {
            "bundle, bytes": {name: f"{n:,}" for name, n in self.bundle_bytes.items()},
            "weights, bytes": {name: f"{n:,}" for name, n in self.weight_bytes.items()},
            f"step, us ({self.engine})": {name: f"{us:.2f}" for name, us in self.step_p50_us.items()},
            "same answer": {"float32": "", "int8": f"{self.agreement:.2%}"},
        }
        return told + [f"{title:<22}{row['float32']:>12}{row['int8']:>12}" for title, row in rows.items()]


def side_by_side(
    graph: Graph, facts: Facts, int8: Bundle, int8_bytes: int, calibration: Calibration, agreement: float
) -> SideBySide:
    """`graph` is the float32 network that `int8` was made of. Both run on the fastest engine here, interleaved."""
    blob = build_bundle(graph, facts)
    bundles = {"float32": parse_bundle(blob), "int8": int8}
    engines = {name: open_engine(bundle) for name, bundle in bundles.items()}
    steps: dict[str, Step] = {name: engine.bind(State(bundles[name].graph.states)) for name, engine in engines.items()}
    times = interleave(steps, calibration.samples, ROUNDS)
    return SideBySide(
        engine=engines["int8"].name,
        bundle_bytes={"float32": len(blob), "int8": int8_bytes},
        weight_bytes={
            name: sum(a.nbytes for a in bundle.graph.stored_arrays().values()) for name, bundle in bundles.items()
        },
        step_p50_us={name: figures["p50_us"] for name, figures in times.items()},
        agreement=agreement,
    )
