"""Quantization: the golden integers from the golden floats, what is chosen from calibration, and what is refused."""

import numpy as np
import pytest
from edge_rnn.export.calibration import Calibration, trace
from edge_rnn.export.quantize import choose_exponents, fold_input, quantize, quantize_matrix, quantize_with
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import GOLDEN_NAMES, KINDS, float_graph, golden_graph, read_golden

from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine, open_graph
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph, Layer


def golden_floats(golden: dict) -> Graph:
    layers = golden_graph(golden).layers
    layers = tuple(Layer(a.kind, a.inputs, a.units, a.activation) for a in layers)
    arrays = {name: golden[name].astype(np.float32) for name in ("mean", "std")}
    for index in range(len(layers) - 1):
        for ours, torchs in {"w": "weight", "b": "bias"}.items():
            for part in ("ih", "hh"):
                arrays[f"l{index}.{ours}_{part}"] = golden[f"float_r.{torchs}_{part}_l{index}"]
    arrays |= {f"l{len(layers) - 1}.w": golden["float_o.weight"], f"l{len(layers) - 1}.b": golden["float_o.bias"]}
    return Graph("float32", layers, arrays)


@pytest.mark.parametrize("name", sorted(set(GOLDEN_NAMES) - {"GRU5_normalised"}))
def test_golden_floats_become_the_golden_integers(name):
    golden = read_golden(name)
    graph = golden_floats(golden)
    made = quantize_with(graph, golden["sx"], [None] * len(graph.layers))
    assert made.digest() == golden_graph(golden).digest()


def test_golden_normalisation_is_folded_in():
    golden = read_golden("GRU5_normalised")  # its std is float64, a graph's is float32: so the pieces alone
    w = {"w_ih": golden["float_r.weight_ih_l0"].astype(float), "b_ih": golden["float_r.bias_ih_l0"].astype(float)}
    folded = fold_input(w, golden["mean"], golden["std"], golden["sx"])
    made = quantize_matrix(folded["w_ih"], 2.0**-15)
    for part in ("w", "m", "S_k"):
        np.testing.assert_array_equal(made[part], golden[f"l0_ih_{part}"])
    b_hh = golden["float_r.bias_hh_l0"].astype(float)
    b_hh[10:] = 0  # the n gate's stays apart
    np.testing.assert_array_equal(np.rint((folded["b_ih"] + b_hh) * 65536), golden["l0_b"])


def calibration(rng, graph: Graph, steps: int = 300) -> Calibration:
    std, mean = graph.arrays["std"], graph.arrays["mean"]
    return Calibration((rng.normal(0, 1, (steps, graph.inputs)) * std + mean).astype(np.float32), (0, 100))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), max_size=3), st.sampled_from([8, 4]))
def test_any_stack_of_layers_quantizes_to_nearly_the_same_logits(seed, kinds, bits):
    rng = np.random.default_rng(seed)
    graph = float_graph(rng, kinds, int(rng.integers(1, 6)), 3)
    data = calibration(rng, graph)
    before = graph.digest()
    made, report = quantize(graph, data, bits=bits, input_scale="range")
    assert graph.digest() == before, "quantize worked in place"
    assert made.precision == "int8"
    assert report.rmse < (0.05 if bits == 8 else 0.6) * max(1.0, report.largest_logit)
    weighed = [told for told, layer in zip(report.layers, made.layers, strict=True) if layer.exact_matrices]
    assert {layer.bits for layer in weighed} == {bits}


def test_trace_gives_the_logits_of_the_float_engine():
    rng = np.random.default_rng(5)
    graph = float_graph(rng, ["dense", "lstm", "linear", "gru", "relu"], 4, 3)
    x = rng.normal(0, 1, (40, 2, 4)).astype(np.float32)
    state, out = State(graph.states, 2), np.zeros((2, 3), np.float32)
    engine, found = NumpyEngine(graph), trace(graph, x)
    for t in range(40):
        engine.step(x[t], state, out)
        np.testing.assert_allclose(out, found.logits[t], atol=1e-4)


def test_exponent_is_the_smallest_that_leaves_a_quarter_of_headroom():
    w = {"mean": np.zeros(1, np.float32), "std": np.ones(1, np.float32)}
    w |= {"l0.w": np.ones((1, 1), np.float32), "l0.b": np.zeros(1, np.float32)}
    w |= {"l1.w": np.ones((1, 1), np.float32), "l1.b": np.zeros(1, np.float32)}
    graph = Graph("float32", (Layer("dense", 1, 1, "relu"), Layer("dense", 1, 1, "none")), w)
    for largest, e in [(0.1, 1), (0.79, 1), (0.81, 2), (1.59, 2), (1.61, 3), (100, 8)]:
        data = Calibration(np.array([[0], [largest]], np.float32))
        assert choose_exponents(graph, data) == [e, None]
    with pytest.raises(UsageError, match=r"layer 0 \(dense\): activations reach 30000"):
        choose_exponents(graph, Calibration(np.array([[30000]], np.float32)))


def test_int4_weights_lie_in_seven_and_take_half_the_bytes():
    rng = np.random.default_rng(6)
    graph = float_graph(rng, ["gru"], 6, 4, units=32)
    eight, _ = quantize(graph, calibration(rng, graph), input_scale="range")
    four, report = quantize(graph, calibration(rng, graph), input_scale="range", bits=4)
    weights = [a for name, a in four.arrays.items() if a.dtype == np.int8]
    assert max(np.abs(w).max() for w in weights) == 7
    stored = [sum(a.nbytes for a in g.stored_arrays().values() if a.ndim == 2) for g in (eight, four)]
    assert stored[1] * 2 == stored[0]
    assert report.int8_bytes < report.float_bytes / 4


def test_a_channel_with_large_weights_does_not_starve_the_others():
    rng = np.random.default_rng(7)
    graph = float_graph(rng, ["gru"], 6, 5, units=16)
    x = (rng.normal(0, 1, (512, 6)) * graph.arrays["std"] + graph.arrays["mean"]).astype(np.float32)
    data = Calibration(x, max_abs=(np.abs(x).max(axis=0) * [1, 1, 1, 20, 20, 20]).tolist())  # three long tails
    plain = quantize(graph, data, input_scale="range").report
    chosen = quantize(graph, data, input_scale="auto").report
    assert chosen.rmse < plain.rmse / 5
    assert min(chosen.e[3:]) < min(chosen.e[:3])
    assert all(-4 <= e <= 6 for e in chosen.e)


def test_lsb_lets_raw_codes_pass_unchanged():
    rng = np.random.default_rng(8)
    codes = rng.integers(-32768, 32768, (64, 3))
    scale = np.array([0.000598, 1 / 3, 9.81 / 4096])
    graph = float_graph(rng, ["gru"], 3, 2)
    graph = Graph("float32", graph.layers, {**graph.arrays, "std": (scale * 15000).astype(np.float32)})
    data = Calibration((codes * scale).astype(np.float32), lsb=scale.tolist())
    report = quantize(graph, data, input_scale="lsb").report
    assert report.e == (0, 0, 0)
    from edge_rnn.engines.integer import quantize_input

    np.testing.assert_array_equal(quantize_input(data.samples, np.array(report.sx, np.float32)), codes)
    with pytest.raises(UsageError, match="use auto"):
        quantize(graph, Calibration(data.samples), input_scale="lsb")


def test_weights_beyond_the_arithmetic_are_refused_with_layer_and_row():
    rng = np.random.default_rng(9)
    graph = float_graph(rng, ["gru"], 3, 2, units=4)
    arrays = {**graph.arrays, "l0.w_hh": graph.arrays["l0.w_hh"].copy()}
    arrays["l0.w_hh"][6] = 5000.0
    with pytest.raises(UsageError, match=r"\(gru\) hh \(k = 9, from the large weights of row 6 \(gate z of unit 2"):
        quantize(Graph("float32", graph.layers, arrays), calibration(rng, graph), input_scale="range")
    arrays = {**graph.arrays, "l1.b": np.array([0, 1e30], np.float32)}
    with pytest.raises(UsageError, match=r"layer 1 \(dense\) b, row 1: \|b\| in Q16"):
        quantize(Graph("float32", graph.layers, arrays), calibration(rng, graph), input_scale="range")


def sums(made):
    return np.abs(made["w"].astype(int)).sum(axis=1) * 2 ** int(made["S_k"][1])


def test_a_row_that_adds_up_to_too_much_gets_a_coarser_scale():
    rng = np.random.default_rng(12)
    long = rng.uniform(0.8, 1.0, (3, 700)) * rng.choice([-1, 1], (3, 700))
    long[1] *= rng.uniform(0, 1, 700)  # this one fits as it is
    beside = np.concatenate([rng.uniform(0.9, 1.0, (1, 160)), np.eye(160)[:1] * 12.0]) * 4
    for w, s_in in ((long, 2.0**-15), (beside, 2.0**-14)):
        made = quantize_matrix(w, s_in)
        assert np.all(sums(made) < 65536)
        back = made["w"] * (made["m"] / 2.0 ** made["S_k"][0] / (s_in * 2.0**16))[:, None]
        assert np.abs(back - w).max() < np.abs(w).max() / 127
    fits = quantize_matrix(long[1:2], 2.0**-15)
    np.testing.assert_array_equal(quantize_matrix(long, 2.0**-15)["w"][1], fits["w"][0])


def test_a_row_that_no_scale_can_help_keeps_its_own():
    made = quantize_matrix(np.full((1, 5000), 1.0), 2.0**-15)
    assert made["w"].min() == 127
    assert sums(made)[0] >= 65536, "and obligations.py refuses it with its own numbers"


def test_an_all_zero_row_and_a_dead_channel_are_no_trouble():
    rng = np.random.default_rng(10)
    graph = float_graph(rng, ["lstm"], 3, 2, units=4)
    arrays = {**graph.arrays, "l0.w_ih": graph.arrays["l0.w_ih"].copy()}
    arrays["l0.w_ih"][5] = 0
    x = calibration(rng, graph).samples.copy()
    x[:, 1] = 0
    made, _ = quantize(Graph("float32", graph.layers, arrays), Calibration(x))
    assert made.arrays["l0.ih_m"].min() >= 1


def latch(rng, bias: float) -> Graph:
    """One LSTM layer whose unit 2 never forgets and always adds."""
    graph = float_graph(rng, ["lstm"], 2, 2, units=4)
    arrays = {name: a.copy() for name, a in graph.arrays.items()}
    for gate, value in {0: bias, 1: bias, 2: bias}.items():
        row = gate * 4 + 2
        arrays["l0.w_ih"][row] = arrays["l0.w_hh"][row] = 0
        arrays["l0.b_ih"][row], arrays["l0.b_hh"][row] = value, 0
    return Graph("float32", graph.layers, arrays)


def test_slow_units_and_saturated_cells_are_named_and_counted():
    rng = np.random.default_rng(11)
    graph = latch(rng, 12.0)
    data = Calibration(rng.normal(0, 1, (2500, 2)).astype(np.float32))
    report = quantize(graph, data, input_scale="range").report
    assert report.layers[0].slow_units == (2,)
    assert report.layers[0].cell_saturations == pytest.approx(2500 - 2048, abs=15)  # tau is 1.6e5
    told = "\n".join(report.lines())
    assert "layer 0 (lstm): the forget gate of unit 2 stays above 1 - 2^-14" in told
    assert "the cell saturated at +-2048 4" in told
    calm = quantize(latch(rng, 3.0), data, input_scale="range").report
    assert calm.warnings() == []


def test_bad_calls_say_what_was_expected():
    rng = np.random.default_rng(12)
    graph = float_graph(rng, ["gru"], 3, 2)
    data = calibration(rng, graph)
    with pytest.raises(UsageError, match="8 or 4 bits"):
        quantize(graph, data, bits=5)
    with pytest.raises(UsageError, match="auto, range, lsb"):
        quantize(graph, data, input_scale="best")
    with pytest.raises(UsageError, match="expects a float32 graph"):
        quantize(quantize(graph, data).graph, data)
    with pytest.raises(UsageError, match="3 inputs, calibration 2 channels"):
        quantize(graph, Calibration(data.samples[:, :2].copy()))
    for bad in (np.zeros((0, 3), np.float32), np.zeros((4, 3)), np.full((4, 3), np.nan, np.float32)):
        with pytest.raises(UsageError, match="finite float32 samples"):
            Calibration(bad)
    with pytest.raises(UsageError, match="stretches start"):
        Calibration(data.samples, (0, 900))


def test_stretches_lie_side_by_side_and_the_state_restarts():
    x = np.arange(10, dtype=np.float32).reshape(10, 1)
    blocks, valid = Calibration(x, (0, 3)).blocks(4)
    assert blocks[:, :, 0].T.tolist() == [[0, 1, 2, 2], [3, 4, 5, 6], [7, 8, 9, 9]]
    assert valid.T.tolist() == [[True, True, True, False], [True] * 4, [True, True, True, False]]


def test_the_integer_engine_opens_what_quantize_made():
    rng = np.random.default_rng(13)
    graph = float_graph(rng, ["relu", "dense"], 3, 2)
    made, _ = quantize(graph, calibration(rng, graph))
    out = np.zeros((5, 2), np.float32)
    open_graph(made).run(np.ones((5, 3), np.float32), State(made.states), out)
    assert np.isfinite(out).all()
