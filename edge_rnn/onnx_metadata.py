"""The manifest inside an ONNX file's metadata_props, so that model.onnx is usable alone (docs/bundle.md).

    edge_rnn.format, edge_rnn.precision, edge_rnn.digest, edge_rnn.spec (JSON)

Name, version, thresholds and gap policy are the bundle's: the same weights give the same ONNX bytes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import BundleError
from .manifest import FORMAT, Manifest
from .onnx_scan import MAX_ONNX_BYTES, scan_onnx

SPEC_KEYS = ("background", "channels", "input", "labels", "layers", "rate_hz", "states", "task", "warmup_samples")
FLOAT_W8 = "float32-w8"
"""Precision of the compact float form (edge_rnn.export.to_onnx_weights): int8 weights, run and fed as float32."""
PROPS = ("edge_rnn.digest", "edge_rnn.format", "edge_rnn.precision", "edge_rnn.spec")


def metadata_of(manifest: Manifest) -> dict[str, str]:
    """The metadata_props of a model; the inverse is `manifest_of`."""
    value = json.loads(manifest.to_json())
    spec = {key: value[key] for key in SPEC_KEYS}
    return {
        "edge_rnn.digest": manifest.model_digest,
        "edge_rnn.format": str(FORMAT),
        "edge_rnn.precision": manifest.precision,
        "edge_rnn.spec": json.dumps(spec, sort_keys=True, separators=(",", ":")),
    }


def manifest_of(metadata: dict[str, str], name: str) -> Manifest:
    """The manifest of a bare ONNX file called `name`: no detector, no gap policy, no golden stream.

    Raises BundleError, naming what is missing from a file that is not ours.
    """
    missing = [prop for prop in PROPS if prop not in metadata]
    if missing:
        raise BundleError(
            f"{name} lacks {', '.join(missing)} in metadata_props: edge-rnn did not export it; "
            "make a bundle of your own model with edge_rnn.export.export_bundle or `edge-rnn import`"
        )
    try:
        found = int(metadata["edge_rnn.format"])
        spec: Any = json.loads(metadata["edge_rnn.spec"])
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} has unreadable metadata_props ({error}): export it again") from error
    if not isinstance(spec, dict):
        raise BundleError(f"{name} has an edge_rnn.spec that is {type(spec).__name__}, expected an object")
    bare = {
        "name": Path(name).stem,
        "version": "0",
        "created_by": "edge-rnn",
        "detector": {},
        "gap": {"short": 0, "long": 0, "on_short": "hold", "on_long": "keep"},
    }
    precision = metadata["edge_rnn.precision"]
    runs_as = "float32" if precision == FLOAT_W8 else precision
    props = {"format": found, "precision": runs_as, "model_digest": metadata["edge_rnn.digest"]}
    value = {key: spec[key] for key in SPEC_KEYS if key in spec} | bare | props
    return replace(Manifest.from_json(json.dumps(value).encode()), extra={})


def read_onnx(path: str | Path) -> tuple[Manifest, bytes]:
    """A bare .onnx that we exported: its manifest, and the bytes once they passed the scan. Raises BundleError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            blob = file.read(MAX_ONNX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"cannot read the ONNX file {path}: {error.strerror or error}") from error
    return manifest_of(scan_onnx(blob), str(path)), blob
