"""The table and the two functions made of it, every argument of them."""

import numpy as np
from int8_models import read_golden

from edge_rnn.engines.lut import TANH_KNOTS, sigmoid_q24, tanh_q23

FLAT = 256 << 11
"""tanh is flat from here on."""


def test_the_table_is_the_golden_one():
    np.testing.assert_array_equal(TANH_KNOTS, read_golden("GRU")["lut"])


def test_the_table_follows_its_formula():
    t = np.tanh(np.arange(257) / 32)
    knots = np.minimum(2**23, np.rint(2**23 * (t + 2 * t * (1 - t * t) / (16 * 32**2))))
    np.testing.assert_array_equal(TANH_KNOTS[:256], knots[:256])
    assert TANH_KNOTS[0] == 0
    assert TANH_KNOTS[256] == 2**23
    assert 0 < TANH_KNOTS[256] - TANH_KNOTS[255] <= 2**10


def test_tanh_of_every_argument_is_odd_monotone_and_close():
    p = np.arange(FLAT + 3)
    v = tanh_q23(p)
    np.testing.assert_array_equal(tanh_q23(-p), -v)
    assert (np.diff(v) >= 0).all()
    assert v[0] == 0
    assert (v[FLAT - 1 :] == 2**23).all()
    assert np.abs(v / 2**23 - np.tanh(p / 65536)).max() < 5e-5


def test_sigmoid_of_every_argument_is_symmetric_monotone_and_close():
    p = np.arange(2 * FLAT + 3)
    v = sigmoid_q24(p)
    np.testing.assert_array_equal(sigmoid_q24(-p) + v, np.full(p.shape, 2**24))
    assert (np.diff(v) >= 0).all()
    assert v[0] == 2**23
    assert (v[2 * FLAT - 1 :] == 2**24).all()
    assert np.abs(v / 2**24 - 1 / (1 + np.exp(-p / 65536))).max() < 3e-5


def test_every_argument_agrees_with_the_definition_in_plain_integers():
    def f(p: int, shift: int) -> int:
        a = min(abs(p), (256 << shift) - 1)
        i, rest = divmod(a, 1 << shift)
        low, high = int(TANH_KNOTS[i]), int(TANH_KNOTS[i + 1])
        v = low + (((high - low) * rest + (1 << (shift - 1))) >> shift)
        return -v if p < 0 else v

    some = np.concatenate([np.arange(-FLAT - 2, FLAT + 3, 7), np.arange(-4100, 4100)])
    assert tanh_q23(some).tolist() == [f(int(p), 11) for p in some]
    assert (sigmoid_q24(some) - 2**23).tolist() == [f(int(p), 12) for p in some]


def test_the_largest_arguments_of_32_bits_are_flat():
    ends = np.array([2**31 - 1, -(2**31), 2**30, -(2**30)])
    assert tanh_q23(ends).tolist() == [2**23, -(2**23), 2**23, -(2**23)]
    assert sigmoid_q24(ends).tolist() == [2**24, 0, 2**24, 0]
