"""`train --diagnose`: what back-propagation through time did, epoch by epoch, and what of it a person should know.

Before training and after every epoch one fixed batch of training windows goes through the network: norms of
d loss_T / d h_t (gradients.py), gates and units (saturation.py); and of every update the gradient's norm before it was
clipped. It never changes what is trained: it draws from a generator of its own and works on copies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edge_rnn.arrays import Array

from .gradients import EXPLODED, VANISHED, describe, flow, reach
from .networks import Network
from .run import Plan
from .samples import stretches
from .saturation import saturation

SEQUENCES = 32
LOCKED = 0.95
"""A gate shut or open, or units at their stop, for so large a share of the time are worth a sentence."""


class Diagnosis:
    """The record of one training: `records` is a plain list, which survives an interrupt with the run."""

    def __init__(self, plan: Plan, records: list[dict[str, Any]]) -> None:
        self.plan, self.records = plan, records
        data, recipe = plan.dataset.train, plan.recipe
        if plan.tbptt:  # state is carried: a stretch is met with what came before it
            self.x, self.label = stretches(data, 2 * recipe.window, SEQUENCES)
            self.lead = max(0, self.x.shape[1] - recipe.window)
        else:
            starts, labels = data.windows(recipe.window, recipe.hop)
            picked = np.random.default_rng(plan.seed).permutation(len(starts))[:SEQUENCES]
            self.x = torch.from_numpy(data.values()[starts[picked, None] + np.arange(recipe.window)])
            self.label, self.lead = torch.from_numpy(labels[picked]), 0
        self._norms: list[float] = []

    def update(self, norm: float) -> None:
        """An update's gradient had this norm before clipping."""
        self._norms.append(norm)

    def epoch(self, network: Network, done: int) -> None:
        """So many epochs are done (0: before the first)."""
        recipe = self.plan.recipe
        found = flow(network, self.x, self.label, smoothing=recipe.label_smoothing, lead=self.lead)
        norms, self._norms = np.array(self._norms), []
        update = {}
        if len(norms):
            clipped = float(np.mean(norms > recipe.clip))
            update = {"median": float(np.median(norms)), "largest": float(norms.max()), "clipped": clipped}
        self.records.append(
            {
                "epoch": done,
                "state": describe(found.curve),
                "curve": _short(found.curve),
                "sample_curve": _short(found.sample_curve),
                "receptive_field": found.receptive_field,
                "layers": saturation(network, self.x),
                "update": update,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """diagnosis.json: steps are counted back from the last one of a window."""
        plan = self.plan
        return {
            "rate_hz": plan.dataset.train.rate_hz,
            "window": plan.recipe.window,
            "tbptt": plan.tbptt,
            "clip": plan.recipe.clip,
            "sequences": len(self.x),
            "vanished_below": VANISHED,
            "exploded_above": EXPLODED,
            "warnings": self.warnings(),
            "notes": self.notes(),
            "epochs": self.records,
        }

    def warnings(self) -> list[str]:
        """Sentences for a person; empty for a healthy training. Gradients are judged by most of the records."""
        if not self.records or not self.records[-1]["layers"]:
            return []  # nothing recurrent: what it can see is its receptive field, by design
        told: list[str] = []
        curves = [self._within(record) for record in self.records if record["curve"]]
        exploded = [c for c in curves if not np.all(np.isfinite(c)) or c.max() > EXPLODED]
        vanished = [c for c in curves if reach(c, VANISHED) is not None]
        if len(exploded) * 2 >= len(curves) > 0:
            told.append(self._exploding(exploded[-1]))
        elif len(vanished) * 2 >= len(curves) > 0:
            told.append(self._vanishing(vanished[-1]))
        return told + self._stopped()

    def notes(self) -> list[str]:
        """What is worth knowing, though nothing is wrong."""
        told: list[str] = []
        if not self.records:
            return told
        last, chunk = self.records[-1], self.plan.tbptt
        if not last["layers"] and last["receptive_field"] is not None:
            seconds = last["receptive_field"] / self.plan.dataset.train.rate_hz
            told.append(f"the answer depends on the last {last['receptive_field']} samples ({seconds:.2g} s) alone")
        cut = self._within(last)[-1] if chunk and chunk < len(last["curve"]) else 0.0
        if cut > 0.1:
            told.append(
                f"chunks of {chunk} samples cut a gradient that is still {cut:.2g} of one step back: with a larger "
                "--tbptt the network could learn from further back"
            )
        return told + self._locked()

    def _within(self, record: dict[str, Any]) -> Array:
        """The part of the curve that training sees: truncated back-propagation ends at the chunk."""
        return np.array(record["curve"], float)[: self.plan.tbptt]

    def _vanishing(self, curve: Array) -> str:
        steps = reach(curve, VANISHED) or 0
        return (
            f"gradients vanish: {self._back(steps + 1)} the gradient is {curve[steps]:.0e} of what it is one step back "
            f"(a window has {self.plan.recipe.window}): this network cannot learn what lies further back; "
            "try --arch gru or lstm, or a lower sampling rate"
        )

    def _exploding(self, curve: Array) -> str:
        finite = np.where(np.isfinite(curve), curve, np.inf)
        steps = int(finite.argmax())
        updates = [record["update"] for record in self.records if record["update"]]
        cut = f", and {np.mean([u['clipped'] for u in updates]):.0%} of the updates were clipped" if updates else ""
        return (
            f"gradients explode: {self._back(steps + 1)} the gradient is {finite[steps]:.0e} times what it is one step "
            f"back{cut}: the distant past rules the weights; try --arch gru or lstm, "
            f"--set learning_rate={self.plan.recipe.learning_rate / 4:g}, or chunks with --tbptt 32"
        )

    def _stopped(self) -> list[str]:
        return [
            f"layer {layer['layer']} ({layer['kind']}): units are at their stop {layer['units']['at_stop']:.0%} of the "
            "time, where they pass no gradient: lower the learning rate or the channels' gains"
            for layer in self.records[-1]["layers"]
            if layer["units"]["at_stop"] > LOCKED
        ]

    def _locked(self) -> list[str]:
        return [
            f"layer {layer['layer']} ({layer['kind']}): the {name} gate is {way} {gate[way]:.0%} of the time"
            for layer in self.records[-1]["layers"]
            for name, gate in layer.get("gates", {}).items()
            for way in ("shut", "open")
            if gate[way] > LOCKED
        ]

    def _back(self, steps: int) -> str:
        return f"after {steps} steps ({steps / self.plan.dataset.train.rate_hz:.2g} s)"


def _short(curve: Array) -> list[float | None]:
    """Four digits are plenty in a file; JSON has no Inf."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in curve]
