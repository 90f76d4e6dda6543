"""Nodes and constants of an ONNX graph as they are written down, in order. It knows operators' forms, no layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper

from edge_rnn.arrays import Array


@dataclass
class Body:
    """A node is named by its first output; a constant is written once."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Append a node, named by its first output; gives that output's name."""
        name = next(output for output in outputs if output)
        self.nodes.append(helper.make_node(operator, inputs, list(outputs), name=name, **attributes))
        return name

    def constant(self, name: str, array: Array) -> str:
        """Add an initializer once; gives its name."""
        little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.constants[name] = helper.make_tensor(name, kind, array.shape, little.tobytes(), raw=True)
        return name

    def reshape(self, value: str, shape: tuple[int, ...], output: str) -> str:
        """The same numbers in another shape; -1 stands for what is left."""
        return self.add("Reshape", [value, self.constant(f"{output}.shape", np.array(shape, np.int64))], output)

    def slice(self, value: str, start: int, stop: int, axis: int, output: str) -> str:
        """value[start:stop] along one axis."""
        ends = {"start": start, "stop": stop, "axis": axis}
        named = [self.constant(f"{output}.{name}", np.array([end], np.int64)) for name, end in ends.items()]
        return self.add("Slice", [value, *named], output)
