"""The order of gate blocks in PyTorch, in ONNX and here, in one table; nothing else may know it.

Sources: torch.nn.GRU, LSTM and RNN ("weight_ih_l[k] ... (W_ir|W_iz|W_in)"), and the ONNX operators GRU ("zrh"),
LSTM ("iofc") and RNN. ONNX calls the candidate of a GRU h and that of an LSTM c; PyTorch calls them n and g.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_rnn.arrays import Array


@dataclass(frozen=True, slots=True)
class GateOrder:
    """One letter a block of H rows, in PyTorch's letters.

    `attributes` are those of the ONNX operator that make it PyTorch's: a GRU resets after the recurrent product
    and its bias (`linear_before_reset` = 1), n = tanh(W x + b_in + r * (R h + b_hn)).
    """

    torch: str
    onnx: str
    ours: str
    operator: str
    attributes: Mapping[str, Any]


GATE_ORDER: Mapping[str, GateOrder] = {
    "rnn": GateOrder(torch="h", onnx="h", ours="h", operator="RNN", attributes={}),
    "gru": GateOrder(torch="rzn", onnx="zrn", ours="rzn", operator="GRU", attributes={"linear_before_reset": 1}),
    "lstm": GateOrder(torch="ifgo", onnx="iofg", ours="ifgo", operator="LSTM", attributes={}),
}


def reorder(array: Array, source: str, target: str) -> Array:
    """Move the blocks of rows of (G*H, ...) from the order `source` to `target`, both words of the same letters."""
    blocks = dict(zip(source, np.split(array, len(source)), strict=True))
    return np.concatenate([blocks[gate] for gate in target])


def to_onnx_order(kind: str, array: Array) -> Array:
    """Ours to ONNX's."""
    order = GATE_ORDER[kind]
    return reorder(array, order.ours, order.onnx)


def from_torch_order(kind: str, array: Array) -> Array:
    """PyTorch's to ours."""
    order = GATE_ORDER[kind]
    return reorder(array, order.torch, order.ours)
