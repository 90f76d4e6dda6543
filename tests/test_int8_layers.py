"""Windows, statistics, convolutions and FastGRNN in exact integers: near their float twins from the first sample on."""

import shutil
import tracemalloc

import numpy as np
import pytest
from edge_rnn.export.bundle_writer import write_bundle
from edge_rnn.export.calibration import Calibration, run_integers, trace
from edge_rnn.export.checkpoint import Checkpoint
from edge_rnn.export.firmware_check import check
from edge_rnn.export.networks import Network
from edge_rnn.export.quantize import quantize
from edge_rnn.export.source import from_checkpoint
from firmware_models import bundle_of
from float_models import RIVALS, facts_of, float_graph
from int8_models import GOLDEN

from edge_rnn.bundle import read_bundle
from edge_rnn.engine import State
from edge_rnn.engines import native
from edge_rnn.engines.integer import IntegerEngine
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import Graph
from edge_rnn.layer import INT8_KINDS
from edge_rnn.parity import verify

EXACT = sorted(n for n, layers in RIVALS.items() if all(kind in INT8_KINDS for kind, *_ in layers))


def walk(rng, graph: Graph, steps: int) -> np.ndarray:
    """Smooth samples about the graph's mean, as large as its std."""
    x = np.cumsum(rng.normal(0, 0.3, (steps, graph.inputs)), axis=0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return (x * graph.arrays["std"] + graph.arrays["mean"]).astype(np.float32)


@pytest.mark.parametrize("stack", EXACT)
def test_the_integers_follow_the_float_twin_from_the_first_sample_on(stack):
    """A window that began with zero codes would begin with samples of mean / std, far from where the float one does."""
    rng = np.random.default_rng(2)
    graph = float_graph(stack, inputs=3)
    x = walk(rng, graph, 400)
    made = quantize(graph, Calibration(x), input_scale="range").graph
    wanted = trace(graph, x[:, None]).logits[:, 0]
    got = run_integers(made, x[:, None])[0][-1][:, 0] / 65536
    spread = wanted.std()
    assert np.abs(got[:8] - wanted[:8]).max() < 0.05 * spread, "the first samples"
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.02 * spread


@pytest.mark.parametrize("arch", ["perceptron", "mlp", "stats-mlp", "cnn", "fastgrnn"])
def test_an_architecture_becomes_an_int8_bundle_that_every_engine_proves(arch, tmp_path):
    rng = np.random.default_rng(3)
    graph = Network.of(arch, 3, 4, hidden=9, layers=2, window=11).to_graph()
    x = rng.normal(0.5, 1.5, (300, 3)).astype(np.float32)
    made = quantize(graph, Calibration(x), input_scale="range").graph
    _, report = write_bundle(made, facts_of(made), tmp_path / "m.ernn", steps=300)
    assert report.ok
    exact = {name for name, agreement in report.stream.items() if agreement.bit_exact}
    assert exact >= {"numpy", "onnxruntime", "native"}
    again = verify(read_bundle(tmp_path / "m.ernn"), steps=300)
    assert again.ok


@pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed: the firmware's C cannot be compiled")
@pytest.mark.parametrize("name", ["watch_fastgrnn32", "watch_mlp12", "watch_stats12", "watch_cnn12"])
def test_a_trained_model_has_the_same_bits_in_every_variant_and_in_the_firmwares_c(name):
    """Real samples of its calibration, then the same far beyond the range; state by state as well."""
    source = from_checkpoint(Checkpoint.load(GOLDEN.parent / "models" / f"{name}.pt"))
    calibration = Calibration(source.samples, source.starts, source.max_abs, source.lsb)
    graph = quantize(source.graph, calibration, input_scale="range").graph
    x = np.concatenate([source.samples[:2000], 50 * source.samples[:500], 1e6 * np.sign(source.samples[:500])])
    engine, state = IntegerEngine(graph), State(graph.states)
    wanted = np.zeros((len(x), graph.outputs), np.float32)
    engine.run(x, state, wanted)
    for isa in native.variants():
        moved, y = State(graph.states), np.zeros_like(wanted)
        variant = native.NativeEngine(graph, isa)
        variant.run(x[:1234], moved, y[:1234])
        crossed = State(graph.states)
        crossed.from_bytes(moved.to_bytes())
        variant.run(x[1234:], crossed, y[1234:])
        np.testing.assert_array_equal(y, wanted, err_msg=isa)
        assert crossed.to_bytes() == state.to_bytes(), isa
    peak = float(np.abs(x[:2000]).max())
    assert check(bundle_of(graph, peak), "generic", 1500).bit_exact


def test_a_bound_step_of_every_other_layer_allocates_nothing():
    for stack in EXACT:
        graph = float_graph(stack, inputs=3)
        made = quantize(graph, Calibration(walk(np.random.default_rng(6), graph, 100)), input_scale="range").graph
        for each in (graph, made):
            step, samples = native.NativeEngine(each).bind(State(each.states)), list(np.ones((500, 3), np.float32))
            step(samples[0])
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                for sample in samples:
                    step(sample)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak - before < 400, stack


def test_what_has_no_exact_form_is_refused_in_a_sentence():
    graph = Network.of("transformer", 3, 4, hidden=8, layers=1, window=11).to_graph()
    with pytest.raises(UsageError, match=r"no exact int8 form \(docs/numeric.md\): export it with --precision float32"):
        quantize(graph, Calibration(np.zeros((9, 3), np.float32)))


def test_a_fastgrnn_state_stops_at_its_ends():
    graph = float_graph("fastgrnn", inputs=3)
    x = walk(np.random.default_rng(4), graph, 300)
    made = quantize(graph, Calibration(x), input_scale="range").graph
    arrays = {name: a.copy() for name, a in made.arrays.items()}
    arrays["l0.zeta"][:], arrays["l0.nu"][:] = 1 << 24, 1 << 24
    arrays["l0.b_z"][:] = 1 << 20  # z is 1: it only adds up
    engine, state = IntegerEngine(Graph("int8", made.layers, arrays)), State(made.states)
    for _ in range(50):
        engine.step_int(np.full((1, 3), 32767, np.int16), state, np.zeros((1, 4), np.int32))
    assert np.abs(state.arrays[0]).max() == 1 << 29


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("l0.zeta", (1 << 24) + 1, "zeta and nu lie in 0..16777216"),
        ("l0.nu", -1, "zeta and nu lie in 0"),
        ("l0.b_h", 1 << 29, r"layer 0 \(fastgrnn\) b_h, row 0: \|b_h\| in Q16"),
        ("l0.ih_w", -128, r"\|Wq\|"),
    ],
)
def test_a_fastgrnn_beyond_its_obligations_is_refused(name, value, words):
    graph = float_graph("fastgrnn", inputs=3)
    made = quantize(graph, Calibration(walk(np.random.default_rng(5), graph, 100)), input_scale="range").graph
    arrays = {key: a.copy() for key, a in made.arrays.items()}
    arrays[name].flat[0] = value
    with pytest.raises(BundleError, match=words):
        Graph("int8", made.layers, arrays)
