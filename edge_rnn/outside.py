"""What lives outside the runtime, named as strings in one table, so that nothing of it loads before it is used."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MissingExtra

# name -> (module, the extra that brings what it needs)
OUTSIDE = {
    "train": ("edge_rnn.export.train", "train"),
    "compare": ("edge_rnn.export.compare", "train"),
    "train --events": ("edge_rnn.export.event_run", "train"),
    "demo": ("edge_rnn.export.demo", "train"),
    "export": ("edge_rnn.export.exporting", "train"),
    "inspect --plot": ("edge_rnn.export.dynamics_plot", "train"),
    "tune": ("edge_rnn.export.tuning", "train"),
    "score": ("edge_rnn.export.scoring", "train"),
    "import": ("edge_rnn.export.from_state", "train"),
    "ports": ("edge_rnn.firmware_bridge.port", "serial"),
    "boards as sources": ("edge_rnn.firmware_bridge.reader", "serial"),
    "frames over sockets": ("edge_rnn.firmware_bridge.oneway", "serial"),
    "devices": ("edge_rnn.firmware_bridge.probe", "serial"),
    "boards that infer": ("edge_rnn.firmware_bridge.remote", "serial"),
    "firmware push": ("edge_rnn.firmware_bridge.push", "serial"),
    "model images": ("edge_rnn.export.c_image", "train"),
    "sim": ("edge_rnn.firmware_bridge.simulator", "serial"),
    "simulated boards": ("edge_rnn.firmware_bridge.board", "serial"),
    "messages of the wire": ("edge_rnn.firmware_bridge.messages", "serial"),
    "firmware": ("edge_rnn.export.firmware_project", "train"),
    "firmware build": ("edge_rnn.export.firmware_folder", "train"),
    "firmware check": ("edge_rnn.export.firmware_check", "train"),
}


def outside(name: str) -> ModuleType:
    """Import a module of the workshop or the bridge; raises MissingExtra, with the pip line, when a package lacks."""
    module, extra = OUTSIDE[name]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edge_rnn"):
            raise
        raise MissingExtra(error.name, extra, f"edge-rnn {name}") from error
