"""Events on people never seen: folds of people, network and decision from the other folds. A development command.

    python -m edge_rnn.export.crossvalidate DATA.npz --merge TRANSITION=STAND_TO_SIT,... --event TRANSITION

Each fold's network is trained on the other folds' people. Its detector is chosen on the other folds' held-out scores,
which come from networks that have not seen those people, by the rule of `tune --recall`: within the budget of false
alarms and with enough recall, the shortest median latency. Nothing is chosen on the fold itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_rnn.detect import softmax
from edge_rnn.tune import Outcome, Take, choose, retold, search

from .datasets import UNKNOWN, Recordings, split_by_subject
from .event_recipes import EventRecipe, named_recipe, parse_merge
from .events import train_events
from .scoring import read

FOLDS = 5
WARMUP_S = 2.56


def held_out_takes(data: Recordings, event: str, fold: int, recipe: EventRecipe) -> list[Take]:
    """Train without the people of `fold`; the event's probabilities on their recordings, after the warm-up."""
    rest, held = split_by_subject(data, data.subjects[fold::FOLDS])
    network = train_events(rest, [event], recipe=recipe, seed=fold)
    index, warm, takes = data.classes.index(event), round(WARMUP_S * data.rate_hz), []
    for r in range(len(held)):
        with torch.no_grad():
            y = network(torch.from_numpy(held.values(r))[None])[0][0].numpy()
        truth = held.label[held.rec_start[r] : held.rec_start[r + 1]][warm:]
        takes.append(Take(softmax(y)[warm:, index], np.where(truth == UNKNOWN, -1, truth == index).astype(np.int8)))
    return takes


def judge_folds(
    folds: Sequence[Sequence[Take]], rate_hz: float, per_hour: float, recall: float, early_s: float
) -> tuple[Outcome, list[Outcome]]:
    """All folds together, and each: parameters chosen on the others, judged on its own.

    Where no parameters keep the budget and the recall on the others, the budget alone counts.
    """
    found = [search(takes, rate_hz, early_s) for takes in folds]
    judged = []
    for fold, own in enumerate(found):
        others = [outcomes for number, outcomes in enumerate(found) if number != fold]
        sums = [retold(parts[0], parts[1:]) for parts in zip(*others, strict=True)]
        chosen = choose(sums, per_hour, recall=recall) or choose(sums, per_hour)
        if chosen is not None:
            judged.append(next(o for o in own if o.params == chosen.params))
    if len(judged) < len(folds):
        raise ValueError(f"no parameters keep {per_hour} false alarms an hour on the other folds: raise the budget")
    return retold(judged[0], judged[1:]), judged


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; JSON on stdout, a line a fold on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--merge", default="")
    parser.add_argument("--event", required=True)
    parser.add_argument("--steps", type=int, default=EventRecipe().steps)
    parser.add_argument("--false-alarms-per-hour", type=float, default=2.0)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--keep", type=Path, help="keep the folds' scores there, and do not train those again")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = read(given.data, parse_merge(given.merge))
    recipe = replace(named_recipe(given.data), steps=given.steps)
    folds = []
    for fold in range(FOLDS):
        kept = None if given.keep is None else given.keep / f"{given.event}-{given.steps}-{fold}.npz"
        if kept is not None and kept.is_file():
            folds.append(_load(kept))
        else:
            folds.append(held_out_takes(data, given.event, fold, recipe))
            if kept is not None:
                _save(kept, folds[-1])
        print(f"fold {fold}: people {', '.join(data.subjects[fold::FOLDS])}", file=sys.stderr)
    recorded = len(data.x) / data.rate_hz / 3600
    report: dict[str, Any] = {"steps": given.steps, "recorded_hours": recorded}
    for early_s in (0.0, 0.5):
        whole, judged = judge_folds(folds, data.rate_hz, given.false_alarms_per_hour, given.recall, early_s)
        by_fold = [{**asdict(o.params), "found": o.found, "false_alarms": o.false_alarms} for o in judged]
        figures = {"per_recorded_hour": round(whole.false_alarms / recorded, 3), "folds": by_fold}
        report[f"early_{early_s:g}_s"] = {**whole.to_json(), **figures}
    print(json.dumps(report, indent=1))


def _save(path: Path, takes: Sequence[Take]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{f"{name}{r}": getattr(take, name) for r, take in enumerate(takes) for name in ("p", "truth")})


def _load(path: Path) -> list[Take]:
    with np.load(path, allow_pickle=False) as file:
        return [Take(file[f"p{r}"], file[f"truth{r}"]) for r in range(len(file.files) // 2)]


if __name__ == "__main__":
    main()
