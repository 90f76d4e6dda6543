"""Fields and values, against what `dataclasses` makes of the same classes."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn.events import Started
from edge_rnn.value import Fields, Value, fresh

ROOT = Path(__file__).parents[1]


class Point(Value):
    x: int
    y: int = 2
    tags: dict = fresh(factory=dict)


class Far(Point):
    z: int = 3


class Sums(Fields):
    total: int = 0
    seen: int = 0


@dataclasses.dataclass(frozen=True)
class TruePoint:
    x: int
    y: int = 2
    tags: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class TrueSums:
    total: int = 0
    seen: int = 0


NAMES = st.sampled_from(["x", "y", "tags", "total", "seen", "z"])


@given(st.lists(st.integers(0, 3), max_size=4), st.dictionaries(NAMES, st.integers(0, 3), max_size=4))
@pytest.mark.parametrize("pair", [(Point, TruePoint), (Sums, TrueSums)])
def test_any_call_gives_the_fields_or_the_error_that_a_dataclass_gives(pair, args, kwargs):
    ours, theirs = pair
    try:
        expected = theirs(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            ours(*args, **kwargs)
        return
    came = ours(*args, **kwargs)
    assert came.to_dict() == dataclasses.asdict(expected) == dataclasses.asdict(came)
    assert repr(came) == repr(expected).replace("True", "")


@given(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2)
def test_values_are_equal_and_hash_alike_where_those_of_a_dataclass_are(a, b):
    def both(make):
        return make(*a, ()) == make(*b, ()), hash(make(*a, ())) == hash(make(*b, ()))

    assert both(Point) == both(TruePoint)


def test_a_value_is_frozen_and_fields_are_not():
    point, sums = Point(1), Sums()
    for change in (lambda: setattr(point, "x", 2), lambda: setattr(point, "new", 2), lambda: delattr(point, "x")):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    sums.total += 5
    assert (point, sums) == (Point(1), Sums(5))
    with pytest.raises(TypeError, match="unhashable"):
        hash(sums)


def test_a_default_that_is_made_anew_is_shared_by_none():
    first, second = Point(1), Point(1)
    first.tags["a"] = 1
    assert second.tags == {}


def test_a_subclass_has_its_own_fields_behind_those_of_its_base_and_is_equal_to_none_of_them():
    assert Far(1).to_dict() == {"x": 1, "y": 2, "tags": {}, "z": 3}
    assert Far(1) != Point(1)
    assert Point(1) != (1, 2, {})


def test_the_functions_of_dataclasses_take_values():
    point = Point(1, tags={"a": 1})
    assert dataclasses.replace(point, y=5) == Point(1, 5, {"a": 1})
    assert [f.name for f in dataclasses.fields(Far)] == ["x", "y", "tags", "z"]
    assert dataclasses.asdict(point)["tags"] is not point.tags
    with pytest.raises(TypeError):
        dataclasses.replace(point, nothing=1)


def test_a_value_survives_copy_and_pickle():
    event = Started("walk", 1, 2, "id")
    assert copy.deepcopy(event) == copy.copy(event) == pickle.loads(pickle.dumps(event)) == event


def test_mypy_knows_the_constructor_and_that_a_value_is_frozen(tmp_path):
    """Negative controls beside what is right: each line with `wrong` must be complained about, and no other."""
    program = tmp_path / "program.py"
    program.write_text(
        "from edge_rnn.value import Fields, Value, fresh\n"
        "class Point(Value):\n    x: int\n    tags: dict[str, int] = fresh(factory=dict)\n"
        "class Sums(Fields):\n    total: int = 0\n"
        "p, s = Point(1), Sums()\n"
        "Point(1, tags={'a': 1})\n"
        "s.total = 2\n"
        "Point()  # wrong\n"
        "Point('a')  # wrong\n"
        "Point(1, 2)  # wrong\n"
        "Sums(totals=1)  # wrong\n"
        "p.x = 2  # wrong\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(program)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    complained = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    wrong = {n for n, line in enumerate(program.read_text().splitlines(), 1) if "wrong" in line}
    assert complained == wrong, done.stdout
