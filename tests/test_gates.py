import numpy as np
import onnx.defs
import pytest
import torch
from edge_rnn.export.gates import GATE_ORDER, from_torch_order, reorder, to_onnx_order

from edge_rnn.graph import GATES


@pytest.mark.parametrize("kind", GATE_ORDER)
def test_each_order_names_the_same_gates_and_as_many_as_the_graph_has(kind):
    order = GATE_ORDER[kind]
    assert sorted(order.torch) == sorted(order.onnx) == sorted(order.ours)
    assert len(order.ours) == GATES[kind]


def test_reordering_there_and_back_gives_the_same_rows():
    rows = np.arange(12 * 2).reshape(12, 2)
    there = reorder(rows, "ifgo", "iofg")
    assert there[:, 0].tolist() == [0, 2, 4, 18, 20, 22, 6, 8, 10, 12, 14, 16]
    assert np.array_equal(reorder(there, "iofg", "ifgo"), rows)


def test_our_order_is_torchs_so_that_a_checkpoint_reads_as_it_is():
    rows = np.arange(12)
    for kind in GATE_ORDER:
        assert np.array_equal(from_torch_order(kind, rows), rows)


def test_onnx_order_of_a_gru_puts_the_update_gate_first():
    assert to_onnx_order("gru", np.array([0, 1, 2])).tolist() == [1, 0, 2]


@pytest.mark.parametrize(("kind", "letters"), [("gru", "zrh"), ("lstm", "iofc")])
def test_the_onnx_order_is_the_one_the_operator_documents(kind, letters):
    operator = GATE_ORDER[kind].operator
    documented = onnx.defs.get_schema(operator, 17).inputs[1].description
    assert f"W[{letters}]" in documented.replace("`", "")
    ours = GATE_ORDER[kind].onnx.replace("n", "h") if kind == "gru" else GATE_ORDER[kind].onnx.replace("g", "c")
    assert ours == letters


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_the_torch_order_is_that_of_the_module_itself(kind):
    """A gate is found by what it does: only its own block of the bias, made huge, has its effect."""
    module = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](2, 1)
    effects = {}
    for block, letter in enumerate(GATE_ORDER[kind].torch):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()
            module.bias_ih_l0[block] = 50.0
            start = torch.full((1, 1), 0.25)
            state = start if kind == "gru" else (start, start)
            y, after = module(torch.zeros(1, 2), state)
            effects[letter] = (y.item(), after.item() if kind == "gru" else after[1].item())
    if kind == "gru":  # z = 1 keeps h; n = 1 gives (1 + h) / 2; r alone changes nothing
        assert effects["z"][0] == pytest.approx(0.25)
        assert effects["n"][0] == pytest.approx(0.625)
        assert effects["r"][0] == pytest.approx(0.125)
    else:  # cell: f = 1 keeps c, g = 1 adds i / 2; o = 1 shows all of tanh(c)
        assert effects["f"][1] == pytest.approx(0.25)
        assert effects["g"][1] == pytest.approx(0.625)
        assert effects["o"][0] == pytest.approx(np.tanh(0.125))
        assert effects["i"][1] == pytest.approx(0.125)
