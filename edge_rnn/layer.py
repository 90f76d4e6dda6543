"""One layer of a network: its kind and its sizes, checked once; what it remembers and which arrays it needs.

Nothing is computed here: the arithmetic is the engines', the words are docs/bundle.md's. Every layer is causal and
steps one sample at a time; what it needs of the past is in its states, zero before the first sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Literal, cast, get_args

from .errors import BundleError
from .value import Value

Kind = Literal[
    "dense", "rnn", "gru", "lstm", "fastgrnn", "window", "statistics", "conv", "attention", "feedforward", "norm"
]
Activation = Literal["none", "relu", "tanh"]
Precision = Literal["float32", "int8"]

GATES: Mapping[str, int] = {"dense": 1, "rnn": 1, "gru": 3, "lstm": 4}
"""Blocks of `units` rows in the matrices of a dense layer and of torch's recurrent ones."""
ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "dense": ("none", "relu"),
    "rnn": ("tanh", "relu"),
    "gru": ("tanh",),
    "lstm": ("tanh",),
    "fastgrnn": ("tanh",),
    "window": ("none",),
    "statistics": ("none",),
    "conv": ("none", "relu"),
    "attention": ("none",),
    "feedforward": ("relu",),
    "norm": ("none",),
}
SIZES: Mapping[str, tuple[str, ...]] = {
    "window": ("window",),
    "statistics": ("window",),
    "conv": ("kernel", "dilation"),
    "attention": ("window", "heads"),
    "feedforward": ("hidden",),
}
"""Kind -> the sizes it has besides inputs and units; no other layer may have them."""
STATISTICS = ("mean", "sd", "min", "max", "change")
"""What a statistics layer gives of each channel, in this order; `change` is the mean |x_t - x_(t-1)|."""
INT8_KINDS = ("dense", "rnn", "gru", "lstm", "fastgrnn", "window", "conv", "statistics")
"""Kinds with an exact int8 form (docs/numeric.md); the others are float32 alone."""

MAX_WIDTH = 4096
MAX_STATE = 1 << 15
"""Numbers in one state array: what a ring of the past may hold."""
_RANGES = {
    "inputs": (1, MAX_WIDTH),
    "units": (1, MAX_WIDTH),
    "exponent": (1, 16),
    "bits": (4, 4),
    "window": (2, 4096),
    "kernel": (1, 64),
    "dilation": (1, 4096),
    "heads": (1, 64),
    "hidden": (1, MAX_WIDTH),
}


class StateSpec(Value):
    """One state array of a stream: shape is (width,) for one stream, (N, width) for N."""

    name: str
    dtype: str
    width: int

    @property
    def nbytes(self) -> int:
        """Bytes of one stream."""
        return self.width * (2 if self.dtype == "int16" else 4)


class Layer(Value):
    """One layer. Only an int8 graph's layers have an `exponent` or `bits` (docs/numeric.md); sizes are by kind (SIZES).

    `exponent` e: the activation of a layer that is `scaled` is int16 in Q(16 - e).
    `bits` 4: the weights lie in [-7, 7].
    `window`: samples that are seen, the present one included. `kernel` taps lie `dilation` samples apart.
    """

    kind: Kind
    inputs: int
    units: int
    activation: Activation
    exponent: int | None = None
    bits: int | None = None
    window: int | None = None
    kernel: int | None = None
    dilation: int | None = None
    heads: int | None = None
    hidden: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ACTIVATIONS:
            raise BundleError(f"layer kind {self.kind!r} is unknown, expected one of {', '.join(ACTIVATIONS)}")
        if self.activation not in ACTIVATIONS[self.kind]:
            allowed = " or ".join(ACTIVATIONS[self.kind])
            raise BundleError(f"a {self.kind} layer has activation {self.activation!r}, expected {allowed}")
        needed = ("inputs", "units", *SIZES.get(self.kind, ()))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name not in needed:
                continue
            if name not in (*needed, "exponent", "bits"):
                raise BundleError(f"a {self.kind} layer has {name} = {value!r}, which it cannot have")
            if type(value) is not int or not low <= value <= high:
                raise BundleError(f"a {self.kind} layer has {name} = {value!r}, expected {low}..{high}")
        self._check_widths()

    def _check_widths(self) -> None:
        """What the sizes must be to each other, and that no ring is larger than MAX_STATE."""
        rule, units = "", self.units
        if self.kind == "window":
            rule, units = "window * inputs", self.size("window") * self.inputs
        elif self.kind == "statistics":
            channels, rest = divmod(self.inputs, self.size("window"))
            rule, units = f"{len(STATISTICS)} for each {self.window} inputs", 0 if rest else len(STATISTICS) * channels
        elif self.kind in ("attention", "feedforward", "norm"):
            rule, units = "its inputs", self.inputs
        if self.units != units:
            raise BundleError(f"a {self.kind} layer has {self.units} units of {self.inputs} inputs, expected {rule}")
        if self.kind == "attention" and self.units % self.size("heads"):
            raise BundleError(f"an attention layer has {self.units} units in {self.heads} heads, expected a multiple")
        for name, width in self._remembered().items():
            if width > MAX_STATE:
                raise BundleError(f"a {self.kind} layer keeps {width} numbers in {name}, at most {MAX_STATE} allowed")

    @property
    def gates(self) -> int:
        """How many blocks of `units` rows the layer's matrices have."""
        return GATES.get(self.kind, 1)

    @property
    def scaled(self) -> bool:
        """Whether its int8 activation has an exponent of its own, where the layer is no head: nothing bounds it."""
        return self.kind in ("dense", "conv", "fastgrnn") or self.activation == "relu"

    @property
    def exact_matrices(self) -> dict[str, int]:
        """The int8 form's matrices: the prefix of their arrays' names -> columns."""
        if self.kind in ("window", "statistics"):
            return {}
        if self.kind == "conv":
            return {"": self.size("kernel") * self.inputs}
        return {"": self.inputs} if self.kind == "dense" else {"ih_": self.inputs, "hh_": self.units}

    @property
    def multipliers(self) -> tuple[str, ...]:
        """Prefixes of the int8 form's multipliers `m` and shifts `S_k`: the matrices', or a statistics layer's."""
        return ("",) if self.kind == "statistics" else tuple(self.exact_matrices)

    @property
    def past(self) -> int | None:
        """Samples before the present one that the layer sees; None: all of them."""
        if self.kind in ("rnn", "gru", "lstm", "fastgrnn"):
            return None
        if self.kind == "conv":
            return (self.size("kernel") - 1) * self.size("dilation")
        return self.size("window") - 1 if self.kind in ("window", "attention") else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one step in float32: matrices, and an attention's scores and mixture."""
        matrices = sum(prod(shape) for _, shape in self.arrays(0, "float32").values() if len(shape) == 2)
        if self.kind != "attention":
            return matrices
        return matrices + self.size("window") * (2 * self.units - self.size("heads"))  # its bias is added, a matrix

    def size(self, name: str) -> int:
        """One of the layer's SIZES, which the check has found to be there."""
        return cast(int, getattr(self, name))

    def _remembered(self) -> dict[str, int]:
        """Name -> width of each state, without the layer's index."""
        if self.kind in ("rnn", "gru", "fastgrnn"):
            return {"h": self.units}
        if self.kind == "lstm":
            return {"h": self.units, "c": self.units}
        if self.kind == "window":
            return {"buf": self.units}
        if self.kind == "conv":
            past = (self.size("kernel") - 1) * self.size("dilation") * self.inputs
            return {"buf": past} if past else {}
        if self.kind == "attention":
            ring = self.size("window") * self.units
            return {"k": ring, "v": ring, "seen": 1}
        return {}

    def states(self, index: int, precision: Precision) -> tuple[StateSpec, ...]:
        """The states of this layer standing at `index`, in the order every file and engine uses.

        `buf`, `k` and `v` hold the past row after row, the oldest first; `seen` counts up to the window and stays.
        """
        remembered = self._remembered()
        if precision == "int8":
            if self.kind in ("gru", "fastgrnn"):
                remembered = {"s": self.units}
            types = dict.fromkeys(("s", "c"), "int32")
            return tuple(StateSpec(f"{n}{index}", types.get(n, "int16"), width) for n, width in remembered.items())
        return tuple(StateSpec(f"{name}{index}", "float32", width) for name, width in remembered.items())

    def arrays(self, index: int, precision: Precision) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of each array this layer needs."""
        needed = self._exact_arrays(first=index == 0) if precision == "int8" else self._float_arrays()
        return {f"l{index}.{name}": form for name, form in needed.items()}

    def _float_arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        i, u, rows = self.inputs, self.units, self.gates * self.units
        shapes: dict[str, tuple[int, ...]] = {}
        if self.kind == "dense":
            shapes = {"w": (u, i), "b": (u,)}
        elif self.kind in ("rnn", "gru", "lstm"):
            shapes = {"w_ih": (rows, i), "w_hh": (rows, u), "b_ih": (rows,), "b_hh": (rows,)}
        elif self.kind == "fastgrnn":
            shapes = {"w_ih": (u, i), "w_hh": (u, u), "b_z": (u,), "b_h": (u,), "zeta": (1,), "nu": (1,)}
        elif self.kind == "conv":
            shapes = {"w": (u, self.size("kernel") * i), "b": (u,)}
        elif self.kind == "attention":
            shapes = {"norm_w": (u,), "norm_b": (u,), "w_qkv": (3 * u, u), "b_qkv": (3 * u,)}
            shapes |= {"bias": (self.size("heads"), self.size("window")), "w_out": (u, u), "b_out": (u,)}
        elif self.kind == "feedforward":
            f = self.size("hidden")
            shapes = {"norm_w": (u,), "norm_b": (u,), "w_up": (f, u), "b_up": (f,), "w_down": (u, f), "b_down": (u,)}
        elif self.kind == "norm":
            shapes = {"w": (u,), "b": (u,)}
        return {name: ("float32", shape) for name, shape in shapes.items()}

    def _exact_arrays(self, first: bool) -> dict[str, tuple[str, tuple[int, ...]]]:
        if self.kind not in INT8_KINDS:
            raise BundleError(f"a {self.kind} layer has no int8 form: its model is float32")
        rows = self.gates * self.units
        needed: dict[str, tuple[str, tuple[int, ...]]] = {}
        if first and self.kind in ("window", "conv"):
            needed["o"] = ("int16", (self.inputs,))
        if self.kind == "fastgrnn":
            needed |= {"b_z": ("int32", (rows,)), "b_h": ("int32", (rows,))}
            needed |= {"zeta": ("int32", (1,)), "nu": ("int32", (1,))}
        elif self.kind == "statistics":
            needed["floor"] = ("int32", (self.inputs // self.size("window"),))
        elif self.kind != "window":
            needed["b"] = ("int32", (rows,))
        needed |= {head + "w": ("int8", (rows, columns)) for head, columns in self.exact_matrices.items()}
        for head in self.multipliers:
            needed[head + "m"] = ("int32", (rows,))
            needed[head + "S_k"] = ("int32", (2,))
        if self.kind == "gru":
            needed["bn"] = ("int32", (self.units,))
        return needed

    def to_json(self) -> dict[str, Any]:
        """The canonical form in a manifest: keys without a value are left out."""
        return {key: value for key, value in self.to_dict().items() if value is not None}

    @classmethod
    def from_json(cls, value: object) -> Layer:
        """Strict reader; an unknown key changes the arithmetic, so it is refused."""
        if not isinstance(value, dict):
            raise BundleError(f"a layer is {type(value).__name__}, expected an object")
        known = set(cls._fields)
        needed = {"kind", "inputs", "units", "activation"}
        if set(value) - known or needed - set(value):
            raise BundleError(f"a layer has keys {sorted(value)}, expected {sorted(known)}: a newer edge-rnn made it")
        return cls(**value)


def reach(layers: Iterable[Layer]) -> int | None:
    """Samples that the last layer's output depends on, the present one included; None: all there were."""
    seen = 1
    for layer in layers:
        if layer.past is None:
            return None
        seen += layer.past
    return seen


def as_precision(value: object) -> Precision:
    """Narrow a manifest's or a user's word to a Precision."""
    for known in get_args(Precision):
        if value == known:
            return cast(Precision, known)
    raise BundleError(f"precision is {value!r}, expected float32 or int8")
