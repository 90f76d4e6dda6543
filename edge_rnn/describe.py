"""What a model is, as plain values and as text: `edge-rnn inspect`. Runs no engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .bundle import read_bundle
from .layer import SIZES, reach
from .manifest import Manifest
from .onnx_metadata import read_onnx


def describe(path: str | Path) -> dict[str, Any]:
    """A bundle, or a bare .onnx that we exported; raises BundleError."""
    path = Path(path)
    if path.suffix == ".onnx":
        manifest, blob = read_onnx(path)
        return {**_of(manifest), "bytes": len(blob), "bundle_digest": None, "parameters": None, "macs": None}
    bundle = read_bundle(path)
    size = {"parameters": bundle.graph.parameters, "macs": bundle.graph.macs}
    return {**_of(bundle.manifest), "bytes": path.stat().st_size, "bundle_digest": bundle.digest, **size}


def _of(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "version": manifest.version,
        "created_by": manifest.created_by,
        "precision": manifest.precision,
        "task": manifest.task,
        "rate_hz": manifest.rate_hz,
        "channels": [asdict(channel) for channel in manifest.channels],
        "labels": list(manifest.labels),
        "background": manifest.background,
        "layers": [layer.to_json() for layer in manifest.layers],
        "states": [asdict(state) for state in manifest.states],
        "state_bytes": sum(state.nbytes for state in manifest.states),
        "receptive_field": reach(manifest.layers),
        "warmup_samples": manifest.warmup_samples,
        "gap": asdict(manifest.gap),
        "detector": {label: asdict(params) for label, params in manifest.detector.items()},
        "model_digest": manifest.model_digest,
        "training": manifest.training,
    }


def lines(found: dict[str, Any]) -> str:
    """For people: one fact a line."""
    seconds = found["warmup_samples"] / found["rate_hz"]
    channels = ", ".join(f"{c['name']} [{c['unit']}]" if c["unit"] else c["name"] for c in found["channels"])
    labels = ", ".join(f"{label} (background)" if label == found["background"] else label for label in found["labels"])
    layers = " > ".join(_layer(layer) for layer in found["layers"])
    states = ", ".join(f"{s['name']} {s['dtype']} x {s['width']}" for s in found["states"])
    field = found["receptive_field"]
    facts = [
        ("model", f"{found['name']}@{found['version']}, {found['precision']}, {found['bytes']} bytes"),
        ("made by", found["created_by"]),
        ("input", f"{channels} at {found['rate_hz']:g} Hz"),
        ("output", f"{found['task']}: {labels}"),
        ("layers", layers),
        ("size", f"{found['parameters']} parameters, {found['macs']} multiply-accumulates a step"),
        ("state", f"{states}: {found['state_bytes']} bytes" if states else "none"),
        ("sees", f"the last {field} samples, {field / found['rate_hz']:.2f} s" if field else "all samples there were"),
        ("warm-up", f"{found['warmup_samples']} samples, {seconds:.2f} s"),
        (
            "gaps",
            "up to {short} samples {on_short}, up to {long} without detection, then {on_long}".format(**found["gap"]),
        ),
        ("model digest", found["model_digest"]),
        ("bundle digest", found["bundle_digest"]),
    ]
    return "\n".join(f"{name:<14}{value}" for name, value in facts if value and "None" not in str(value))


def _layer(layer: dict[str, Any]) -> str:
    activation = "" if layer["activation"] == "none" else f" {layer['activation']}"
    bits = f" int{layer['bits']}" if "bits" in layer else ""
    width = layer["window"] if layer["kind"] == "window" else layer["units"]
    sizes = ", ".join(f"{name} {layer[name]}" for name in SIZES.get(layer["kind"], ()) if name != layer["kind"])
    return f"{layer['kind']} {width}{activation}{bits}" + (f" ({sizes})" if sizes else "")
