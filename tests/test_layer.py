"""A layer's sizes are checked where it is made: a hostile manifest gets no further."""

import pytest

from edge_rnn.errors import BundleError
from edge_rnn.layer import ACTIVATIONS, INT8_KINDS, MAX_STATE, SIZES, Layer

GOOD = {
    "conv": {"kind": "conv", "inputs": 3, "units": 4, "activation": "relu", "kernel": 3, "dilation": 2},
    "window": {"kind": "window", "inputs": 3, "units": 30, "activation": "none", "window": 10},
    "statistics": {"kind": "statistics", "inputs": 30, "units": 15, "activation": "none", "window": 10},
    "attention": {"kind": "attention", "inputs": 8, "units": 8, "activation": "none", "window": 10, "heads": 2},
    "feedforward": {"kind": "feedforward", "inputs": 8, "units": 8, "activation": "relu", "hidden": 12},
    "norm": {"kind": "norm", "inputs": 8, "units": 8, "activation": "none"},
    "fastgrnn": {"kind": "fastgrnn", "inputs": 3, "units": 8, "activation": "tanh"},
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_layer_is_read_as_it_was_written(kind):
    layer = Layer.from_json(GOOD[kind])
    assert layer.to_json() == GOOD[kind]
    assert Layer.from_json(layer.to_json()) == layer


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("conv", {"dilation": -2}, "dilation = -2, expected 1..4096"),
        ("conv", {"dilation": 0}, "dilation = 0"),
        ("conv", {"kernel": 65}, "kernel = 65, expected 1..64"),
        ("conv", {"kernel": True}, "kernel = True"),
        ("conv", {"kernel": 64, "dilation": 4096}, f"keeps 774144 numbers in buf, at most {MAX_STATE}"),
        ("conv", {"inputs": 4097}, "inputs = 4097"),
        ("conv", {"heads": 2}, "heads = 2, which it cannot have"),
        ("conv", {"kernel": None}, "kernel = None"),
        ("conv", {"activation": "tanh"}, "activation 'tanh', expected none or relu"),
        ("window", {"window": 1}, "window = 1, expected 2..4096"),
        ("window", {"window": 1 << 40}, "window = 1099511627776"),
        ("window", {"window": 9}, r"30 units of 3 inputs, expected window \* inputs"),
        ("window", {"window": 2.5}, "window = 2.5"),
        ("statistics", {"window": 7}, "15 units of 30 inputs"),
        ("statistics", {"units": 12}, "12 units of 30 inputs"),
        ("attention", {"heads": 3}, "8 units in 3 heads"),
        ("attention", {"units": 16}, "16 units of 8 inputs"),
        ("attention", {"inputs": 64, "units": 64, "window": 4096}, "keeps 262144 numbers in k"),
        ("feedforward", {"hidden": 5000}, "hidden = 5000"),
        ("feedforward", {"units": 9}, "9 units of 8 inputs, expected its inputs"),
        ("norm", {"window": 3}, "window = 3, which it cannot have"),
        ("fastgrnn", {"activation": "relu"}, "activation 'relu'"),
        ("fastgrnn", {"bits": 3}, "bits = 3"),
    ],
)
def test_sizes_that_cannot_be_are_refused_by_name(kind, change, words):
    with pytest.raises(BundleError, match=words):
        Layer.from_json({**GOOD[kind], **change})


def test_every_kind_with_sizes_has_a_case_here():
    assert set(GOOD) == set(ACTIVATIONS) - {"dense", "rnn", "gru", "lstm"}
    assert set(SIZES) <= set(GOOD)


@pytest.mark.parametrize("kind", sorted(set(GOOD) - set(INT8_KINDS)))
def test_a_kind_without_an_integer_form_says_so(kind):
    with pytest.raises(BundleError, match="no int8 form"):
        Layer.from_json(GOOD[kind]).arrays(0, "int8")


def test_multiply_accumulates_are_those_of_the_matrices_and_of_attentions_scores():
    assert Layer(**GOOD["conv"]).macs == 4 * 3 * 3
    assert Layer(**GOOD["fastgrnn"]).macs == 8 * 3 + 8 * 8
    assert Layer(**GOOD["attention"]).macs == 3 * 8 * 8 + 8 * 8 + 2 * 10 * 8
    assert Layer(**GOOD["feedforward"]).macs == 2 * 8 * 12
    assert Layer(**GOOD["window"]).macs == 0
