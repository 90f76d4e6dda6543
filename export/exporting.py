"""`export_bundle`: a checkpoint, a network of yours, or a graph -> a proven bundle. The order of work, nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_rnn.atomic import write_atomically
from edge_rnn.bundle import Bundle
from edge_rnn.errors import UsageError
from edge_rnn.graph import as_precision
from edge_rnn.manifest import Channel
from edge_rnn.parity import STEPS, Progress, Report

from .bundle_writer import write_bundle
from .source import Source, from_checkpoint, from_module
from .verify import argmax_agreement

if TYPE_CHECKING:
    from .quantize_report import QuantizeReport
    from .side_by_side import SideBySide

AGREEMENT_SAMPLES = 4096


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export left: the bundle, how the engines agreed, and for int8 what quantization did."""

    path: Path
    bundle: Bundle
    report: Report
    quantized: QuantizeReport | None = None
    torch_agreement: float | None = None
    """int8: share of calibration samples with the same argmax as torch float32."""
    beside: SideBySide | None = None
    """int8: the float32 form of the same network beside it."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `edge-rnn export --json` prints them."""
        value = {
            "bundle": str(self.path),
            "bytes": self.path.stat().st_size,
            "precision": self.bundle.manifest.precision,
            "model_digest": self.bundle.manifest.model_digest,
            "bundle_digest": self.bundle.digest,
            "verify": self.report.to_json(),
        }
        if self.quantized is not None:
            value |= {"quantize": self.quantized.to_json(), "torch_argmax_agreement": self.torch_agreement}
        if self.beside is not None:
            value["side_by_side"] = self.beside.to_json()
        return value


def export_bundle(
    model: Any,
    path: str | Path,
    *,
    precision: str = "float32",
    channels: Sequence[str | Mapping[str, Any] | Channel] | None = None,
    labels: Sequence[str] | None = None,
    rate_hz: float | None = None,
    sample: Any = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    background: str | None = None,
    task: str = "classify",
    window: int | None = None,
    name: str | None = None,
    version: str = "1.0.0",
    bits: int | None = None,
    input_scale: str = "auto",
    steps: int = STEPS,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle, proven on every engine here, and tell how they agreed.

    `model` is a checkpoint (or its path) of `train`, which knows everything else, or your own torch module: nn.GRU,
    nn.LSTM or nn.RNN with optional nn.Linear and ReLU around them (docs/your-model.md). A module needs `channels`
    (names, or {name, unit}), `labels`, `rate_hz` and `sample`: real samples (T, I), the more the better for int8.
    `bits` of int8 weights are 8 or 4 (None: what the checkpoint was trained for, else 8).
    `mean` and `std` (I,) say that the module expects (x - mean) / std. `window` is the training window in samples.

    Raises UsageError for a module that is not of that form or whose own forward gives other numbers, ParityError
    where an engine disagrees; then nothing is written.
    """
    path = Path(path)
    if isinstance(model, str | Path):
        from .checkpoint import Checkpoint

        model = Checkpoint.load(model)
    given = {"channels": channels, "labels": labels, "rate_hz": rate_hz, "sample": sample, "mean": mean, "std": std}
    own = {**given, "background": background, "window": window}
    if hasattr(model, "calibration_x"):
        known = sorted(key for key, value in own.items() if value is not None)
        if known:
            raise UsageError(f"a checkpoint has its own {', '.join(known)}: leave them out")
        source = from_checkpoint(model)
    else:
        missing = [key for key in ("channels", "labels", "rate_hz", "sample") if given[key] is None]
        if missing:
            raise UsageError(f"export of a module needs {', '.join(missing)}: only a checkpoint knows them itself")
        source = from_module(model, task=task, **own)
    facts = replace(source.facts, name=name or path.name.removesuffix(".ernn"), version=version)
    source = replace(source, facts=facts)
    return export_source(source, path, precision, bits=bits, input_scale=input_scale, steps=steps, progress=progress)


def write_weights(exported: Exported) -> Path:
    """Write the compact float form of an int8 bundle beside it: M.weights.onnx. Raises UsageError for float32."""
    from .to_onnx_weights import weights_form

    path = exported.path.with_name(exported.path.name.removesuffix(".ernn") + ".weights.onnx")
    write_atomically(path, weights_form(exported.bundle))
    return path


def export_source(
    source: Source,
    path: Path,
    precision: str,
    *,
    bits: int | None = None,
    input_scale: str = "auto",
    steps: int = STEPS,
    progress: Progress | None = None,
) -> Exported:
    """Quantize where int8 is asked for, build, prove, write."""
    if as_precision(precision) == "float32":
        bundle, report = write_bundle(source.graph, source.facts, path, steps=steps, progress=progress)
        return Exported(path, bundle, report)
    from .calibration import Calibration
    from .quantize import quantize
    from .side_by_side import side_by_side

    calibration = Calibration(source.samples, source.starts, source.max_abs, source.lsb)
    quantized = quantize(source.graph, calibration, bits=bits or source.bits, input_scale=input_scale)
    stretches = np.split(source.samples[:AGREEMENT_SAMPLES], [s for s in source.starts if 0 < s < AGREEMENT_SAMPLES])
    agreement = argmax_agreement(source.graph, quantized.graph, [x for x in stretches if len(x)])
    bundle, report = write_bundle(quantized.graph, source.facts, path, steps=steps, progress=progress)
    size = path.stat().st_size
    beside = side_by_side(source.graph, source.facts, bundle, size, calibration, agreement)
    return Exported(path, bundle, report, quantized.report, agreement, beside)
