"""How many units give an architecture as many parameters as the others: the equal budget of a comparison.

Parameters are those a graph holds (edge_rnn.graph), so a GRU's two biases a gate count as two.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_rnn.errors import UsageError

from .architectures import ARCHITECTURES
from .networks import Network
from .recipes import DataSet

WIDEST = 512
REFERENCE = ("gru", 32)
"""The network whose parameters are the default budget."""
UNSIZED = ("perceptron",)
"""What has no size to choose: it is trained as it is."""
STRIDE = {"transformer": 2}
"""Units are divided by two heads or four."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the comparison: an architecture at a size. `fixed` says that the size was asked for, not fitted."""

    arch: str
    hidden: int
    parameters: int
    fixed: bool

    @property
    def name(self) -> str:
        """As the report calls it: `gru`, or `mlp@64` at a size that was asked for."""
        return f"{self.arch}@{self.hidden}" if self.fixed else self.arch


def known_architectures() -> tuple[str, ...]:
    """Every name `train --arch` takes."""
    return tuple(ARCHITECTURES)


def contenders(wanted: list[str], dataset: DataSet, budget: int | None = None) -> list[Contender]:
    """Each wanted `arch`, as near to `budget` parameters as it comes; `arch@H` is taken at H units whatever it costs.

    Raises UsageError for a name that is not known or wanted twice, and for a size that is no number.
    """
    sized = Sized(dataset)
    aim = budget or sized.count(*REFERENCE)
    rows = []
    for text in wanted:
        arch, at, size = text.partition("@")
        if at and not size.isdecimal():
            raise UsageError(f"--arch names {text!r}, expected a name, or name@units as mlp@64")
        hidden = int(size) if at else sized.fit(arch, aim)
        rows.append(Contender(arch, hidden, sized.count(arch, hidden), bool(at)))
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"--arch names {', '.join(twice)} twice: leave one out")
    return rows


class Sized:
    """Networks of an architecture at different sizes, for a data set's channels, classes and window."""

    def __init__(self, dataset: DataSet) -> None:
        self.inputs, self.classes = len(dataset.train.channels), len(dataset.train.classes)
        self.window = dataset.recipe.window

    def count(self, arch: str, hidden: int) -> int:
        """Trained numbers of the network."""
        network = Network.of(arch, self.inputs, self.classes, hidden=hidden, window=self.window)
        return sum(p.numel() for p in network.parameters())

    def fit(self, arch: str, budget: int) -> int:
        """The size nearest to `budget` parameters, in steps of what the architecture divides its units by."""
        if arch in UNSIZED:
            return 1
        best, least = 0, float("inf")
        for hidden in range(STRIDE.get(arch, 1), WIDEST + 1, STRIDE.get(arch, 1)):
            parameters = self.count(arch, hidden)
            if abs(parameters - budget) < least:
                best, least = hidden, abs(parameters - budget)
            if parameters > 2 * budget:
                break
        return best
