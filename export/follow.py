"""Follows a torch module's own forward on one sample and writes down, in order, which layers and functions it called.

It watches a run, it does not read code: so it does not matter how the forward is written. It judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Call:
    """One call: `layer` is the torch.nn module with its name in the network, or None for a function called `name`."""

    name: str
    layer: nn.Module | None
    inputs: list[Any] = field(repr=False)
    outputs: list[Tensor] = field(repr=False)
    values: list[Tensor] = field(repr=False)
    """Copies of the outputs: a function that works in place may change them later."""


def follow(module: nn.Module, *inputs: Tensor) -> tuple[list[Call], list[Tensor]]:
    """Run `module(*inputs)` without gradients: its calls on the level of torch.nn layers, and its outputs."""
    recorder = _Recorder()
    handles = []
    for name, part in module.named_modules():
        if type(part).__module__.startswith("torch.nn") and not isinstance(part, _CONTAINERS):
            handles.append(part.register_forward_pre_hook(recorder.enter))
            handles.append(part.register_forward_hook(recorder.leave(name or "the module"), with_kwargs=True))
    try:
        with torch.no_grad(), recorder:
            result = module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return recorder.calls, tensors(result)


class _Recorder(TorchFunctionMode):
    """Functions count only outside of layers: what nn.GRU calls inside itself is nn.GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._inside = 0

    def enter(self, module: nn.Module, inputs: Any) -> None:
        self._inside += 1

    def leave(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, named: dict[str, Any], output: Any) -> None:
            self._inside -= 1
            if self._inside == 0:
                self._write(name, module, [*inputs, *named.values()], output)

        return hook

    def __torch_function__(self, function: Any, types: Any, inputs: Any = (), named: Any = None) -> Any:
        result = function(*inputs, **(named or {}))
        if self._inside == 0 and tensors(result):
            self._write(getattr(function, "__name__", str(function)), None, [*inputs, *(named or {}).values()], result)
        return result

    def _write(self, name: str, layer: nn.Module | None, inputs: list[Any], output: Any) -> None:
        outputs = tensors(output)
        with torch._C.DisableTorchFunction():
            values = [tensor.detach().clone() for tensor in outputs]
        self.calls.append(Call(name, layer, inputs, outputs, values))


def tensors(value: Any) -> list[Tensor]:
    """The tensors in a value, however deep in tuples and lists."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors(item)]
    return []
