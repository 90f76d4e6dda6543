"""The network as data: a list of layers and named arrays. Everything else reads or rewrites this.

An exporter builds a `Graph` (float32), `quantize` makes another (int8), engines run it, `to_onnx` and `to_c`
print it. Layers are in the order a sample passes them; the last one is the head.

Arrays of a float32 graph (PyTorch's layout and gate order: GRU r, z, n; LSTM i, f, g, o):

    mean, std      (I,)     the input is normalised as (x - mean) / std
    l0.w_ih        (G*H, I)   l0.w_hh (G*H, H)   l0.b_ih, l0.b_hh (G*H,)    recurrent layer 0
    l1.w           (O, I)     l1.b (O,)                                     dense layer 1

Arrays of an int8 graph (docs/numeric.md; S_k holds the shifts S and k of one matrix):

    sx             (I,)       float32, x_q = sat16(rint(x / sx)); normalisation is folded into layer 0
    l0.ih_w  int8  (G*H, I)   l0.ih_m int32 (G*H,)  l0.ih_S_k int32 (2,)    and the same for l0.hh_*
    l0.b     int32 (G*H,)     l0.bn int32 (H,)  GRU only: b_hn, which is kept apart
    l1.w     int8  (O, I)     l1.m int32 (O,)  l1.S_k int32 (2,)  l1.b int32 (O,)

A layer of an int8 graph may have int4 weights (`bits`): int8 here, two in a byte in a bundle (`stored_arrays`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

import numpy as np

from .arrays import Array
from .errors import BundleError
from .nibbles import pack_nibbles, unpack_nibbles
from .obligations import check_obligations

Kind = Literal["dense", "rnn", "gru", "lstm"]
Activation = Literal["none", "relu", "tanh"]
Precision = Literal["float32", "int8"]

GATES: Mapping[str, int] = {"dense": 1, "rnn": 1, "gru": 3, "lstm": 4}
ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "dense": ("none", "relu"),
    "rnn": ("tanh", "relu"),
    "gru": ("tanh",),
    "lstm": ("tanh",),
}
MAX_WIDTH = 4096
MAX_LAYERS = 32


@dataclass(frozen=True, slots=True)
class StateSpec:
    """One state array of a stream: shape is (width,) for one stream, (N, width) for N."""

    name: str
    dtype: str
    width: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. Only an int8 graph's layers have an `exponent` or `bits` (docs/numeric.md).

    `exponent` e: the activation of a hidden dense or a ReLU RNN layer is int16 in Q(16 - e).
    `bits` 4: the weights lie in [-7, 7].
    """

    kind: Kind
    inputs: int
    units: int
    activation: Activation
    exponent: int | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in GATES:
            raise BundleError(f"layer kind {self.kind!r} is unknown, expected one of {', '.join(GATES)}")
        if self.activation not in ACTIVATIONS[self.kind]:
            allowed = " or ".join(ACTIVATIONS[self.kind])
            raise BundleError(f"a {self.kind} layer has activation {self.activation!r}, expected {allowed}")
        for name, value in (("inputs", self.inputs), ("units", self.units)):
            if type(value) is not int or not 1 <= value <= MAX_WIDTH:
                raise BundleError(f"a {self.kind} layer has {name} = {value!r}, expected 1..{MAX_WIDTH}")
        if self.exponent is not None and (type(self.exponent) is not int or not 1 <= self.exponent <= 16):
            raise BundleError(f"a {self.kind} layer has exponent {self.exponent!r}, expected 1..16 or none")
        if self.bits is not None and (type(self.bits) is not int or self.bits != 4):
            raise BundleError(f"a {self.kind} layer has bits {self.bits!r}, expected 4, or none for 8")

    @property
    def gates(self) -> int:
        """How many blocks of `units` rows the layer's matrices have."""
        return GATES[self.kind]

    def states(self, index: int, precision: Precision) -> tuple[StateSpec, ...]:
        """The states of this layer standing at `index`, in the order every file and engine uses."""
        if self.kind == "dense":
            return ()
        if precision == "int8":
            names = {"rnn": [("h", "int16")], "gru": [("s", "int32")], "lstm": [("h", "int16"), ("c", "int32")]}
        else:
            names = {"rnn": [("h", "float32")], "gru": [("h", "float32")]}
            names["lstm"] = [("h", "float32"), ("c", "float32")]
        return tuple(StateSpec(f"{name}{index}", dtype, self.units) for name, dtype in names[self.kind])

    def arrays(self, index: int, precision: Precision) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of each array this layer needs."""
        rows, p = self.gates * self.units, f"l{index}."
        if precision == "float32":
            if self.kind == "dense":
                return {p + "w": ("float32", (rows, self.inputs)), p + "b": ("float32", (rows,))}
            matrices = {p + "w_ih": ("float32", (rows, self.inputs)), p + "w_hh": ("float32", (rows, self.units))}
            return {**matrices, p + "b_ih": ("float32", (rows,)), p + "b_hh": ("float32", (rows,))}
        needed: dict[str, tuple[str, tuple[int, ...]]] = {p + "b": ("int32", (rows,))}
        heads = {"": self.inputs} if self.kind == "dense" else {"ih_": self.inputs, "hh_": self.units}
        for head, columns in heads.items():
            needed[p + head + "w"] = ("int8", (rows, columns))
            needed[p + head + "m"] = ("int32", (rows,))
            needed[p + head + "S_k"] = ("int32", (2,))
        if self.kind == "gru":
            needed[p + "bn"] = ("int32", (self.units,))
        return needed

    def to_json(self) -> dict[str, Any]:
        """The canonical form in a manifest: keys without a value are left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: object) -> Layer:
        """Strict reader; an unknown key changes the arithmetic, so it is refused."""
        if not isinstance(value, dict):
            raise BundleError(f"a layer is {type(value).__name__}, expected an object")
        needed = {"kind", "inputs", "units", "activation"}
        known = needed | {"exponent", "bits"}
        if set(value) - known or needed - set(value):
            raise BundleError(f"a layer has keys {sorted(value)}, expected {sorted(known)}: a newer edge-rnn made it")
        return cls(**value)


@dataclass(frozen=True)
class Graph:
    """Layers and their arrays; checked once, here, and trusted after."""

    precision: Precision
    layers: tuple[Layer, ...]
    arrays: dict[str, Array] = field(repr=False)

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
        edge = {"mean", "std", "sx"}
        return sum(a.size for n, a in self.arrays.items() if n not in edge and not n.endswith(("_m", ".m", "S_k")))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one step."""
        return sum(a.size for name, a in self.arrays.items() if a.ndim == 2)

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
        blake = hashlib.blake2b(spec.encode(), digest_size=16)
        for name in sorted(self.arrays):
            array = self.arrays[name]
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            blake.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
            blake.update(little.tobytes())
        return blake.hexdigest()


def _nibble_arrays(layers: tuple[Layer, ...]) -> dict[str, tuple[int, int]]:
    """Name -> shape of each matrix with int4 weights."""
    found: dict[str, tuple[int, int]] = {}
    for index, layer in enumerate(layers):
        if layer.bits == 4:
            needed = layer.arrays(index, "int8")
            found.update({name: (shape[0], shape[1]) for name, (dtype, shape) in needed.items() if dtype == "int8"})
    return found


def _check_scale(index: int, layer: Layer, precision: Precision, last: bool) -> None:
    scaled = precision == "int8" and not last and (layer.kind == "dense" or layer.activation == "relu")
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


def as_precision(value: object) -> Precision:
    """Narrow a manifest's or a user's word to a Precision."""
    for known in get_args(Precision):
        if value == known:
            return cast(Precision, known)
    raise BundleError(f"precision is {value!r}, expected float32 or int8")
