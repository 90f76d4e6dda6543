"""The contract that export writes and the runtime reads: manifest.json, checked once and trusted after.

Plain values and strict validation, no dependency. Unknown keys are kept (a later release may have added
them); an unknown format is refused. docs/bundle.md is the same contract in words.
"""

from __future__ import annotations

import json
import math
from typing import Any

from .errors import BundleError
from .graph import Layer, Precision, StateSpec, as_precision
from .value import Value, fresh

FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20


class Channel(Value):
    """One input channel and its training statistics, in `unit`.

    `constant`: the longest stretch of the training data with one and the same value, in samples; 0: not measured.
    """

    name: str
    unit: str
    mean: float
    std: float
    min: float
    max: float
    constant: int = 0


class DetectorParams(Value):
    """When a class starts and ends; `enter` and `exit` are probabilities, enter > exit (docs/detection.md)."""

    smooth_ms: float = 200.0
    enter: float = 0.7
    exit: float = 0.4
    min_ms: float = 100.0
    refractory_ms: float = 500.0

    def __post_init__(self) -> None:
        if not 0 <= self.exit < self.enter <= 1:
            raise BundleError(
                f"detector thresholds are enter {self.enter}, exit {self.exit}: expected 0 <= exit < enter"
            )
        if not all(0 <= ms < 86_400_000 for ms in (self.smooth_ms, self.min_ms, self.refractory_ms)):
            raise BundleError("detector times must be 0 or more milliseconds, and less than a day")


class GapPolicy(Value):
    """What happens to missing samples: up to `short`, up to `long`, and beyond (docs/detection.md)."""

    short: int
    long: int
    on_short: str = "hold"
    on_long: str = "reset"

    def __post_init__(self) -> None:
        if not 0 <= self.short <= self.long <= 1_000_000:
            raise BundleError(
                f"gap policy has short {self.short}, long {self.long}: expected 0 <= short <= long <= 1e6"
            )
        if self.on_short not in ("hold", "reset") or self.on_long not in ("reset", "keep"):
            raise BundleError(f"gap policy {self.on_short!r}/{self.on_long!r}: expected hold|reset / reset|keep")


class Manifest(Value):
    """Everything a runtime must know of a model besides its arrays."""

    name: str
    version: str
    created_by: str
    model_digest: str
    precision: Precision
    rate_hz: float
    channels: tuple[Channel, ...]
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    states: tuple[StateSpec, ...]
    warmup_samples: int
    gap: GapPolicy
    detector: dict[str, DetectorParams]
    background: str | None = None
    task: str = "classify"
    format: int = FORMAT
    files: dict[str, str] = fresh(factory=dict)
    input: dict[str, Any] = fresh(factory=dict)
    front_end: None = None
    golden: dict[str, Any] = fresh(factory=dict)
    training: dict[str, Any] | None = None
    tuning: dict[str, Any] | None = None
    extra: dict[str, Any] = fresh(factory=dict)

    def __post_init__(self) -> None:
        _expect(math.isfinite(self.rate_hz) and 0 < self.rate_hz <= 1e6, "rate_hz", self.rate_hz, "0 < rate <= 1e6")
        _expect(len(set(self.labels)) == len(self.labels) > 0, "labels", self.labels, "one or more distinct names")
        names = [channel.name for channel in self.channels]
        _expect(len(set(names)) == len(names) > 0, "channels", names, "one or more distinct names")
        _expect(len(names) == self.layers[0].inputs, "channels", names, f"{self.layers[0].inputs} channels")
        _expect(len(self.labels) == self.layers[-1].units, "labels", self.labels, f"{self.layers[-1].units} labels")
        _expect(self.task in ("classify", "regress"), "task", self.task, "classify or regress")
        _expect(0 <= self.warmup_samples <= 10**9, "warmup_samples", self.warmup_samples, "0 or more")
        _expect(self.background is None or self.background in self.labels, "background", self.background, "a label")
        _expect(self.front_end is None, "front_end", self.front_end, "null in this format")
        if self.precision == "int8":
            sx = self.input.get("sx")
            good = isinstance(sx, list) and len(sx) == len(names) and all(_positive(value) for value in sx)
            _expect(good, "input.sx", sx, f"{len(names)} positive numbers")
        unknown = set(self.detector) - set(self.labels)
        _expect(not unknown, "detector", sorted(unknown), "labels of this model")

    @property
    def title(self) -> str:
        """`name@version`, as events name the model."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> bytes:
        """Deterministic bytes: sorted keys, one key a line."""
        value = {name: item for name, item in self.to_dict().items() if name != "extra"}
        value["channels"] = [channel.to_dict() for channel in self.channels]
        value["layers"] = [layer.to_json() for layer in self.layers]
        value["states"] = [{"name": s.name, "dtype": s.dtype, "shape": [s.width]} for s in self.states]
        value["gap"] = self.gap.to_dict()
        value["detector"] = {label: params.to_dict() for label, params in self.detector.items()}
        return json.dumps({**self.extra, **value}, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_json(cls, blob: bytes) -> Manifest:
        """Read manifest.json; raises BundleError with the key's name when it is not what we write."""
        value = _parse(blob)
        found = value.get("format")
        if type(found) is not int or not 1 <= found <= FORMAT:
            raise BundleError(f"bundle format is {found!r}, this release reads 1..{FORMAT}: upgrade edge-rnn")
        known = {*cls._fields} - {"extra"}
        kept = {key: item for key, item in value.items() if key in known}
        try:
            kept["channels"] = tuple(Channel(**_typed(c, Channel)) for c in value["channels"])
            kept["layers"] = tuple(Layer.from_json(layer) for layer in value["layers"])
            kept["states"] = tuple(StateSpec(s["name"], s["dtype"], s["shape"][0]) for s in value["states"])
            kept["labels"] = tuple(_text(label) for label in value["labels"])
            kept["gap"] = GapPolicy(**_typed(value["gap"], GapPolicy))
            detector = value["detector"]
            kept["detector"] = {k: DetectorParams(**_typed(p, DetectorParams)) for k, p in detector.items()}
            kept["precision"] = as_precision(value["precision"])
            kept = {**kept, **{key: _text(value[key]) for key in ("name", "version", "created_by", "model_digest")}}
            kept["rate_hz"] = _number(value["rate_hz"])
            kept["warmup_samples"] = _integer(value["warmup_samples"])
            for key in ("input", "golden"):
                kept[key] = _mapping(value.get(key, {}))
            for key in ("training", "tuning"):
                kept[key] = None if value.get(key) is None else _mapping(value[key])
            kept["files"] = {_text(name): _text(digest) for name, digest in value.get("files", {}).items()}
            return cls(**kept, extra={key: item for key, item in value.items() if key not in known})
        except KeyError as error:
            raise BundleError(f"manifest.json lacks the key {error}") from error
        except (TypeError, AttributeError, IndexError, ValueError) as error:
            raise BundleError(f"manifest.json is malformed: {error}") from error


def _parse(blob: bytes) -> dict[str, Any]:
    if len(blob) > MAX_MANIFEST_BYTES:
        raise BundleError(f"manifest.json has {len(blob)} bytes, at most {MAX_MANIFEST_BYTES} are allowed")
    try:
        value = json.loads(blob.decode())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BundleError("manifest.json is not an object")
    return value


def _expect(good: bool, key: str, came: object, expected: str) -> None:
    if not good:
        raise BundleError(f"manifest {key} is {came!r}, expected {expected}")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError(f"{str(value)[:40]!r} is not a short text")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is not a finite number")
    return float(value)


def _integer(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{str(value)[:40]!r} is not an integer")
    return value


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:40]!r} is not an object")
    return value


def _positive(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < math.inf


_READERS = {"str": _text, "float": _number, "int": _integer}


def _typed(value: Any, form: type[Value]) -> dict[str, Any]:
    """Pick and check the fields of a flat class; keys it does not know are ignored."""
    return {name: _READERS[kind](value[name]) for name, kind in form._fields.items() if name in value}
