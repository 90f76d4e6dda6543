"""How a training shows itself: a rich progress bar on a terminal (stderr), nothing in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Shown(Protocol):
    """What the loop tells whoever watches."""

    def resume(self, epoch: int) -> None:
        """So many epochs were done before."""

    def step(self, epoch: int, loss: float) -> None:
        """One step of an epoch (0-based) gave this loss."""

    def epoch(self, done: int, accuracy: float) -> None:
        """So many epochs are done; accuracy on validation people."""


Progress = Callable[[int, int], AbstractContextManager[Shown]]
"""(epochs, steps an epoch) -> a context that takes the loop's words."""


class Nothing:
    """Says nothing."""

    def resume(self, epoch: int) -> None:
        """Nothing."""

    def step(self, epoch: int, loss: float) -> None:
        """Nothing."""

    def epoch(self, done: int, accuracy: float) -> None:
        """Nothing."""


@contextmanager
def show_nothing(epochs: int, steps: int) -> Iterator[Shown]:
    """For pipes and tests."""
    yield Nothing()


class Bar:
    """A bar with epoch, loss, validation accuracy and the time left."""

    def __init__(self, bar: Any, task: Any, epochs: int, steps: int) -> None:
        self.bar, self.task, self.epochs, self.steps = bar, task, epochs, steps

    def resume(self, epoch: int) -> None:
        """Begin where the interrupted run stopped."""
        self.bar.update(self.task, completed=epoch * self.steps)

    def step(self, epoch: int, loss: float) -> None:
        """Advance by one step."""
        self.bar.update(self.task, advance=1, epoch=f"{epoch + 1}/{self.epochs}", loss=f"{loss:.3f}")

    def epoch(self, done: int, accuracy: float) -> None:
        """Show the accuracy."""
        self.bar.update(self.task, accuracy=f"{accuracy:.1%}")


@contextmanager
def show_bar(epochs: int, steps: int) -> Iterator[Shown]:
    """A rich progress bar on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Nothing()
        return
    columns = (
        TextColumn("training  epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]}  validation {task.fields[accuracy]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=epochs * steps, epoch=f"1/{epochs}", loss="...", accuracy="...")
        yield Bar(bar, task, epochs, steps)
