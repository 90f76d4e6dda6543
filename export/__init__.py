"""edge_rnn.export: training, quantization and export; for the workstation.

Importing this loads neither torch nor onnx: each public name loads its module when it is first asked for.
"""

if __name__ == "export":
    raise ImportError("this folder is edge_rnn.export, not a package named export: import edge_rnn.export")

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Checkpoint as Checkpoint
    from .exporting import export_bundle as export_bundle
    from .networks import Network as Network
    from .quantize import quantize as quantize
    from .train import train as train
    from .verify import verify as verify

_MODULES = {
    "Checkpoint": "checkpoint",
    "Network": "networks",
    "export_bundle": "exporting",
    "quantize": "quantize",
    "train": "train",
    "verify": "verify",
}
"""Public name -> the module that has it."""

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


class _Face(ModuleType):
    """`train` is a function here and a module below: importing the module must not put it in the function's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
