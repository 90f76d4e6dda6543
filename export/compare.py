"""`compare`: the architectures at equal parameter budgets and one recipe, trained, measured, streamed. Order of work.

Every training is kept in OUT/runs and taken again; measurements are made anew. People of the test split are only
reported. What an architecture does not support is told in words in its place, and stops nothing.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import edge_rnn
from edge_rnn.errors import UsageError

from .compare_budget import Contender, contenders, known_architectures
from .compare_cost import Made, make, sizes, time_steps
from .compare_device import firmware, int8_loss
from .compare_memory import chosen_window, memory, saliency, shares
from .compare_quality import quality, spread, summary
from .compare_report import write_report
from .compare_throughput import LENGTHS, THREADS, throughput
from .compare_train import Training, trained
from .datasets import Recordings
from .progress import Progress, show_nothing
from .progress import show_bar as show_bar
from .recipes import DataSet, open_dataset
from .torch_engine import one_thread

PRECISIONS = ("float32", "int8")
Advance = Callable[[], None]
Stages = Callable[[str, int], AbstractContextManager[Advance]]
"""(what, steps) -> a context that gives a function to call once a step: a bar on a terminal."""


def compare(
    data: str | Path | Recordings,
    out: str | Path,
    *,
    arch: Sequence[str] = (),
    seeds: int = 2,
    budget: int | None = None,
    epochs: int | None = None,
    settings: dict[str, str] | None = None,
    lengths: tuple[int, ...] = LENGTHS,
    progress: Progress = show_nothing,
    stages: Stages,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train, measure, write OUT/report.md, .html and .json with their pictures; gives report.json's content.

    `arch` are names of `train --arch`, or name@units for a size beside the budget; none means all. `budget` is in
    parameters (None: those of a GRU-32). Raises UsageError and DataError as `train` does.
    """
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}, expected 1 or more")
    dataset, out = open_dataset(data, settings), Path(out)
    if epochs is not None:
        dataset = replace(dataset, recipe=replace(dataset.recipe, epochs=epochs))
    rows = contenders(list(arch) or list(known_architectures()), dataset, budget)
    out.mkdir(parents=True, exist_ok=True)
    runs = {row.name: [_train(dataset, row, seed, out, progress, say) for seed in range(seeds)] for row in rows}
    measured = Measured(dataset, rows, runs, out)
    with one_thread():
        found = measured.all(stages, lengths)
    report = {
        "data": _data(dataset),
        "budget": budget or measured.budget,
        "seeds": seeds,
        "recipe": dataset.recipe.to_json(),
        "machine": {"processor": platform.machine(), "edge_rnn": edge_rnn.__version__},
        "saliency_window": measured.chosen,
        "architectures": found,
    }
    (out / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    write_report(report, measured.pictures, out)
    return report


def _train(
    dataset: DataSet, row: Contender, seed: int, out: Path, progress: Progress, say: Callable[[str], None]
) -> Training:
    done = trained(dataset, row, seed, out, progress)
    say(
        f"{row.name}, {row.parameters:,} parameters, seed {seed}: {done.validation_accuracy:.1%} on validation people, "
        f"{done.seconds:.0f} s"
    )
    return done


def _data(dataset: DataSet) -> dict[str, Any]:
    shown = dataset.test or dataset.validation
    return {
        "name": dataset.name,
        "rate_hz": dataset.train.rate_hz,
        "classes": list(dataset.train.classes),
        "scored_on": "test" if dataset.test else "validation",
        "people": list(shown.subjects),
        "windows": len(shown.windows(dataset.recipe.window, dataset.recipe.hop)[0]),
        "samples": len(shown.x),
    }


class Measured:
    """All that is found out about the trained contenders; `pictures` holds the arrays that only plots want."""

    def __init__(self, dataset: DataSet, rows: list[Contender], runs: dict[str, list[Training]], out: Path) -> None:
        self.dataset, self.rows, self.runs, self.out = dataset, rows, runs, out
        self.data = dataset.test or dataset.validation
        self.networks = {name: mine[0].checkpoint.build() for name, mine in runs.items()}
        self.budget = next((row.parameters for row in rows if row.name == "gru"), rows[0].parameters)
        window, hop = dataset.recipe.window, dataset.recipe.hop
        self.chosen = chosen_window(list(self.networks.values()), self.data, window, hop)
        self.window: Any = self.data.values()[self.chosen : self.chosen + window]
        self.pictures: dict[str, Any] = {"window": self.window, "saliency": {}, "answers": {}}

    def all(self, stages: Stages, lengths: tuple[int, ...]) -> dict[str, Any]:
        """Name -> figures, every stage with its bar."""
        found: dict[str, dict[str, Any]] = {row.name: self._plain(row) for row in self.rows}
        self._each(stages, "accuracy and events", lambda name: found[name].update(self._quality(name)))
        self._each(stages, "memory", lambda name: found[name].update(self._memory(name)))
        with stages("training speed", len(self.rows) * len(THREADS)) as advance:
            for name, network in self.networks.items():
                found[name]["parallelism"] = throughput(network, lengths, advance)
        made: dict[str, dict[str, Made]] = {}
        self._each(stages, "bundles", lambda name: made.update({name: self._make(name)}))
        for precision in PRECISIONS:
            bundles = {name: both[precision].bundle for name, both in made.items()}
            here = {name: bundle for name, bundle in bundles.items() if bundle is not None}
            with stages(f"a step, {precision}", 17) as advance:
                times = time_steps(here, self.window, advance) if here else {}
            for name, both in made.items():
                cost: dict[str, Any] = {"not_measured": both[precision].reason}
                if both[precision].bundle:
                    cost = {**sizes(here[name].graph), **times.get(name, {})}
                elif precision == "float32":
                    cost |= sizes(self.networks[name].to_graph())
                found[name].setdefault("streaming", {})[precision] = cost
        self._each(stages, "int8 and firmware", lambda name: found[name].update(self._device(name, made[name])))
        return found

    def _each(self, stages: Stages, what: str, measure: Callable[[str], None]) -> None:
        with stages(what, len(self.rows)) as advance:
            for row in self.rows:
                measure(row.name)
                advance()

    def _plain(self, row: Contender) -> dict[str, Any]:
        runs = self.runs[row.name]
        return {
            "arch": row.arch,
            "hidden": row.hidden,
            "parameters": row.parameters,
            "fixed": row.fixed,
            "layers": [layer.to_json() for layer in self.networks[row.name].graph_layers],
            "training": {
                "validation_accuracy": spread([run.validation_accuracy for run in runs]),
                "seconds": spread([run.seconds for run in runs]),
            },
            "gradient": _gradient(runs),
        }

    def _quality(self, name: str) -> dict[str, Any]:
        recipe = self.dataset.recipe
        return summary([quality(run.checkpoint, self.data, recipe.window, recipe.hop) for run in self.runs[name]])

    def _memory(self, name: str) -> dict[str, Any]:
        network = self.networks[name]
        salient, answer = saliency(network, self.window)
        self.pictures["saliency"][name], self.pictures["answers"][name] = salient, answer
        labels = self.dataset.train.classes
        told = {"answer": labels[answer], **shares(salient, self.data.channels)}
        return {"memory": memory(network, self.data, self.dataset.recipe.window), "saliency": told}

    def _make(self, name: str) -> dict[str, Made]:
        checkpoint = self.runs[name][0].folder / "checkpoint.pt"
        return {p: make(checkpoint, self.out / "bundles" / f"{name}-{p}.ernn", p) for p in PRECISIONS}

    def _device(self, name: str, made: dict[str, Made]) -> dict[str, Any]:
        recipe, int8, checkpoint = self.dataset.recipe, made["int8"], self.runs[name][0].checkpoint
        if int8.bundle is None:
            loss: dict[str, Any] = {"not_measured": int8.reason}
        else:
            loss = int8_loss(checkpoint, int8.bundle, self.data, recipe.window, recipe.hop)
        best = int8.bundle or made["float32"].bundle
        board = firmware(best) if best else {"not_measured": made["float32"].reason}
        return {"int8": loss, "firmware": board}


def _gradient(runs: list[Training]) -> dict[str, Any]:
    """Of the first seed's diagnosis: before training, and at the kept epoch; warnings of all seeds."""
    diagnosis = runs[0].diagnosis
    records = {record["epoch"]: record for record in diagnosis["epochs"]}
    kept = runs[0].checkpoint.training["metrics"]["best_epoch"]
    updates = [record["update"] for record in diagnosis["epochs"] if record["update"]]
    curves = {
        when: {key: records[epoch][key] for key in ("curve", "sample_curve", "state")}
        for when, epoch in (("before", 0), ("kept", kept))
    }
    return {
        **curves,
        "layers": records[kept]["layers"],
        "clipped": float(np.mean([u["clipped"] for u in updates])) if updates else None,
        "warnings": sorted({warning for run in runs for warning in run.diagnosis["warnings"]}),
    }
