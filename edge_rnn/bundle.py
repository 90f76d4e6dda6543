"""Read a .ernn bundle without trusting it: size caps, no pickle, no compression, every hash checked.

A bundle is one stored zip: manifest.json, model.onnx, weights.npz, golden.npz (docs/bundle.md).
Writing is `edge_rnn.export.bundle_writer`'s work.
"""

from __future__ import annotations

import os
from functools import cached_property

import numpy as np

from .arrays import Array, unpack_arrays
from .errors import BundleError
from .graph import Graph
from .hashes import sha256
from .looks import BUNDLE, RECORDING, TORCH, ZIP, looks_like
from .manifest import Manifest
from .reach import reach
from .stored_zip import unpack_zip
from .value import Value

MAX_BUNDLE_BYTES = 64 << 20
MEMBERS = ("manifest.json", "model.onnx", "weights.npz", "golden.npz")


class Bundle(Value):
    """A model as it crosses from the workstation to a device, checked; `file` is the whole .ernn."""

    manifest: Manifest
    graph: Graph
    golden_bytes: bytes
    file: bytes

    def __repr__(self) -> str:
        return f"Bundle({self.manifest.title}, {self.graph!r}, {len(self.file)} bytes)"

    @cached_property
    def digest(self) -> str:
        """bundle_digest: SHA-256 (hex) of the file."""
        return sha256(self.file)

    @cached_property
    def reach(self) -> float:
        """The largest |x| of a sample that its network takes (reach.py)."""
        return reach(self.graph)

    @property
    def onnx(self) -> bytes:
        """model.onnx, taken out of the file at each call."""
        return unpack_zip(self.file, "the bundle")["model.onnx"]

    @cached_property
    def golden(self) -> dict[str, Array]:
        """`x` (256, I) float32, `y` (256, C) float32, `y_q` int32 for int8, and the final state `state.<name>`.

        An int8 file holds `y_q` alone: its y is y_q / 65536.
        """
        return _read_golden(self.golden_bytes, self.graph)


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle from a file; raises BundleError."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            blob = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise BundleError(f"cannot read the bundle {path}: {error.strerror or error}") from error
    return parse_bundle(blob, path)


def parse_bundle(blob: bytes, what: str = "bundle") -> Bundle:
    """Read a bundle from bytes; raises BundleError with what was expected and what came."""
    if len(blob) > MAX_BUNDLE_BYTES:
        raise BundleError(f"{what} is larger than {MAX_BUNDLE_BYTES >> 20} MiB, no small network needs that")
    members = _members(blob, what)
    manifest = Manifest.from_json(members["manifest.json"])
    _check_hashes(manifest, members, what)
    stored = unpack_arrays(members["weights.npz"], f"{what}: weights.npz")
    graph = Graph.from_stored(manifest.precision, manifest.layers, stored)
    if graph.digest() != manifest.model_digest:
        raise BundleError(
            f"{what}: the weights do not have the manifest's model_digest: it is damaged, export it again"
        )
    if manifest.precision == "int8" and manifest.input["sx"] != graph.arrays["sx"].tolist():
        raise BundleError(f"{what}: the manifest's input.sx is not that of its weights: export it again")
    if graph.states != manifest.states:
        raise BundleError(f"{what}: the manifest's states are not those of its layers")
    return Bundle(manifest, graph, members["golden.npz"], blob)


def _members(blob: bytes, what: str) -> dict[str, bytes]:
    """What a bundle consists of; a file of another kind is called what it is."""
    try:
        members = unpack_zip(blob, what)
        for name in sorted(set(MEMBERS) - set(members)):
            raise BundleError(f"{what} lacks {name}, expected {', '.join(MEMBERS)}: copy or export it again")
    except BundleError as error:
        kind = looks_like(blob)
        if kind in (BUNDLE, ZIP):
            raise
        todo = f"of a checkpoint edge-rnn export {what} makes one" if kind == TORCH else "edge-rnn export makes one"
        todo = "--source takes it" if kind == RECORDING else todo
        raise BundleError(f"{what} is {kind}, expected a bundle (.ernn): {todo}") from error
    return members


def _check_hashes(manifest: Manifest, members: dict[str, bytes], what: str) -> None:
    inside = {name: sha256(body) for name, body in members.items() if name != "manifest.json"}
    for name in sorted(set(inside) ^ set(manifest.files)):
        raise BundleError(f"{what}: {name} is in the {'zip' if name in inside else 'manifest'} alone")
    for name, digest in inside.items():
        if digest != manifest.files[name]:
            raise BundleError(f"{what}: {name} does not have the hash the manifest gives: it is damaged")


def _read_golden(blob: bytes, graph: Graph) -> dict[str, Array]:
    golden = unpack_arrays(blob, "golden.npz")
    steps = len(golden["x"]) if "x" in golden and golden["x"].ndim else 0
    name, dtype = ("y_q", "int32") if graph.precision == "int8" else ("y", "float32")
    needed: dict[str, tuple[str, tuple[int, ...]]] = {
        "x": ("float32", (steps, graph.inputs)),
        name: (dtype, (steps, graph.outputs)),
    }
    needed.update({f"state.{s.name}": (s.dtype, (s.width,)) for s in graph.states})
    came = {name: (array.dtype.name, array.shape) for name, array in golden.items()}
    if came != needed or steps == 0:
        raise BundleError(f"golden.npz holds {came}, expected {needed}")
    if not np.isfinite(golden["x"]).all():
        raise BundleError("golden.npz holds NaN or Inf as input: it is damaged, export again")
    if graph.precision == "int8":
        golden["y"] = (golden["y_q"] / 65536).astype(np.float32)
    return golden
