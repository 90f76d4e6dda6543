"""R14: no line depends on what time it is; real processes under a system clock that lies."""

import pytest
from wrong_clocks import CLOCKS, WAYS, WrongClocks, lies

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    return WrongClocks(tmp_path_factory.mktemp("clocks"))


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_clock_lies_as_it_should(rig, clock):
    assert lies(rig, clock)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_said_is_the_same_whatever_the_clock_says(rig, way):
    truth = getattr(rig, way)("true")
    assert len(truth) > 200
    for clock in CLOCKS[1:]:
        assert getattr(rig, way)(clock) == truth, clock


def test_a_feeder_that_trusts_the_system_clock_is_led_astray(rig):
    assert "Gap" in rig.control("steps")
    assert "Gap" in rig.control("suspend")
