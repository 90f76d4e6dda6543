import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.errors import BundleError
from edge_rnn.graph import Layer
from edge_rnn.manifest import Channel, DetectorParams, GapPolicy, Manifest


def made(**changes) -> Manifest:
    layers = (Layer("gru", 2, 3, "tanh"), Layer("dense", 3, 2, "none"))
    values = {
        "name": "wave",
        "version": "1.2.0",
        "created_by": "test",
        "model_digest": "00" * 16,
        "precision": "float32",
        "rate_hz": 50.0,
        "channels": tuple(Channel(name, "g", 0.0, 1.0, -2.0, 2.0) for name in ("ax", "ay")),
        "labels": ("rest", "wave"),
        "layers": layers,
        "states": layers[0].states(0, "float32"),
        "warmup_samples": 128,
        "gap": GapPolicy(3, 128),
        "detector": {"wave": DetectorParams()},
        "background": "rest",
    }
    return Manifest(**{**values, **changes})


def changed(**changes) -> bytes:
    value = json.loads(made().to_json())
    for path, item in changes.items():
        *parents, last = path.split("__")
        place = value
        for key in parents:
            place = place[int(key) if key.isdigit() else key]
        if item is None:
            del place[last]
        else:
            place[last] = item
    return json.dumps(value).encode()


def test_a_manifest_comes_back_as_it_was_and_gives_the_same_bytes():
    manifest = made()
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json()).to_json() == manifest.to_json()


def test_unknown_keys_are_kept_and_an_unknown_format_is_refused():
    manifest = Manifest.from_json(changed(colour="blue"))
    assert manifest.extra == {"colour": "blue"}
    assert b'"colour": "blue"' in manifest.to_json()
    with pytest.raises(BundleError, match="upgrade"):
        Manifest.from_json(changed(format=99))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": True}, "number"),
        ({"rate_hz": "50"}, "number"),
        ({"labels": ["wave", "wave"]}, "labels"),
        ({"labels": []}, "labels"),
        ({"channels__0__name": "ay"}, "channels"),
        ({"channels": []}, "channels"),
        ({"background": "sleep"}, "background"),
        ({"detector__sleep": {}}, "detector"),
        ({"detector__wave__enter": 0.1}, "enter"),
        ({"gap__short": 200}, "gap"),
        ({"gap__on_long": "guess"}, "guess"),
        ({"layers__0__kind": "conv9d"}, "conv9d"),
        ({"layers__0__units": 10**9}, "units"),
        ({"layers__0__secret": 1}, "secret"),
        ({"precision": "float16"}, "float16"),
        ({"warmup_samples": 1.5}, "integer"),
        ({"gap": None}, "gap"),
        ({"states": None}, "states"),
        ({"task": "dream"}, "task"),
    ],
)
def test_a_wrong_value_is_named(changes, word):
    with pytest.raises(BundleError, match=word):
        Manifest.from_json(changed(**changes))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=400)
@given(st.sampled_from(sorted(json.loads(made().to_json()))), JSON)
def test_any_value_at_any_key_is_read_or_refused_by_our_error(key, item):
    value = json.loads(made().to_json())
    value[key] = item
    try:
        Manifest.from_json(json.dumps(value).encode())
    except BundleError:
        return


def test_what_is_not_a_json_object_is_refused():
    for blob in (b"", b"\xff\xfe", b"[1]", b"{", b"[" * 100_000, b" " * (2 << 20)):
        with pytest.raises(BundleError):
            Manifest.from_json(blob)
