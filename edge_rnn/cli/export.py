"""`edge-rnn export`, `import`, `verify` and `inspect`: models in and out of bundles."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..parity import Report

Output = Annotated[Path, typer.Option("--out", "-o", metavar="M.ernn", help="The bundle to write.")]
Precision = Annotated[str, typer.Option(help="int8 (the same bits on every engine) or float32.")]
InputScale = Annotated[str, typer.Option(help="int8: how input scales are chosen: auto, range or lsb.")]
Bits = Annotated[int | None, typer.Option(help="int8: bits of a weight, 8 or 4; default: what it was trained for.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint.pt of `edge-rnn train`.")],
    out: Output,
    precision: Precision = "int8",
    onnx_form: Annotated[str, typer.Option(help="exact, or weights: M.weights.onnx beside the bundle.")] = "exact",
    input_scale: InputScale = "auto",
    bits: Bits = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of a trained network, and prove it on every engine here before it is written."""
    from ..errors import UsageError
    from ..outside import outside
    from ..parity import STEPS
    from .progress import progress

    if onnx_form not in ("exact", "weights"):
        raise UsageError(f"--onnx-form is {onnx_form!r}, expected exact or weights")
    if onnx_form == "weights" and precision != "int8":
        raise UsageError("--onnx-form weights is made of an int8 model: use --precision int8 with it")
    with progress("proving", STEPS) as advance:
        exported = outside("export").export_bundle(
            checkpoint,
            out,
            precision=precision,
            bits=bits,
            input_scale=input_scale,
            progress=lambda _: advance(),
        )
    weights = outside("export").write_weights(exported) if onnx_form == "weights" else None
    _tell(exported, as_json, weights)


def import_(
    state: Annotated[Path, typer.Argument(metavar="STATE.pt", help="A state dict that torch.save wrote.")],
    spec: Annotated[Path, typer.Option(metavar="spec.toml", help="Its layers, channels, labels and rate.")],
    out: Output,
    precision: Precision = "float32",
    input_scale: InputScale = "auto",
    bits: Bits = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of a state dict of your own and a spec of its layers (docs/your-model.md); no code is run."""
    from ..outside import outside
    from ..parity import STEPS
    from .progress import progress

    with progress("proving", STEPS) as advance:
        exported = outside("import").import_bundle(
            state,
            spec,
            out,
            precision=precision,
            bits=bits,
            input_scale=input_scale,
            progress=lambda _: advance(),
        )
    _tell(exported, as_json)


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="M.ernn", help="The bundle to prove.")],
    engine: Annotated[
        str | None, typer.Option(help="native, onnxruntime or numpy; default: all that are here.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of probe input after the golden stream.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Run every engine here over the bundle's golden stream and over probe input, and compare them step by step.

    int8 must be the same bits, outputs and states; float32 within 1e-4 + 1e-4 max |y|. Exit code 4 for a difference.
    """
    from ..bundle import read_bundle
    from ..errors import UsageError
    from ..parity import verify as compare
    from .progress import progress

    if bundle.suffix == ".onnx":
        raise UsageError(
            f"{bundle} has no golden stream and no weights to compare with: verify the .ernn it belongs to"
        )
    with progress("verifying", steps) as advance:
        report = compare(read_bundle(bundle), engine, steps, progress=lambda _: advance())
    print(json.dumps(report.to_json()) if as_json else _lines(report))
    if not report.ok:
        raise typer.Exit(4)


def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="M.ernn", help="A bundle, or an .onnx that edge-rnn exported.")],
    dynamics: Annotated[bool, typer.Option("--dynamics", help="Measure memory, drift and saturation.")] = False,
    plot: Annotated[Path | None, typer.Option(help="With --dynamics: draw it there (.png).")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a model is: channels, labels, layers, states, size, digests; with --dynamics, how it behaves."""
    from ..describe import describe, lines

    found = describe(bundle)
    if dynamics:
        found["dynamics"] = _dynamics(bundle, plot)
    print(json.dumps(found) if as_json else lines(found))
    if dynamics and not as_json:
        for name, value in found["dynamics"].items():
            print(f"{name}: {json.dumps(value)}")


def _dynamics(bundle: Path, plot: Path | None) -> dict[str, Any]:
    from ..dynamics import measure
    from ..model import load
    from ..outside import outside

    model = load(bundle)
    measured = measure(model)
    if plot is not None:
        outside("inspect --plot").plot_dynamics(measured, model.manifest.title, plot)
    return measured.to_json()


def _tell(exported: Any, as_json: bool, weights: Path | None = None) -> None:
    told = exported.to_json()
    if weights is not None:
        told["weights_onnx"] = str(weights)
        print(f"{weights}: the compact float form, {weights.stat().st_size} bytes", file=sys.stderr)
    if exported.quantized is not None:
        for line in exported.quantized.lines():
            print(line, file=sys.stderr)
        print(f"torch float32 agrees in argmax on {exported.torch_agreement:.3%} of calibration", file=sys.stderr)
    print(_lines(exported.report), file=sys.stderr)
    if exported.beside is not None:
        print("\n".join(exported.beside.lines()), file=sys.stderr)
    print(json.dumps(told) if as_json else f"{told['bundle']}: {told['precision']}, {told['bytes']} bytes")


def _lines(report: Report) -> str:
    told = []
    for name, found in report.stream.items():
        good = found.ok and report.golden[name].ok
        verdict = ("same bits" if found.bit_exact else "within tolerance") if good else "DIFFERS"
        steps = found.steps + report.golden[name].steps
        told.append(f"{name:<12} {verdict} over {steps} steps, logits differ by at most {found.max_abs_err:.3g}")
    told += [f"{name:<12} skipped: {reason}" for name, reason in report.skipped.items()]
    if not report.ok:
        told.append(report.differences())
    return "\n".join(told)
