"""Units into other units: known factors, there and back; and texts that say what is converted."""

import numpy as np
import pytest

from edge_rnn.endpoints.converted import Converted
from edge_rnn.errors import UsageError
from edge_rnn.manifest import Channel
from edge_rnn.recording import Chunk
from edge_rnn.units import FACTORS, conversions, factor

CHANNELS = [*(Channel(name, "m/s^2", 0, 1, -2, 2) for name in ("ax", "ay")), Channel("gx", "dps", 0, 1, -2, 2)]


def test_factors_are_those_of_the_si_and_go_back():
    assert factor("g", "m/s2") == 9.80665
    assert factor("rad/s", "°/s") * np.pi == pytest.approx(180)
    assert factor("V", "V") == 1
    for one, other, _ in FACTORS:
        assert factor(one, other) * factor(other, one) == pytest.approx(1)


@pytest.mark.parametrize(
    ("texts", "factors"),
    [
        ([], [1, 1, 1]),
        (["g:m/s2"], [9.80665, 9.80665, 1]),
        (["ax=mg:m/s2", "rad/s:deg/s"], [9.80665e-3, 1, 180 / np.pi]),
        (["ax,gx=*-2"], [-2, 1, -2]),
    ],
)
def test_a_text_says_which_channels_and_by_how_much(texts, factors):
    assert conversions(texts, CHANNELS) == pytest.approx(factors)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("g", "expected g:m/s2"),
        ("g:V", "no conversion that is known"),
        ("V:mV", "its units are m/s^2, dps"),
        ("az=g:m/s2", "names az, the model has ax, ay, gx"),
        ("ax=*zero", "is no factor"),
        ("*2", "names no channel"),
    ],
)
def test_what_cannot_be_converted_is_told(text, words):
    with pytest.raises(UsageError, match=None) as told:
        conversions([text], CHANNELS)
    assert words in str(told.value)


def test_a_converted_source_is_the_source_with_other_numbers():
    class Two:
        malformed, reports, channels, rate_hz = 3, ["line 2"], ("a", "b"), 50.0

        def __iter__(self):
            yield Chunk(np.float32([[1, np.nan], [1e38, 4]]), np.int64([5, 6]), None, True, "one")

    source = Converted(Two(), [9.80665, 0.5])
    (chunk,) = source
    np.testing.assert_array_equal(chunk.samples, np.float32([[9.80665, np.nan], [np.inf, 2]]))
    assert (chunk.t_ns.tolist(), chunk.restart, chunk.name) == ([5, 6], True, "one")
    assert (source.malformed, source.reports, source.channels, source.rate_hz) == (3, ["line 2"], ("a", "b"), 50.0)
