"""The scan against the onnx package: what we write passes, what breaks a rule does not, garbage gives our error."""

import time
import tracemalloc

import numpy as np
import onnx
import pytest
from edge_rnn.export.bundle_writer import build_bundle
from float_models import RIVALS, STACKS, facts_of, float_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import GOLDEN_NAMES, golden_graph, read_golden
from onnx import TensorProto, helper

from edge_rnn.bundle import parse_bundle
from edge_rnn.errors import BundleError
from edge_rnn.onnx_scan import MAX_AXIS, MAX_NODES, MAX_ONNX_BYTES, OPERATORS, OPSETS, scan_onnx


def onnx_of(graph):
    return parse_bundle(build_bundle(graph, facts_of(graph))).onnx


FLOAT = onnx_of(float_graph("mixed"))
EXACT = onnx_of(golden_graph(read_golden("GRU2")))


@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_every_float_file_we_write_passes_and_gives_its_metadata(stack):
    blob = onnx_of(float_graph(stack))
    assert scan_onnx(blob) == {p.key: p.value for p in onnx.load_from_string(blob).metadata_props}


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_exact_file_we_write_passes(name):
    assert scan_onnx(onnx_of(golden_graph(read_golden(name))))["edge_rnn.precision"] == "int8"


def changed(edit, blob=FLOAT):
    model = onnx.load_from_string(blob)
    edit(model)
    return model.SerializeToString()


def add_node(model, operator="Relu", **more):
    model.graph.node.append(helper.make_node(operator, ["x"], ["z"], **more))


def subgraph(model):
    body = helper.make_graph([], "body", [], [])
    add_node(model, "If", then_branch=body, else_branch=body)


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def function(model):
    model.functions.append(
        helper.make_function(
            "d", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
        )
    )


def float_data(model):
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.FLOAT, [2], [1.0, 2.0]))


def claim(model, dims):
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)


def join(model, *inputs, copies=1):
    for copy in range(copies):
        model.graph.node.append(helper.make_node("Concat", list(inputs), [f"joined{copy}"], axis=1))


def join_sliced(model, value):
    ends = [model.graph.initializer[0].name] * 3
    model.graph.node.append(helper.make_node("Slice", [value, *ends], ["part"]))
    join(model, "part", "x")


RULES = {
    "a value joined with itself": (lambda m: join(m, "normalised", "normalised"), "Concat"),
    "three values joined": (lambda m: join(m, "h1_in", "x", "x"), "Concat"),
    "a sliced value joined": (lambda m: join_sliced(m, "normalised"), "Concat"),
    "nothing joined": (lambda m: join(m), "Concat"),
    "another operator": (lambda m: add_node(m, "ConstantOfShape"), "operator"),
    "a loop": (lambda m: add_node(m, "Loop"), "operator"),
    "a subgraph": (subgraph, "field 6"),
    "a node of another domain": (lambda m: add_node(m, "Relu", domain="com.microsoft"), "domain"),
    "an import of another domain": (lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3)), "domain"),
    "an older opset": (lambda m: setattr(m.opset_import[0], "version", 12), "opset"),
    "a newer opset": (lambda m: setattr(m.opset_import[0], "version", 23), "opset"),
    "an older IR": (lambda m: setattr(m, "ir_version", 3), "IR version"),
    "external data": (external, "field 13|does not match"),
    "a function": (function, "field 25"),
    "training": (lambda m: m.training_info.add(), "field 20"),
    "a sparse tensor": (lambda m: m.graph.sparse_initializer.add(), "field 15"),
    "quantization annotations": (lambda m: m.graph.quantization_annotation.add(), "field 14"),
    "strings": (lambda m: m.graph.initializer.add(name="s", data_type=TensorProto.STRING), "does not match"),
    "numbers that are not raw": (float_data, "field 4"),
    "a tensor that claims too much": (lambda m: claim(m, [30000, 30000]), "does not match"),
    "a tensor that claims too little": (lambda m: claim(m, [1]), "does not match"),
    "a negative axis": (lambda m: claim(m, [-1]), "axis"),
    "a huge axis": (lambda m: claim(m, [MAX_AXIS + 1, 0]), "axis"),
    "too many axes": (lambda m: claim(m, [1] * 9), "axis"),
    "too many nodes": (lambda m: [add_node(m) for _ in range(MAX_NODES)], "more than"),
    "a sequence type": (lambda m: m.graph.input.append(helper.make_tensor_sequence_value_info("q", 1, [1])), "field 4"),
    "metadata that is not text": (lambda m: None, "UTF-8"),
}


@pytest.mark.parametrize(("edit", "reason"), RULES.values(), ids=RULES)
def test_a_file_that_breaks_a_rule_is_refused(edit, reason):
    blob = changed(edit)
    if reason == "UTF-8":
        blob = blob.replace(b"edge_rnn.format", b"edge_rnn.\xff\xfe\xff\xff\xff\xff")
    else:
        onnx.load_from_string(blob)  # the onnx package reads it: it is the rule that refuses
    with pytest.raises(BundleError, match=reason):
        scan_onnx(blob)


def test_rows_behind_a_state_or_a_part_of_it_pass():
    scan_onnx(changed(lambda m: join(m, "h1_in", "x")))
    scan_onnx(changed(lambda m: join_sliced(m, "h1_in")))


@pytest.mark.parametrize("opset", OPSETS)
def test_each_allowed_opset_passes(opset):
    scan_onnx(changed(lambda m: setattr(m.opset_import[0], "version", opset)))


def test_a_field_that_stands_twice_is_refused_since_readers_may_differ():
    """protobuf merges a message that stands twice, and takes the last of two strings."""
    for twice in (onnx.load_from_string(FLOAT).graph, None):
        blob = FLOAT + (b"\x3a" + _length(twice.ByteSize()) + twice.SerializeToString() if twice else b"\x08\x08")
        with pytest.raises(BundleError, match="twice"):
            scan_onnx(blob)


def _length(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def test_no_part_of_a_file_passes_but_the_whole():
    for blob in (FLOAT, EXACT):
        for length in [*range(200), *range(200, len(blob), 37)]:
            with pytest.raises(BundleError):
                scan_onnx(blob[:length])


HOSTILE = {
    "nothing": b"",
    "text": b"not an ONNX file at all",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "a length beyond the end": b"\x3a\xff\xff\xff\xff\x0f",
    "a number without end": b"\x08" + b"\x80" * 50,
    "a number of 70 bits": b"\x08" + b"\xff" * 9 + b"\x7f",
    "a group": b"\x0b\x0c",
    "deep nesting": b"\x3a\x7f" * 500,
    "field number zero": b"\x02\x00",
}


@pytest.mark.parametrize("blob", HOSTILE.values(), ids=HOSTILE)
def test_garbage_gives_our_error(blob):
    with pytest.raises(BundleError):
        scan_onnx(blob)


def test_a_file_beyond_the_cap_is_refused_before_it_is_read():
    with pytest.raises(BundleError, match="at most"):
        scan_onnx(bytes(MAX_ONNX_BYTES + 1))


def test_a_million_tiny_fields_are_refused_quickly_and_in_little_memory():
    blobs = [b"\x72\x00" * 1_000_000, b"\x3a" + _length(2_000_000) + b"\x0a\x00" * 1_000_000]
    for blob in blobs:
        tracemalloc.start()
        start = time.perf_counter()
        with pytest.raises(BundleError):
            scan_onnx(blob)
        assert time.perf_counter() - start < 1
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


def holds_the_rules(model):
    """The same rules, read by the onnx package from the parsed model."""
    graph = model.graph
    assert not model.functions
    assert not model.training_info
    assert not graph.sparse_initializer
    assert all(o.domain == "" and o.version in OPSETS for o in model.opset_import)
    for node in graph.node:
        assert node.op_type.encode() in OPERATORS
        assert node.domain == ""
        for attribute in node.attribute:
            for name in ("g", "t", "sparse_tensor", "tp", "ref_attr_name"):
                assert not attribute.HasField(name)
            for name in ("graphs", "tensors", "sparse_tensors", "type_protos"):
                assert len(getattr(attribute, name)) == 0
    for tensor in graph.initializer:
        assert tensor.data_location == TensorProto.DEFAULT
        assert not tensor.external_data
        item = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        assert np.prod(tensor.dims, dtype=object) * item == len(tensor.raw_data)
        assert all(0 <= axis <= MAX_AXIS for axis in tensor.dims)
    for value in (*graph.input, *graph.output):
        assert value.type.WhichOneof("value") in (None, "tensor_type")


def mutations():
    """(position, what): a byte changed, cut out, doubled, put in, or a number made huge."""
    one = st.tuples(
        st.integers(0, 1 << 20), st.sampled_from(["change", "cut", "double", "insert", "huge"]), st.integers(0, 255)
    )
    return st.lists(one, min_size=1, max_size=4)


def mutate(blob, edits):
    for position, what, value in edits:
        at = position % len(blob)
        middle = {
            "change": bytes([value]) + blob[at + 1 : at + 2],
            "cut": blob[at + 1 + value % 16 : at + 2 + value % 16],
            "double": blob[at : at + 1 + value] * 2,
            "insert": bytes([value]) + blob[at : at + 1],
            "huge": b"\xff\xff\xff\xff\x7f" + blob[at + 1 : at + 2],
        }[what]
        skip = {"change": 2, "cut": 2 + value % 16, "double": 1 + value, "insert": 1, "huge": 2}[what]
        blob = blob[:at] + middle + blob[at + skip :]
    return blob


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.sampled_from([FLOAT, EXACT]), mutations())
def test_a_mutated_file_is_refused_or_is_one_the_onnx_package_reads_and_finds_within_the_rules(blob, edits):
    blob = mutate(blob, edits)
    try:
        scan_onnx(blob)
    except BundleError:
        return
    holds_the_rules(onnx.load_from_string(blob))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_random_bytes_give_our_error(blob):
    with pytest.raises(BundleError):
        scan_onnx(blob)
