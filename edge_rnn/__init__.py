"""edge_rnn: streaming inference of small recurrent networks on edge devices.

Importing this loads numpy and nothing else; onnxruntime, torch, serial and the rest load where they are used.
"""

from .errors import (
    BundleError,
    DataError,
    EdgeRnnError,
    MissingExtra,
    ParityError,
    SnapshotError,
    SourceError,
    UsageError,
)
from .events import Ended, Event, Fault, Gap, Score, Started
from .manifest import DetectorParams, GapPolicy
from .model import Group, Model, load
from .stream import Stream

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "DataError",
    "DetectorParams",
    "EdgeRnnError",
    "Ended",
    "Event",
    "Fault",
    "Gap",
    "GapPolicy",
    "Group",
    "MissingExtra",
    "Model",
    "ParityError",
    "Score",
    "SnapshotError",
    "SourceError",
    "Started",
    "Stream",
    "UsageError",
    "load",
]
