"""Bundles that are damaged, truncated or made to harm: a BundleError or a valid bundle, and nothing else."""

import json
import struct
import time
import tracemalloc
import zipfile
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from edge_rnn.export.bundle_writer import build_bundle
from float_models import facts_of, float_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import golden_graph, read_golden

from edge_rnn.arrays import pack_arrays, unpack_arrays
from edge_rnn.bundle import MAX_BUNDLE_BYTES, parse_bundle, read_bundle
from edge_rnn.errors import BundleError, ParityError
from edge_rnn.model import from_bundle
from edge_rnn.stored_zip import pack_zip, unpack_zip

FLOAT = build_bundle(float_graph("lstm"), facts_of(float_graph("lstm")))
INT8 = build_bundle(
    golden_graph(read_golden("GRU5_normalised")), facts_of(golden_graph(read_golden("GRU5_normalised")))
)


def remade(blob, edit_members=None, edit_manifest=None):
    """The bundle with changed members and manifest, and hashes that are right again: only deeper checks can find it."""
    members = unpack_zip(blob, "test")
    manifest = json.loads(members.pop("manifest.json"))
    if edit_members:
        edit_members(members)
    manifest["files"] = {name: sha256(body).hexdigest() for name, body in members.items()}
    if edit_manifest:
        edit_manifest(manifest)
    return pack_zip({"manifest.json": json.dumps(manifest).encode(), **members})


def arrays_of(member, edit):
    def change(members):
        arrays = unpack_arrays(members[member], member)
        edit(arrays)
        members[member] = pack_arrays(arrays)

    return change


def raw_npz(member, name, payload):
    def change(members):
        inner = unpack_zip(members[member], member)
        inner[name] = payload
        members[member] = pack_zip(inner)

    return change


def npy(header, body=b""):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def compressed():
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(FLOAT)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return out.getvalue()


def zip_of(names):
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return out.getvalue()


def overlapping():
    """Every central directory entry points at the first member: 1,000 names share one body."""
    blob = bytearray(zip_of([f"{n:04}" for n in range(1000)]))
    at = blob.find(b"PK\x01\x02")
    while at >= 0:
        blob[at + 42 : at + 46] = bytes(4)
        at = blob.find(b"PK\x01\x02", at + 4)
    return bytes(blob)


def put(key, value):
    return lambda manifest: manifest.__setitem__(key, value)


def drop(key):
    return lambda manifest: manifest.pop(key)


def layer(key, value):
    return lambda manifest: manifest["layers"][0].__setitem__(key, value)


HOSTILE = {
    "empty": lambda: b"",
    "not a zip": lambda: b"hello" * 100,
    "first half": lambda: FLOAT[: len(FLOAT) // 2],
    "without its end": lambda: FLOAT[:-1],
    "compressed": compressed,
    "a path as a name": lambda: zip_of(["../../etc/passwd"]),
    "a name twice": lambda: zip_of(["manifest.jsoM", "manifest.json"]).replace(b"jsoM", b"json"),
    "bodies that overlap": overlapping,
    "too many members": lambda: zip_of([str(n) for n in range(2000)]),
    "a member missing": lambda: remade(FLOAT, lambda m: m.pop("golden.npz")),
    "a member too many": lambda: remade(FLOAT, lambda m: None, lambda m: m["files"].update(extra="0" * 64)),
    "a wrong hash": lambda: remade(FLOAT, None, lambda m: m["files"].update({"model.onnx": "0" * 64})),
    "a manifest that is a list": lambda: pack_zip({**unpack_zip(FLOAT, ""), "manifest.json": b"[]"}),
    "a manifest that is not JSON": lambda: pack_zip({**unpack_zip(FLOAT, ""), "manifest.json": b"{"}),
    "a manifest that nests deeply": lambda: pack_zip({**unpack_zip(FLOAT, ""), "manifest.json": b"[" * 100_000}),
    "a manifest of two megabytes": lambda: remade(FLOAT, None, put("note", "x" * (2 << 20))),
    "a manifest with NaN": lambda: remade(FLOAT, None, put("rate_hz", float("nan"))),
    "a newer format": lambda: remade(FLOAT, None, put("format", 2)),
    "format zero": lambda: remade(FLOAT, None, put("format", 0)),
    "a format that is true": lambda: remade(FLOAT, None, put("format", True)),
    "no labels": lambda: remade(FLOAT, None, put("labels", [])),
    "one label twice": lambda: remade(FLOAT, None, put("labels", ["a", "a", "b", "c"])),
    "too few labels": lambda: remade(FLOAT, None, put("labels", ["a"])),
    "labels that are numbers": lambda: remade(FLOAT, None, put("labels", [1, 2, 3, 4])),
    "no channels": lambda: remade(FLOAT, None, put("channels", [])),
    "a rate of zero": lambda: remade(FLOAT, None, put("rate_hz", 0)),
    "an infinite rate": lambda: remade(FLOAT, None, put("rate_hz", float("inf"))),
    "a negative warm-up": lambda: remade(FLOAT, None, put("warmup_samples", -1)),
    "a gap policy of words": lambda: remade(FLOAT, None, put("gap", "reset")),
    "a detector of an unknown label": lambda: remade(FLOAT, None, put("detector", {"zz": {}})),
    "a detector that is a list": lambda: remade(FLOAT, None, put("detector", [])),
    "thresholds the wrong way round": lambda: remade(FLOAT, None, put("detector", {"b": {"enter": 0.1, "exit": 0.9}})),
    "an unknown precision": lambda: remade(FLOAT, None, put("precision", "float16")),
    "no precision": lambda: remade(FLOAT, None, drop("precision")),
    "an unknown layer": lambda: remade(FLOAT, None, layer("kind", "attention")),
    "a layer with a new key": lambda: remade(FLOAT, None, layer("gain", 2)),
    "a layer of a billion units": lambda: remade(FLOAT, None, layer("units", 10**9)),
    "a layer of true units": lambda: remade(FLOAT, None, layer("units", True)),
    "no layers": lambda: remade(FLOAT, None, put("layers", [])),
    "layers without end": lambda: remade(FLOAT, None, lambda m: m.update(layers=m["layers"] * 1000)),
    "another model's digest": lambda: remade(FLOAT, None, put("model_digest", "0" * 32)),
    "states of another type": lambda: remade(FLOAT, None, lambda m: m["states"][0].update(dtype="int8")),
    "states without shape": lambda: remade(FLOAT, None, lambda m: m["states"][0].pop("shape")),
    "an unknown task": lambda: remade(FLOAT, None, put("task", "rank")),
    "input that is a list": lambda: remade(FLOAT, None, put("input", [])),
    "training that is text": lambda: remade(FLOAT, None, put("training", "none")),
    "a front end": lambda: remade(FLOAT, None, put("front_end", {"kind": "log-mel"})),
    "int8 with a scale of zero": lambda: remade(INT8, None, lambda m: m["input"]["sx"].__setitem__(0, 0)),
    "int8 without its scale": lambda: remade(INT8, None, put("input", {})),
    "int8 with another scale": lambda: remade(INT8, None, put("input", {"sx": [1.0, 1.0, 1.0]})),
    "a weight missing": lambda: remade(FLOAT, arrays_of("weights.npz", lambda a: a.pop("l0.b_ih"))),
    "a weight of another shape": lambda: remade(
        FLOAT, arrays_of("weights.npz", lambda a: a.update({"l0.b_ih": np.zeros(3, np.float32)}))
    ),
    "a weight changed": lambda: remade(FLOAT, arrays_of("weights.npz", lambda a: a["l0.b_ih"].fill(0.5))),
    "a weight of NaN": lambda: remade(FLOAT, arrays_of("weights.npz", lambda a: a["l0.b_ih"].fill(np.nan))),
    "a standard deviation of zero": lambda: remade(FLOAT, arrays_of("weights.npz", lambda a: a["std"].fill(0))),
    "a pickled weight": lambda: remade(
        FLOAT, raw_npz("weights.npz", "mean.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"x"))
    ),
    "a weight that claims a terabyte": lambda: remade(
        FLOAT,
        raw_npz("weights.npz", "mean.npy", npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({1 << 38},), }}")),
    ),
    "a weight of a negative shape": lambda: remade(
        FLOAT, raw_npz("weights.npz", "mean.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }"))
    ),
    "a weight whose header is code": lambda: remade(
        FLOAT, raw_npz("weights.npz", "mean.npy", npy("__import__('os').abort()"))
    ),
    "a golden stream of no steps": lambda: remade(
        FLOAT, arrays_of("golden.npz", lambda a: a.update(x=a["x"][:0], y=a["y"][:0]))
    ),
    "a golden stream of NaN": lambda: remade(FLOAT, arrays_of("golden.npz", lambda a: a["x"].fill(np.nan))),
    "a golden stream without its state": lambda: remade(FLOAT, arrays_of("golden.npz", lambda a: a.pop("state.h0"))),
    "golden steps that do not match": lambda: remade(FLOAT, arrays_of("golden.npz", lambda a: a.update(y=a["y"][:-1]))),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_bundle_is_refused_quickly_in_little_memory_and_by_our_error(make):
    blob = make()
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BundleError) as caught:
        assert parse_bundle(blob).golden
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert "\n" not in str(caught.value).strip()


def test_a_bundle_that_promises_other_numbers_does_not_load():
    for blob in (FLOAT, INT8):
        lying = remade(blob, arrays_of("golden.npz", lambda a: a["y_q" if "y_q" in a else "y"].fill(7)))
        with pytest.raises(ParityError):
            from_bundle(parse_bundle(lying), "numpy")


def test_unknown_keys_of_a_manifest_are_kept():
    bundle = parse_bundle(remade(FLOAT, None, lambda m: m.update(vendor={"serial": 7})))
    assert bundle.manifest.extra == {"vendor": {"serial": 7}}
    assert json.loads(bundle.manifest.to_json())["vendor"] == {"serial": 7}


def test_a_file_beyond_the_cap_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "big.ernn"
    with path.open("wb") as file:
        file.truncate(MAX_BUNDLE_BYTES * 4)
    tracemalloc.start()
    with pytest.raises(BundleError, match="larger than"):
        read_bundle(path)
    assert tracemalloc.get_traced_memory()[1] < 2.5 * MAX_BUNDLE_BYTES
    tracemalloc.stop()


def test_a_file_that_is_not_there_or_a_folder_is_a_bundle_error(tmp_path):
    for path in (tmp_path / "none.ernn", tmp_path):
        with pytest.raises(BundleError, match="cannot read"):
            read_bundle(path)


def test_no_part_of_a_bundle_is_a_bundle():
    for length in range(0, len(FLOAT), 211):
        with pytest.raises(BundleError):
            parse_bundle(FLOAT[:length])


def accept(blob):
    """A valid bundle or a BundleError; a valid one runs, or tells that its numbers are others."""
    try:
        bundle = parse_bundle(blob)
        assert bundle.golden["x"].shape[1] == len(bundle.manifest.channels)
        from_bundle(bundle, "numpy")
    except (BundleError, ParityError):
        return


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(["change", "cut", "double"]), st.integers(1, 255)),
    min_size=1,
    max_size=3,
)


def mutate(blob, edits):
    for where, what, value in edits:
        at = int(where * len(blob))
        if what == "change":
            blob = blob[:at] + bytes([blob[at] ^ value]) + blob[at + 1 :] if blob else b""
        elif what == "cut":
            blob = blob[:at] + blob[at + value :]
        else:
            blob = blob[: at + value] + blob[at:]
    return blob


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.sampled_from([FLOAT, INT8]), EDITS)
def test_a_mutated_file_is_a_bundle_or_a_bundle_error(blob, edits):
    accept(mutate(blob, edits))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from([FLOAT, INT8]), st.sampled_from(["weights.npz", "golden.npz"]), EDITS)
def test_a_mutated_member_with_the_right_hash_is_a_bundle_or_a_bundle_error(blob, member, edits):
    accept(remade(blob, lambda m: m.__setitem__(member, mutate(m[member], edits))))


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[1]]),
    st.just({"a": {"b": 1}}),
    st.just("x" * 5000),
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from([FLOAT, INT8]), st.data(), ODD, st.sampled_from(["set", "delete", "add"]))
def test_a_manifest_with_an_odd_value_anywhere_is_a_bundle_or_a_bundle_error(blob, data, odd, what):
    def edit(manifest):
        place = manifest
        while True:
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 3)) == 0:
                break
            place = inner
        if what == "delete":
            del place[key]
        elif what == "add" and isinstance(place, dict):
            place["new"] = odd
        else:
            place[key] = odd

    accept(remade(blob, None, edit))
