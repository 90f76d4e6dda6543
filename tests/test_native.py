"""The native engine from Python: every variant against vectors others made, its checks, its threads, its memory."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from edge_rnn.engine import State, as_samples
from edge_rnn.engines import native
from edge_rnn.engines.numpy import NumpyEngine, open_graph, reference_state
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph

from .int8_models import GOLDEN_NAMES, KINDS, float_graph, golden_graph, random_graph, random_layers, read_golden

try:
    VARIANTS = native.variants()
except UsageError as error:  # CI asserts that it was built: see test_the_extension_was_built_in_ci
    VARIANTS = []
    NOT_BUILT = str(error)

built = pytest.mark.skipif(not VARIANTS, reason="the native engine was not built (no compiler)")


def test_the_extension_was_built_in_ci():
    if os.environ.get("CI") == "true":
        assert VARIANTS, NOT_BUILT
        assert len(VARIANTS) >= 2, "only the portable kernel was built: the compiler gave no SIMD variant"


@pytest.fixture
def small():
    graph = float_graph(np.random.default_rng(1), ["gru", "lstm"], 5, 3, units=9)
    engine = native.NativeEngine(graph)
    return graph, engine, State(graph.states)


@built
@pytest.mark.parametrize("isa", VARIANTS)
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_golden_logit_comes_out_of_every_variant(name, isa):
    golden = read_golden(name)
    graph = golden_graph(golden)
    engine = native.NativeEngine(graph, isa)
    assert engine.isa == isa
    state, once = State(graph.states), np.empty((1, graph.outputs), np.int32)
    for t, xq in enumerate(golden["xq"][:500]):
        engine.step_int(xq[None], state, once)
        assert np.array_equal(once[0], golden["y_q"][t]), f"step {t}"
    y = np.empty((len(golden["x"]), graph.outputs), np.float32)
    engine.run(golden["x"], State(graph.states), y)
    assert np.array_equal(y, (golden["y_q"] / 65536).astype(np.float32))


@built
@pytest.mark.parametrize("isa", VARIANTS)
@pytest.mark.parametrize("seed", range(4))
def test_a_state_crosses_between_native_and_numpy_at_any_step(isa, seed):
    rng = np.random.default_rng(seed)
    kinds = [str(k) for k in rng.choice(KINDS, 3)]
    widths = [int(w) for w in rng.integers(1, 40, 3)]
    graph = random_graph(rng, random_layers(rng, kinds, 4, widths, 5))
    engines = [native.NativeEngine(graph, isa), open_graph(graph)]
    xq = rng.integers(-32768, 32768, (120, 4)).astype(np.int16)
    crossing, steady = State(graph.states), State(graph.states)
    a, b = np.empty((1, 5), np.int32), np.empty((1, 5), np.int32)
    for t in range(len(xq)):
        moved = State(graph.states)
        moved.from_bytes(crossing.to_bytes())
        crossing = moved
        engines[int(rng.integers(2))].step_int(xq[t : t + 1], crossing, a)
        engines[1].step_int(xq[t : t + 1], steady, b)
        assert np.array_equal(a, b), f"step {t}"
        assert crossing.to_bytes() == steady.to_bytes(), f"step {t}"


@built
@pytest.mark.parametrize("isa", VARIANTS)
def test_a_group_is_many_streams_in_lockstep(isa):
    rng = np.random.default_rng(3)
    graph = float_graph(rng, ["lstm", "gru", "rnn"], 4, 6, units=21)
    engine = native.NativeEngine(graph, isa)
    x = rng.standard_normal((30, 11, 4)).astype(np.float32)
    group, logits = State(graph.states, 11), np.empty((11, 6), np.float32)
    for batch in x:
        engine.step(batch, group, logits)
    for s in range(11):
        alone, y, reference = State(graph.states), np.empty((30, 6), np.float32), np.empty((1, 6))
        engine.run(np.ascontiguousarray(x[:, s]), alone, y)
        assert np.allclose(y[-1], logits[s], atol=2e-6, rtol=0)
        float64, truth = NumpyEngine(graph, np.float64), reference_state(graph)
        for t in range(30):
            float64.step(x[t, s : s + 1], truth, reference)
        assert np.abs(y[-1] - reference[0]).max() < 5e-6


@built
@pytest.mark.parametrize("isa", VARIANTS)
@pytest.mark.parametrize("seed", range(6))
def test_any_cut_of_a_sequence_gives_the_same_floats_to_the_bit(isa, seed):
    rng = np.random.default_rng(seed)
    kinds = [str(k) for k in rng.choice(["gru", "lstm", "rnn", "dense"], 3)]
    graph = float_graph(rng, kinds, int(rng.integers(1, 40)), int(rng.integers(1, 20)), units=int(rng.integers(1, 140)))
    engine, whole, cut, single = native.NativeEngine(graph, isa), *(State(graph.states) for _ in range(3))
    x = rng.standard_normal((120, graph.inputs)).astype(np.float32)
    ys = [np.empty((120, graph.outputs), np.float32) for _ in range(3)]
    engine.run(x, whole, ys[0])
    for part in np.split(np.arange(120), np.sort(rng.choice(np.arange(1, 120), 12, replace=False))):
        rows = np.empty((len(part), graph.outputs), np.float32)
        engine.run(x[part], cut, rows)
        ys[1][part] = rows
    step = engine.bind(single)
    for t, sample in enumerate(x):
        ys[2][t] = step(sample)
    assert ys[0].tobytes() == ys[1].tobytes() == ys[2].tobytes()
    assert whole.to_bytes() == cut.to_bytes() == single.to_bytes()
    exact = np.empty((120, graph.outputs))
    NumpyEngine(graph, np.float64).run(x, reference_state(graph), exact)  # type: ignore[arg-type]
    np.testing.assert_allclose(ys[0], exact, rtol=0, atol=5e-6)


@built
@pytest.mark.parametrize("isa", VARIANTS)
@pytest.mark.parametrize(("kinds", "units"), [(["lstm"], 128), (["lstm"], 67), (["gru"], 96), (["gru", "gru"], 80)])
def test_no_bit_tells_from_which_end_a_step_took_its_weights(isa, kinds, units):
    rng = np.random.default_rng(units)
    graph = float_graph(rng, kinds, 9, 6, units=units)
    engine, whole, carried = native.NativeEngine(graph, isa), State(graph.states), State(graph.states)
    x = rng.standard_normal((45, graph.inputs)).astype(np.float32)
    ys = [np.empty((45, graph.outputs), np.float32) for _ in range(2)]
    engine.run(x, whole, ys[0])
    for first, last in itertools.pairwise([0, 1, 4, 20, 45]):  # each stepper begins with the first block of weights
        step = engine.bind(carried)
        for t in range(first, last):
            ys[1][t] = step(x[t])
    assert ys[0].tobytes() == ys[1].tobytes()
    assert whole.to_bytes() == carried.to_bytes()
    exact = np.empty((45, graph.outputs))
    NumpyEngine(graph, np.float64).run(x, reference_state(graph), exact)  # type: ignore[arg-type]
    np.testing.assert_allclose(ys[0], exact, rtol=0, atol=5e-6)


@built
@pytest.mark.parametrize("isa", VARIANTS)
@pytest.mark.parametrize("gate", [4.0, 6.0, 8.0, 9.5, 15.0])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_unit_with_a_saturated_gate_does_not_leak(isa, gate, kind):
    """A slow unit adds up what its gate is wrong by: 4e-7 a step moved it by 1e-4 in a thousand steps."""
    graph = float_graph(np.random.default_rng(7), [kind], 3, 2, units=8)
    arrays = {name: array.copy() for name, array in graph.arrays.items()}
    for name in ("l0.w_ih", "l0.w_hh"):
        arrays[name][8:16] = 0  # GRU's z and LSTM's f: the second gate of both
    arrays["l0.b_ih"][8:16], arrays["l0.b_hh"][8:16] = gate, 0
    graph = Graph("float32", graph.layers, arrays)
    x = np.random.default_rng(8).normal(0, 1, (1000, 3)).astype(np.float32)
    engine, truth = native.NativeEngine(graph, isa), NumpyEngine(graph, np.float64)
    y, exact = np.empty((1000, 2), np.float32), np.empty((1000, 2))
    state, exact_state = State(graph.states), reference_state(graph)
    engine.run(x, state, y)
    truth.run(x, exact_state, exact)  # type: ignore[arg-type]
    for mine, theirs in zip(state.arrays, exact_state.arrays, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-5)


@built
def test_numbers_of_other_kinds_are_converted(small):
    _, engine, state = small
    sample = [1.0, -2.0, 0.5, 3.0, 0.0]
    forms = [np.array(sample, np.float32), np.array(sample), sample, tuple(sample), np.array(sample, ">f4")]
    forms += [np.repeat(np.array(sample, np.float32), 2)[::2], np.array(sample, np.float16)]
    rows = []
    for form in forms:
        state.zero()
        rows.append(engine.bind(state)(form).copy())
    assert all(np.array_equal(row, rows[0]) for row in rows)


@built
@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(4, np.float32), np.zeros((1, 5), np.float32), np.zeros(6, np.float32), np.float32(1), [1, 2], None,
        "12345", b"12345", np.zeros(5, complex), np.array([1, 2, 3, 4, None]), [1, 2, 3, 4, np.nan],
        np.array([0, 0, np.inf, 0, 0], np.float32), np.array([0, 0, 0, 0, -np.inf]), np.array([1e39] * 5),
        np.full(5, np.nan, np.float32), np.array(["a"] * 5), np.zeros(5, "M8[s]"), {"a": 1}, np.zeros(0, np.float32),
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_sample_raises_and_the_state_stays(small, bad):
    _, engine, state = small
    step = engine.bind(state)
    step(np.ones(5, np.float32))
    before = state.to_bytes()
    with pytest.raises(UsageError):
        step(bad)
    assert state.to_bytes() == before


@built
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_nan_anywhere_leaves_run_and_group_unmoved(precision):
    rng = np.random.default_rng(0)
    layers = random_layers(rng, ["gru"], 3, [8], 2)
    graph = float_graph(rng, ["gru"], 3, 2) if precision == "float32" else random_graph(rng, layers)
    engine, state = native.NativeEngine(graph), State(graph.states, 9)
    for call, rows in ((engine.step, 9), (engine.run, 9)):
        state = State(graph.states, 9 if call == engine.step else 1)
        for row in range(rows):
            x = np.zeros((rows, 3), np.float32)
            x[row, 2] = np.nan
            with pytest.raises(ValueError, match="NaN"):
                call(x, state, np.empty((rows, 2), np.float32))
            assert not any(a.any() for a in state.arrays)


@built
def test_the_hot_path_allocates_nothing(small):
    _, engine, state = small
    step = engine.bind(state)
    x = np.random.default_rng(0).standard_normal((2000, 5)).astype(np.float32)
    samples = list(x)
    step(samples[0])
    tracemalloc.start()
    try:
        step(samples[1])
        before = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for sample in samples:
            step(sample)
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The loop itself keeps one iterator; a step that allocated and freed would lift the peak by its array.
    assert current - before[0] < 200
    assert peak - before[0] < 400


@built
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_eight_threads_share_one_model(precision):
    rng = np.random.default_rng(5)
    kinds, units = ["gru", "lstm"], 24
    layers = random_layers(rng, kinds, 6, [units] * 2, 4)
    graph = float_graph(rng, kinds, 6, 4, units=units) if precision == "float32" else random_graph(rng, layers)
    engine = native.NativeEngine(graph)
    x = rng.standard_normal((8, 400, 6)).astype(np.float32)
    alone = np.empty((8, 400, 4), np.float32)
    for worker in range(8):
        engine.run(x[worker], State(graph.states), alone[worker])
    seen = np.full((8, 10, 400, 4), np.nan, np.float32)

    def work(worker):
        for repeat in range(10):
            state = State(graph.states)
            if repeat % 2:
                engine.run(x[worker], state, seen[worker, repeat])
            else:
                step = engine.bind(state)
                for t in range(400):
                    seen[worker, repeat, t] = step(x[worker, t])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(seen, np.broadcast_to(alone[:, None], seen.shape))


@built
def test_the_environment_names_the_variant(monkeypatch, small):
    for isa in VARIANTS:
        monkeypatch.setenv("EDGE_RNN_ISA", isa)
        assert native.NativeEngine(small[0]).isa == isa
    monkeypatch.setenv("EDGE_RNN_ISA", "altivec")
    with pytest.raises(UsageError, match="altivec"):
        native.NativeEngine(small[0])


@built
def test_without_the_extension_models_run_on_numpy_and_one_line_says_so():
    code = (
        "import sys, logging; sys.modules['edge_rnn._native'] = None\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "from edge_rnn.engine import open_engine\n"
        "from types import SimpleNamespace\n"
        "import numpy as np\n"
        "from tests.int8_models import float_graph\n"
        "b = SimpleNamespace(graph=float_graph(np.random.default_rng(0), ['gru'], 3, 2), reach=1e9)\n"
        "print(open_engine(b).name, open_engine(b).name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "numpy numpy\n"
    assert done.stderr.count("NumPy") == 1


@pytest.mark.parametrize("missing", ["BINDING = 1", "pass"])
def test_an_extension_of_other_sources_is_named_and_models_run_on_numpy(missing):
    code = (
        "import sys, types, logging\n"
        f"class Old(types.ModuleType): {missing}\n"
        "sys.modules['edge_rnn._native'] = Old('edge_rnn._native')\n"
        "sys.modules['edge_rnn._native'].__file__ = 'old.so'\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "from types import SimpleNamespace\n"
        "import numpy as np\n"
        "from edge_rnn.detect import _averages\n"
        "from edge_rnn.engine import available_engines, open_engine\n"
        "from tests.int8_models import float_graph\n"
        "b = SimpleNamespace(graph=float_graph(np.random.default_rng(0), ['gru'], 3, 2), reach=1e9)\n"
        "print(open_engine(b).name, open_engine(b).name)\n"
        "print(available_engines()['native'], _averages())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("numpy numpy\nold.so was built from other sources")
    assert done.stderr.count("make .venv/.native") == 1


class TestKernelRefuses:
    """The extension's own checks: whatever comes, an exception and never a crash."""

    def arguments(self):
        graph = golden_graph(read_golden("GRU5_normalised"))
        layers = tuple(native._layer(graph, i, layer) for i, layer in enumerate(graph.layers))
        return "int8", layers, (graph.arrays["sx"], np.array([1e30], np.float32)), None

    @built
    def test_arrays_of_another_size_or_type(self):
        from edge_rnn import _native

        precision, layers, edge, isa = self.arguments()
        for index in range(len(layers[0][-1])):
            for change in (lambda a: a[:-1], lambda a: a.astype(np.float64), lambda a: None, lambda a: a[..., ::2]):
                arrays = list(layers[0][-1])
                arrays[index] = change(arrays[index])
                with pytest.raises((ValueError, TypeError, BufferError)):
                    _native.Kernel(precision, ((*layers[0][:-1], tuple(arrays)), *layers[1:]), edge, isa)

    @built
    def test_weights_that_break_an_obligation(self):
        from edge_rnn import _native

        precision, layers, edge, isa = self.arguments()
        # ih_w, ih_m, ih_S_k, hh_w, hh_m, hh_S_k, b, bn
        wrong = {0: -128, 1: 0, 2: 63, 3: -128, 4: -1, 5: 0, 6: 2**29, 7: -(2**31)}
        for index, value in wrong.items():
            arrays = [a.copy() for a in layers[0][-1]]
            arrays[index].flat[0] = value
            with pytest.raises(ValueError, match="layer 0"):
                _native.Kernel(precision, ((*layers[0][:-1], tuple(arrays)), *layers[1:]), edge, isa)

    @built
    def test_random_specifications(self):
        from edge_rnn import _native

        rng = np.random.default_rng(0)
        precision, layers, edge, isa = self.arguments()
        made = 0
        for _ in range(3000):
            changed = [list(layer) for layer in layers]
            layer = changed[rng.integers(len(changed))]
            field = int(rng.integers(11))
            if field < 10:
                layer[field] = int(rng.choice([-1, 0, 1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 65536, 2**31 - 1]))
            else:
                arrays = [a.copy() for a in layer[10]]
                array = arrays[rng.integers(len(arrays))]
                array.view(np.uint8).reshape(-1)[rng.integers(array.nbytes)] ^= 1 << rng.integers(8)
                layer[10] = tuple(arrays)
            try:
                kernel = _native.Kernel(precision, tuple(tuple(layer) for layer in changed), edge, isa)
            except (ValueError, TypeError, OverflowError):
                continue
            made += 1
            states = (np.zeros((1, 5), np.int32),)
            kernel.run(np.full((3, 3), 1e6, np.float32), states, np.empty((3, 5), np.float32))
        assert 100 < made < 2900

    @built
    def test_buffers_that_do_not_fit_a_call(self, small):
        _, engine, state = small
        kernel, out = engine._kernel, np.zeros((4, 3), np.float32)
        x = np.zeros((4, 5), np.float32)
        frozen = np.zeros((4, 3), np.float32)
        frozen.flags.writeable = False
        calls = [
            (x[:, :4].copy(), state.arrays, out), (x.astype(np.float64), state.arrays, out),
            (x, state.arrays[:2], out), (x, (*state.arrays[:2], np.zeros(1, np.float32)), out),
            (x, state.arrays, out[:3].copy()), (x, state.arrays, frozen), (x, list(state.arrays), out),
            (x[::2], state.arrays, out), (np.float32(1), state.arrays, out), (None, None, None),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises((ValueError, TypeError, BufferError)):
                kernel.run(*call)
        with pytest.raises(ValueError, match="integers"):
            kernel.step_int(x.astype(np.int16), state.arrays, out.astype(np.int32))


def test_samples_that_begin_at_an_odd_byte_reach_an_engine_aligned():
    """A view into a frame's bytes may be contiguous and still not lie where C may read floats."""
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1).reshape(4, 3)
    assert not odd.flags.aligned
    taken = as_samples(odd, 3, 2)
    assert taken.flags.aligned
    assert np.array_equal(taken, x)
    assert as_samples(x, 3, 2) is x
