"""Parity tells apart engines that agree from engines that do not: each kind of fault must be found."""

import json

import numpy as np
import pytest
from edge_rnn.export.bundle_writer import build_bundle
from edge_rnn.export.torch_engine import TorchEngine
from float_models import facts_of, float_graph
from int8_models import golden_graph, read_golden

from edge_rnn import parity
from edge_rnn.bundle import parse_bundle
from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine, open_graph
from edge_rnn.engines.steps import bind_step, run_by_steps
from edge_rnn.errors import MissingExtra, ParityError, UsageError
from edge_rnn.golden import Agreement, close, compare_golden, count_step, self_test

FLOAT, INT8 = float_graph("gru"), golden_graph(read_golden("GRU"))


@pytest.fixture(scope="module")
def bundles():
    return {graph.precision: parse_bundle(build_bundle(graph, facts_of(graph))) for graph in (FLOAT, INT8)}


class Faulty:
    """NumPy with a fault that `break_` puts into step `at` (counted over the engine's life)."""

    name = "numpy"

    def __init__(self, graph, break_, at):
        self.graph, self._inner, self._break, self._at, self._t = graph, open_graph(graph), break_, at, 0

    def _after(self, state, out):
        if self._t == self._at:
            self._break(state, out)
        self._t += 1

    def step(self, x, state, out):
        self._inner.step(x, state, out)
        self._after(state, out)

    def step_int(self, xq, state, out):
        self._inner.step_int(xq, state, out)
        self._after(state, out)

    def run(self, x, state, out):
        run_by_steps(self, x, state, out)

    def bind(self, state):
        return bind_step(self, self.graph, state)


def one_off_in_the_logits(state, out):
    out[0, -1] += 1 if out.dtype == np.int32 else 2.0**-16


def one_off_in_the_state(state, out):
    state.arrays[0][0, 3] += 1


def not_a_number(state, out):
    out[0, 0] = np.nan


def test_numpy_and_onnxruntime_agree_in_both_precisions(bundles):
    for bundle in bundles.values():
        report = parity.verify(bundle, steps=600)
        assert report.ok
        assert {"numpy", "onnxruntime"} <= set(report.stream)
    assert report.stream["onnxruntime"].bit_exact
    assert report.stream["onnxruntime"].steps == 600


@pytest.mark.parametrize("at", [0, 1, 2, 299, 300, 599])
@pytest.mark.parametrize("fault", [one_off_in_the_logits, one_off_in_the_state])
def test_one_bit_at_one_step_of_an_int8_engine_is_found_at_that_step(bundles, monkeypatch, fault, at):
    golden = 256 * 2  # the golden stream is passed first, in one run and step by step
    monkeypatch.setattr(parity, "open_engine", lambda bundle, name: Faulty(bundle.graph, fault, golden + at))
    report = parity.verify(bundles["int8"], "numpy", 600)
    assert report.golden["numpy"].ok
    assert report.stream["numpy"].first_divergent_step == at
    assert not report.stream["numpy"].bit_exact
    assert not report.ok
    assert f"from step {at}" in report.differences()


def test_a_float_engine_may_differ_within_tolerance_and_no_further(bundles, monkeypatch):
    for size, good in ((5e-5, True), (5e-3, False)):

        def shift(state, out, size=size):
            out += size

        monkeypatch.setattr(parity, "open_engine", lambda b, n, shift=shift: Faulty(b.graph, shift, 512 + 40))
        report = parity.verify(bundles["float32"], "numpy", 100)
        assert report.ok is good
        assert report.stream["numpy"].first_divergent_step == (None if good else 40)
        assert report.stream["numpy"].max_abs_err == pytest.approx(size, rel=0.05)


def test_a_logit_that_cancels_is_compared_with_the_largest_of_its_step():
    expected = np.array([[1000.0, 0.001], [1.0, 0.001], [0.0, 0.0]])
    assert close(expected + 0.05, expected).tolist() == [True, False, False]
    assert close(expected + 9e-5, expected).all()
    assert not close(expected * np.nan, expected).any()


def test_nan_from_a_float_engine_is_a_difference_and_still_json(bundles, monkeypatch):
    monkeypatch.setattr(parity, "open_engine", lambda b, n: Faulty(b.graph, not_a_number, 512 + 7))
    report = parity.verify(bundles["float32"], "numpy", 20)
    assert report.stream["numpy"].first_divergent_step == 7
    value = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert value["engines"]["numpy"]["max_abs_err"] is None


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_self_test_finds_a_wrong_engine_and_names_the_step(bundles, precision):
    bundle = bundles[precision]
    self_test(bundle, open_graph(bundle.graph))
    with pytest.raises(ParityError, match="from golden step 31"):
        self_test(bundle, Faulty(bundle.graph, lambda state, out: out.fill(3), 31))
    self_test(bundle, Faulty(bundle.graph, lambda state, out: out.fill(3), 32))


def test_a_wrong_final_state_alone_is_found_on_the_golden_stream(bundles):
    bundle = bundles["int8"]
    agreement = compare_golden(bundle, Faulty(bundle.graph, one_off_in_the_state, 255))
    assert agreement.first_divergent_step == 255


def test_logits_beyond_what_float32_holds_are_compared_as_integers(bundles):
    """2^25 and 2^25 + 1 are one float32."""
    agreement = Agreement()
    big = np.array([1 << 25], np.int32)
    count_step(agreement, INT8, big + 1, big, ())
    assert not agreement.ok
    assert agreement.max_abs_err == 2.0**-16


def test_torch_may_be_the_reference_of_a_float_model(bundles):
    report = parity.verify(bundles["float32"], "numpy", 1500, reference=TorchEngine(FLOAT))
    assert report.ok
    assert report.stream["numpy"].max_abs_err < 1e-5


def test_a_float_model_starts_again_from_zero_every_thousand_steps(bundles):
    """The reference of step 1000 knows nothing of steps before it."""
    seen = []

    class Watching(NumpyEngine):
        def run(self, x, state, out):
            seen.append((len(x), all(not a.any() for a in state.arrays)))
            super().run(x, state, out)

    parity.verify(bundles["float32"], "numpy", 2300, reference=Watching(FLOAT))
    assert seen == [(1000, True), (1000, True), (300, True)]


def test_an_engine_that_is_not_here_is_skipped_with_its_reason(bundles, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    report = parity.verify(bundles["int8"], steps=10)
    assert "pip install" in report.skipped["onnxruntime"]
    assert report.ok
    assert set(report.to_json()["engines"]["onnxruntime"]) == {"skipped"}
    with pytest.raises(MissingExtra):
        parity.verify(bundles["int8"], "onnxruntime", 10)


def test_an_unknown_engine_is_a_usage_error(bundles):
    with pytest.raises(UsageError, match="unknown"):
        parity.verify(bundles["int8"], "gpu", 10)


def test_the_report_has_the_promised_form(bundles):
    value = parity.verify(bundles["int8"], "numpy", 50).to_json()
    assert value["ok"] is True
    numpy = value["engines"]["numpy"]
    assert {k: numpy[k] for k in ("steps", "bit_exact", "max_abs_err", "first_divergent_step")} == {
        "steps": 50,
        "bit_exact": True,
        "max_abs_err": 0.0,
        "first_divergent_step": None,
    }
    assert numpy["golden"]["steps"] == 256


def test_verify_leaves_an_engine_without_a_state(bundles):
    """Two verifications of one engine give the same: nothing is carried over."""
    engine = open_graph(INT8)
    first, second = (compare_golden(bundles["int8"], engine) for _ in range(2))
    assert first == second
    assert State(INT8.states).to_bytes() == bytes(sum(s.width * 4 for s in INT8.states))
