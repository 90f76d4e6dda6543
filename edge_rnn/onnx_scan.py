"""Looks at an untrusted ONNX file before onnxruntime sees it: walks its wire format with bounds and builds nothing.

What is not written down here is refused: unknown fields, external data, subgraphs, functions, foreign domains, other
operators. The messages it knows do not nest in a circle, so the walk is as deep as the table. What is kept is
metadata_props and, of a graph, the names around its Slices and Concats. Field numbers are those of onnx.proto; the
wire format is protobuf's own (varint, length-delimited).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from .errors import BundleError

MAX_ONNX_BYTES = 64 << 20
MAX_NODES = 4096
MAX_INITIALIZERS = 4096
MAX_VALUES = 128
MAX_METADATA = 64
MAX_TEXT = 1 << 20
MAX_RANK = 3
MAX_AXIS = 1 << 15
OPSETS = range(13, 23)
IR_VERSIONS = range(7, 11)

# What to_onnx writes, nothing that makes a large value out of a small file (ConstantOfShape, Expand, Tile, Loop ...).
_FLOAT = "Sub Div Unsqueeze Squeeze Gemm Relu RNN GRU LSTM Sigmoid Tanh"
_PAST = "Concat Slice Reshape Transpose ReduceMean ReduceMin ReduceMax Sqrt Abs LayerNormalization Softmax Where"
_EXACT = "Div Round Clip Cast MatMul Mul Add Sub Gather Split Mod ReduceSum Floor"
OPERATORS = frozenset(f"{_FLOAT} {_PAST} {_EXACT} GreaterOrEqual".encode().split())

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 5: 2, 6: 4, 7: 8, 11: 8}
"""TensorProto.DataType of plain numbers -> bytes an item: float, uint8, int8, int16, int32, int64, double."""

# Message -> field -> (wire type, what it is). A message's name means: walk into it. "*" may stand more than once.
_FIELDS: Mapping[str, Mapping[int, tuple[int, str]]] = {
    "Model": {
        1: (_VARINT, "ir_version"),
        2: (_BYTES, "text"),
        3: (_BYTES, "text"),
        4: (_BYTES, "text"),
        5: (_VARINT, "number"),
        6: (_BYTES, "text"),
        7: (_BYTES, "Graph"),
        8: (_BYTES, "Opset*"),
        14: (_BYTES, "Entry*"),
    },
    "Graph": {
        1: (_BYTES, "Node*"),
        2: (_BYTES, "text"),
        5: (_BYTES, "Tensor*"),
        10: (_BYTES, "text"),
        11: (_BYTES, "Input*"),
        12: (_BYTES, "Value*"),
    },
    "Node": {
        1: (_BYTES, "reads*"),
        2: (_BYTES, "gives*"),
        3: (_BYTES, "text"),
        4: (_BYTES, "operator"),
        5: (_BYTES, "Attribute*"),
        6: (_BYTES, "text"),
        7: (_BYTES, "domain"),
    },
    "Attribute": {
        1: (_BYTES, "text"),
        2: (_FIXED32, "number"),
        3: (_VARINT, "number"),
        4: (_BYTES, "text"),
        7: (_FIXED32, "number*"),
        8: (_VARINT, "number*"),
        9: (_BYTES, "text*"),
        20: (_VARINT, "number"),
    },
    "Tensor": {1: (_VARINT, "axis*"), 2: (_VARINT, "data_type"), 8: (_BYTES, "text"), 9: (_BYTES, "raw_data")},
    "Value": {1: (_BYTES, "name"), 2: (_BYTES, "Type"), 3: (_BYTES, "text")},
    "Input": {1: (_BYTES, "name"), 2: (_BYTES, "Type"), 3: (_BYTES, "text")},
    "Type": {1: (_BYTES, "TensorType")},
    "TensorType": {1: (_VARINT, "number"), 2: (_BYTES, "Shape")},
    "Shape": {1: (_BYTES, "Dimension*")},
    "Dimension": {1: (_VARINT, "axis"), 2: (_BYTES, "text")},
    "Opset": {1: (_BYTES, "domain"), 2: (_VARINT, "opset")},
    "Entry": {1: (_BYTES, "key"), 2: (_BYTES, "value")},
}
_MOST = {"Node": MAX_NODES, "Tensor": MAX_INITIALIZERS, "Value": MAX_VALUES, "Entry": MAX_METADATA, "axis": MAX_RANK}


def scan_onnx(blob: bytes) -> dict[str, str]:
    """Pass or refuse an ONNX file; gives its metadata_props. Raises BundleError, and nothing else."""
    if len(blob) > MAX_ONNX_BYTES:
        raise BundleError(f"the ONNX file has {len(blob)} bytes, at most {MAX_ONNX_BYTES} are allowed")
    metadata: dict[str, str] = {}
    model = _walk(blob, 0, len(blob), "Model", metadata)
    for needed in ("ir_version", "Graph", "Opset"):
        if needed not in model.counts:
            raise BundleError(f"the ONNX file has no {needed}: it is empty, truncated or something else")
    return metadata


@dataclass(slots=True)
class _Seen:
    """What a message held, as far as a rule needs it."""

    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, int | bytes] = field(default_factory=dict)
    axes: list[int] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list)
    gives: list[bytes] = field(default_factory=list)
    inputs: set[bytes] = field(default_factory=set)
    slices: list[_Seen] = field(default_factory=list)
    concats: list[_Seen] = field(default_factory=list)


def _walk(blob: bytes, start: int, stop: int, message: str, metadata: dict[str, str]) -> _Seen:
    seen = _Seen()
    for number, wire, value, end in _fields(blob, start, stop):
        form = _FIELDS[message].get(number)
        if form is None or form[0] != wire:
            raise BundleError(f"the ONNX file has field {number} (wire type {wire}) in a {message}: not one we write")
        name = form[1].removesuffix("*")
        seen.counts[name] = seen.counts.get(name, 0) + 1
        many = form[1].endswith("*")
        if not many and name not in ("text", "number") and seen.counts[name] > 1:
            raise BundleError(f"the ONNX file has {name} twice in a {message}: readers would disagree")
        if seen.counts[name] > _MOST.get(name, MAX_INITIALIZERS):
            raise BundleError(f"the ONNX file has more than {_MOST.get(name, MAX_INITIALIZERS)} {name} in a {message}")
        if name in _FIELDS:
            child = _walk(blob, value, end, name, metadata)
            if name == "Input":
                seen.inputs.add(bytes(child.values.get("name", b"")))
            elif child.values.get("operator") == b"Slice":
                seen.slices.append(child)
            elif child.values.get("operator") == b"Concat":
                seen.concats.append(child)
        elif name in ("reads", "gives"):
            getattr(seen, name).append(_text(blob, value, end, name))
        elif name == "axis":
            seen.axes.append(_axis(value))
        elif wire == _BYTES and name != "raw_data":
            seen.values[name] = _text(blob, value, end, name)
        else:
            seen.values[name] = value if wire == _VARINT else end - value
    _check(message, seen, metadata)
    return seen


def _check(message: str, seen: _Seen, metadata: dict[str, str]) -> None:
    """The rules that need a whole message."""
    values = seen.values
    if message == "Model" and values.get("ir_version") not in IR_VERSIONS:
        raise BundleError(f"the ONNX file has IR version {values.get('ir_version')!r}, expected one of {IR_VERSIONS}")
    if message == "Opset" and values.get("opset") not in OPSETS:
        raise BundleError(f"the ONNX file has opset {values.get('opset')!r}, expected one of {OPSETS}")
    if message == "Node" and values.get("operator") not in OPERATORS:
        raise BundleError(f"the ONNX file has operator {values.get('operator')!r}, which edge-rnn never writes")
    if message == "Graph":
        _check_joins(seen)
    if message == "Tensor":
        item = _ITEM_BYTES.get(int(values.get("data_type", 0)))
        if item is None or prod(seen.axes) * item != values.get("raw_data", 0):
            raise BundleError(f"the ONNX file has a tensor {seen.axes} that does not match its data")
    if message == "Entry":
        key, value = (bytes(values.get(name, b"")).decode() for name in ("key", "value"))
        metadata[key] = value


def _check_joins(graph: _Seen) -> None:
    """A Concat puts rows behind a state: of a value with itself, a few of them would fill any memory."""
    slices = {node.gives[0]: node.reads[0] for node in graph.slices if node.gives and node.reads}
    for node in graph.concats:
        first = node.reads[0] if len(node.reads) == 2 else b""
        if slices.get(first, first) not in graph.inputs:
            raise BundleError("the ONNX file has a Concat of other things than a state and one value: we write no such")


def _axis(value: int) -> int:
    if value > MAX_AXIS:
        raise BundleError(f"the ONNX file has an axis of {value}, at most {MAX_AXIS} are allowed")
    return value


def _text(blob: bytes, start: int, end: int, name: str) -> bytes:
    if end - start > MAX_TEXT:
        raise BundleError(f"the ONNX file has a {name} of {end - start} bytes, at most {MAX_TEXT} are allowed")
    if name == "domain" and end > start:
        raise BundleError(f"the ONNX file uses the domain {blob[start:end][:40]!r}, expected the default one alone")
    try:
        blob[start:end].decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"the ONNX file has a {name} that is not UTF-8") from error
    return blob[start:end]


def _fields(blob: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, value or start, end) of each field in blob[at:stop]."""
    while at < stop:
        key, at = _varint(blob, at, stop)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(blob, at, stop)
            yield number, wire, value, at
            continue
        length, at = _varint(blob, at, stop) if wire == _BYTES else (4, at)
        if length > stop - at:
            raise BundleError("the ONNX file ends inside a field: it is truncated or damaged")
        yield number, wire, at, at + length
        at += length


def _varint(blob: bytes, at: int, stop: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= stop:
            raise BundleError("the ONNX file ends inside a number: it is truncated or damaged")
        byte = blob[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise BundleError("the ONNX file has a number of more than 64 bits")
