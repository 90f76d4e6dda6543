"""The network as data: a list of layers and named arrays. Everything else reads or rewrites this.

An exporter builds a `Graph` (float32), `quantize` makes another (int8), engines run it, `to_onnx` and `to_c`
print it. Layers are in the order a sample passes them; the last one is the head.

Arrays of a float32 graph (PyTorch's layout and gate order: GRU r, z, n; LSTM i, f, g, o):

    mean, std      (I,)     the input is normalised as (x - mean) / std
    l0.w_ih        (G*H, I)   l0.w_hh (G*H, H)   l0.b_ih, l0.b_hh (G*H,)    recurrent layer 0
    l1.w           (O, I)     l1.b (O,)                                     dense layer 1

The other kinds' are in docs/bundle.md; edge_rnn/layer.py gives the shapes of all.

Arrays of an int8 graph (docs/numeric.md; S_k holds the shifts S and k of one matrix):

    sx             (I,)       float32, x_q = sat16(rint(x / sx)); normalisation is folded into layer 0
    l0.ih_w  int8  (G*H, I)   l0.ih_m int32 (G*H,)  l0.ih_S_k int32 (2,)    and the same for l0.hh_*
    l0.b     int32 (G*H,)     l0.bn int32 (H,)  GRU only: b_hn, which is kept apart
    l1.w     int8  (O, I)     l1.m int32 (O,)  l1.S_k int32 (2,)  l1.b int32 (O,)   a conv layer's the same, (O, K*I)
    l0.b_z, l0.b_h int32 (H,), l0.zeta, l0.nu int32 (1,) Q24   FastGRNN, in the place of b
    l0.o     int16 (I,)       window and conv as the first layer: the code of the mean, which they take away
    l1.floor int32 (C,), l1.m int32 (5 C,), l1.S_k int32 (2,)   statistics of C channels

A layer of an int8 graph may have int4 weights (`bits`): int8 here, two in a byte in a bundle (`stored_arrays`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from .arrays import Array
from .errors import BundleError
from .hashes import blake2b_128
from .layer import GATES, MAX_WIDTH, Activation, Kind, Layer, Precision, StateSpec, as_precision, reach
from .nibbles import pack_nibbles, unpack_nibbles
from .obligations import check_obligations
from .value import Value

__all__ = ["GATES", "MAX_WIDTH", "Activation", "Graph", "Kind", "Layer", "Precision", "StateSpec", "as_precision"]

MAX_LAYERS = 32


class Graph(Value):
    """Layers and their arrays; checked once, here, and trusted after."""

    precision: Precision
    layers: tuple[Layer, ...]
    arrays: dict[str, Array]

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "int8"):
            raise BundleError(f"precision is {self.precision!r}, expected float32 or int8")
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise BundleError(f"a model has {len(self.layers)} layers, expected 1..{MAX_LAYERS}")
        for below, above in zip(self.layers, self.layers[1:], strict=False):
            if above.inputs != below.units:
                raise BundleError(f"a layer of {below.units} units feeds one that expects {above.inputs}")
        if self.layers[-1].kind != "dense" or self.layers[-1].activation != "none":
            raise BundleError("the last layer must be dense without activation: it gives the logits")
        for index, layer in enumerate(self.layers):
            _check_scale(index, layer, self.precision, last=index == len(self.layers) - 1)
        _check_arrays(self.arrays, self.expected_arrays())
        if self.precision == "int8":
            check_obligations(self.layers, self.arrays)
        if self.precision == "float32" and not np.all(self.arrays["std"] > 0):
            raise BundleError("std must be positive in every channel: a constant channel cannot be normalised")
        for name, array in self.arrays.items():
            one = 1 if self.precision == "float32" else 1 << 24
            if name.endswith((".zeta", ".nu")) and not np.all((array >= 0) & (array <= one)):
                raise BundleError(f"{name} is {array}, a FastGRNN's zeta and nu lie in 0..{one}")

    def __repr__(self) -> str:
        kinds = ", ".join(layer.kind for layer in self.layers)
        return f"Graph({self.precision}: {kinds}; {len(self.arrays)} arrays)"

    def expected_arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of every array of this graph."""
        edge = ("mean", "std") if self.precision == "float32" else ("sx",)
        needed: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(edge, ("float32", (self.inputs,)))
        for index, layer in enumerate(self.layers):
            needed.update(layer.arrays(index, self.precision))
        return needed

    @property
    def inputs(self) -> int:
        """Channels of a sample."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Logits of a step."""
        return self.layers[-1].units

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """All states, layer by layer."""
        found: list[StateSpec] = []
        for index, layer in enumerate(self.layers):
            found.extend(layer.states(index, self.precision))
        return tuple(found)

    @property
    def parameters(self) -> int:
        """Trained numbers: weights and biases, not scales, shifts or normalisation."""
        edge, scales = {"mean", "std", "sx", "l0.o"}, ("_m", ".m", "S_k", ".floor")
        return sum(a.size for n, a in self.arrays.items() if n not in edge and not n.endswith(scales))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one step."""
        return sum(layer.macs for layer in self.layers)

    @property
    def receptive_field(self) -> int | None:
        """Samples that a logit depends on, the present one included; None: all there were."""
        return reach(self.layers)

    @property
    def state_bytes(self) -> int:
        """What one stream carries from step to step."""
        return sum(state.nbytes for state in self.states)

    def layer_arrays(self, index: int) -> dict[str, Array]:
        """The arrays of one layer, without their `l{index}.` prefix."""
        prefix = f"l{index}."
        return {name.removeprefix(prefix): a for name, a in self.arrays.items() if name.startswith(prefix)}

    def stored_arrays(self) -> dict[str, Array]:
        """The arrays as weights.npz holds them: int4 weights two in a byte."""
        packed = {name: pack_nibbles(self.arrays[name]) for name in _nibble_arrays(self.layers)}
        return {**self.arrays, **packed}

    @classmethod
    def from_stored(cls, precision: Precision, layers: tuple[Layer, ...], stored: Mapping[str, Array]) -> Graph:
        """The inverse of `stored_arrays`; raises BundleError."""
        arrays = dict(stored)
        for name, (rows, columns) in _nibble_arrays(layers).items():
            if name in arrays:
                arrays[name] = unpack_nibbles(arrays[name], rows, columns, name)
        return cls(precision, layers, arrays)

    def digest(self) -> str:
        """model_digest: BLAKE2b-128 (hex) over the canonical layer spec and the arrays; a state belongs to it."""
        layers = [layer.to_json() for layer in self.layers]
        spec = json.dumps([self.precision, layers], sort_keys=True, separators=(",", ":"))
        parts = [spec.encode()]
        for name in sorted(self.arrays):
            array = self.arrays[name]
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            parts += [f"{name} {array.dtype.name} {array.shape}\n".encode(), little.tobytes()]
        return blake2b_128(parts)


def _nibble_arrays(layers: tuple[Layer, ...]) -> dict[str, tuple[int, int]]:
    """Name -> shape of each matrix with int4 weights."""
    found: dict[str, tuple[int, int]] = {}
    for index, layer in enumerate(layers):
        if layer.bits == 4:
            needed = layer.arrays(index, "int8")
            found.update({name: (shape[0], shape[1]) for name, (dtype, shape) in needed.items() if dtype == "int8"})
    return found


def _check_scale(index: int, layer: Layer, precision: Precision, last: bool) -> None:
    scaled = precision == "int8" and not last and layer.scaled
    if scaled != (layer.exponent is not None) or (layer.bits is not None and precision != "int8"):
        expected = "an exponent" if scaled else "no exponent"
        raise BundleError(
            f"layer {index} ({layer.kind}) of a {precision} model has exponent {layer.exponent} and bits {layer.bits}, "
            f"expected {expected}, and bits in int8 alone"
        )


def _check_arrays(arrays: Mapping[str, Array], needed: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    for name in sorted(set(needed) ^ set(arrays)):
        raise BundleError(f"array {name!r} is {'missing' if name in needed else 'not part of this model'}")
    for name, (dtype, shape) in needed.items():
        array = arrays[name]
        if array.dtype.name != dtype or array.shape != shape:
            raise BundleError(f"array {name!r} is {array.dtype} {array.shape}, expected {dtype} {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BundleError(f"array {name!r} holds NaN or Inf: the training diverged")
