"""A stream: samples in, events out. An engine's state, a timeline and a detector; no clock, socket, file or sleep.

Whatever way the input is cut (whole, sample by sample, at random) the events and the state are the same.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrays import Array, NDArray
from .detect import Detector, softmax
from .engine import F32, I16, I32, State, Step, as_samples
from .errors import SnapshotError, UsageError
from .events import Event, Gap, Quality, Score
from .gaps import DEGRADED, Counters, Plan, Restart, Segment, Timeline
from .keys import I64
from .manifest import DetectorParams, GapPolicy
from .told import event_of
from .tracks import F64, Decision

if TYPE_CHECKING:
    from .model import Model

QUALITIES: tuple[Quality, ...] = ("ok", "imputed", "degraded", "warmup")
WARMUP = QUALITIES.index("warmup")
_MAGIC = b"ERNNSNP2"
_NEW, _STEPPED, _PUSHED = range(3)
_HEAD = struct.Struct("<8s16sqqqBIII")


class _Steps(NamedTuple):
    """Steps made: logits (n, C), sample indexes (n,), indexes into QUALITIES (n,)."""

    logits: F32
    indexes: I64
    quality: NDArray[np.uint8]


_NO_INDEX, _NO_QUALITY = np.empty(0, np.int64), np.empty(0, np.uint8)


class Stream:
    """One source's way through a model. Owned by one thread; the model behind it is shared.

    `step(sample)` is the bare model: (I,) -> (C,) float32 logits, the array reused at the next step. It raises
    UsageError for a wrong shape, NaN, Inf or a number too large to add up (`model.reach`) and leaves the state
    unchanged. `push(samples)` adds the gap policy and the detector. A stream is fed by one of the two; `reset()` lets
    it change.
    """

    step: Step

    def __init__(
        self,
        model: Model,
        name: str = "stream",
        detector: Mapping[str, DetectorParams] | None = None,
        gap: GapPolicy | None = None,
    ) -> None:
        manifest = model.manifest
        unknown = set(detector or {}) - set(manifest.labels)
        if unknown:
            raise UsageError(
                f"detector labels {sorted(unknown)} are not among the model's: {', '.join(manifest.labels)}"
            )
        self.model = model
        self.name = name
        self.state = State(manifest.states)
        chosen = manifest.detector if detector is None else detector
        self.detector = Detector({manifest.labels.index(k): p for k, p in chosen.items()}, manifest.rate_hz)
        self.timeline = Timeline(manifest.channels, manifest.rate_hz, gap or manifest.gap, model.reach)
        self._epoch = 0
        self._age = 0  # steps since the state was zero
        self._done = 0  # the slot after the last step
        self._pushed = False
        self._keep_scores([])

    def __getattr__(self, name: str) -> Any:
        # `step` is bound at its first use, so that the hot path is the engine's own function and nothing else.
        if name != "step":
            raise AttributeError(f"a Stream has no attribute {name!r}")
        if self._pushed:
            raise UsageError("this stream is fed by push, step would skip its gap policy: call reset() first")
        self.step = self.model.engine.bind(self.state)
        return self.step

    @property
    def counters(self) -> Counters:
        """What came and what was missing (see edge_rnn.gaps)."""
        return self.timeline.counters

    @property
    def now_ns(self) -> int:
        """The stream's time: when the next sample is due."""
        return self.timeline.time_ns(self.timeline.next_index)

    def quantize(self, sample: Any) -> I16:
        """Int8 models: float (I,) -> int16 (I,), the input of `step_int` (docs/numeric.md)."""
        return self.model.quantize(as_samples(sample, self.model.inputs, 1))

    def step_int(self, xq: I16) -> I32:
        """Int8 models: one step in exact integers, int16 (I,) -> int32 (C,) Q16 logits."""
        inputs = self.model.inputs
        if xq.dtype != np.int16 or xq.shape != (inputs,):
            raise UsageError(f"step_int expects int16 ({inputs},), got {xq.dtype} {xq.shape}: use quantize")
        out: I32 = np.zeros((1, self.model.outputs), np.int32)
        self.model.engine.step_int(xq[None], self.state, out)
        row: I32 = out[0]
        return row

    def push(self, samples: Any, t_ns: Any = None, seq: Any = None) -> list[Event]:
        """Take samples (T, I); give the events they cause, in order.

        `t_ns`: None for consecutive samples, an int for the first sample's time, or (T,) times; `seq` likewise for
        sequence numbers, which count more than times. Bad samples are imputed or become faults by the gap policy.
        Afterwards `last_scores` (S, C) holds the logits of the steps made, `last_index` (S,) their sample indexes
        and `last_quality` (S,) indexes into QUALITIES.
        """
        if not self._pushed and "step" in self.__dict__:
            raise UsageError("this stream is fed by step: call reset() before push")
        plan = self.timeline.plan(as_samples(samples, self.model.inputs, 2), t_ns, seq)
        self._pushed = True
        return self._carry_out(plan)

    def scores(self, every: int = 1) -> list[Score]:
        """The last push's class probabilities: a Score for each step whose sample index `every` divides."""
        labels = self.model.manifest.labels
        kept = self.last_index % every == 0
        columns = (self.last_index[kept], softmax(self.last_scores[kept]), self.last_quality[kept])
        return [
            Score(self.timeline.time_ns(index), dict(zip(labels, row, strict=True)), QUALITIES[quality])
            for index, row, quality in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def probabilities(self, logits: F32) -> dict[str, float]:
        """The class probabilities of one row of logits (1, C)."""
        return dict(zip(self.model.manifest.labels, softmax(logits)[0].tolist(), strict=True))

    def finish(self) -> list[Event]:
        """The source closed: end what is active. The next push goes on with a detector that starts anew."""
        return [*self.told(self.detector.end(self._done, "end")), *self._flush()]

    def reset(self) -> list[Event]:
        """Back to the zero state and a fresh detector, the clock goes on; gives the ends of active classes."""
        events = [*self._restart("reset"), *self._flush()]
        self.timeline.restart()
        self.__dict__.pop("step", None)
        self._pushed = False
        return events

    def snapshot(self) -> bytes:
        """State, detector and clock as bytes that carry the model's digest."""
        parts = (self.state.to_bytes(), self.detector.snapshot(), self.timeline.snapshot())
        digest = bytes.fromhex(self.model.manifest.model_digest)
        sizes = [len(part) for part in parts]
        mode = _PUSHED if self._pushed else _STEPPED if "step" in self.__dict__ else _NEW
        clock = (self._epoch, self._age, self._done, mode)
        blob = _HEAD.pack(_MAGIC, digest, *clock, *sizes) + b"".join(parts)
        return blob + zlib.crc32(blob).to_bytes(4, "little")

    def restore(self, blob: bytes) -> None:
        """Go on from a snapshot; raises SnapshotError for another model's or a damaged one, and changes nothing."""
        body, crc = blob[:-4], blob[-4:]
        if len(body) < _HEAD.size or zlib.crc32(body).to_bytes(4, "little") != crc:
            raise SnapshotError("the snapshot is truncated or damaged: take a new one")
        magic, digest, epoch, age, done, mode, *sizes = _HEAD.unpack_from(body)
        if magic != _MAGIC or mode > _PUSHED or _HEAD.size + sum(sizes) != len(body):
            raise SnapshotError("these bytes are not a stream's snapshot of this release")
        if digest.hex() != self.model.manifest.model_digest:
            raise SnapshotError(f"the snapshot is of model {digest.hex()}, this is {self.model.manifest.model_digest}")
        ends = np.cumsum([_HEAD.size, *sizes]).tolist()
        state, detector, clock = (body[a:b] for a, b in pairwise(ends))
        before = self.snapshot()
        try:
            self.detector.restore(detector)
            self.timeline.restore(clock)
            self.state.from_bytes(state)
        except SnapshotError:
            self.restore(before)
            raise
        self._epoch, self._age, self._done, self._pushed = epoch, age, done, mode == _PUSHED
        if mode == _STEPPED:
            self.step = self.model.engine.bind(self.state)
        else:
            self.__dict__.pop("step", None)

    @property
    def steady(self) -> bool:
        """Whether a good sample that is the next would be a plain step: fed by push, warm, no hole open."""
        return (
            self._pushed
            and self._age >= self.model.manifest.warmup_samples
            and self.timeline.whole
            and self.detector.next_index in (self.timeline.next_index, None)
        )

    def move(self, last: F32, run: I64, memory: F64, at: int, state: tuple[Array, ...]) -> None:
        """From now on keep what a step changes in these arrays, parts of some that streams abreast share.

        `last`, `run` (I,) are the watch's; `memory` (FIELDS, N, K) the detectors', this one's is the `at`-th.
        """
        self.timeline.watch.move(last, run)
        self.detector.move(memory, at)
        self.state.move(state)
        if "step" in self.__dict__:
            self.step = self.model.engine.bind(self.state)

    def took(self, rows: int, numbered: int, last: F32, logits: F32) -> None:
        """So many plain steps were made beside those of others, of samples that were simply the next good ones.

        `numbered` of them had numbers, the last was `last` (I,), which is kept; `logits` (T, C) are of the last push.
        """
        self.timeline.took(rows, numbered, last)
        self._age += rows
        self._done = self.timeline.next_index
        self.detector.passed(self._done)
        steps = len(logits)
        self._keep_scores([_Steps(logits, np.arange(self._done - steps, self._done), np.zeros(steps, np.uint8))])

    def told(self, decisions: list[Decision], first: int = 0, quality: NDArray[np.uint8] = _NO_QUALITY) -> list[Event]:
        """The detector's decisions as events; `quality` (T,) is that of the samples from `first` on, none: all good."""
        about = (self.name, self._epoch, self.model.manifest, self.timeline.time_ns)
        return [
            event_of(decision, *about, QUALITIES[quality[decision.at - first]] if len(quality) else QUALITIES[0])
            for decision in decisions
        ]

    def _carry_out(self, plan: Plan) -> list[Event]:
        events: list[Event] = []
        steps: list[_Steps] = []
        for item in plan:
            if isinstance(item, Segment):
                steps.append(self._infer(item, events))
            elif isinstance(item, Restart):
                events += self._restart("gap")
            else:
                events.append(item)
        self._keep_scores(steps)
        return events

    def _flush(self) -> list[Event]:
        return [item for item in self.timeline.flush() if isinstance(item, Gap)]

    def _infer(self, segment: Segment, events: list[Event]) -> _Steps:
        rows = len(segment.x)
        logits = np.empty((rows, self.model.outputs), np.float32)
        self.model.engine.run(segment.x, self.state, logits)
        cold = min(max(self.model.manifest.warmup_samples - self._age, 0), rows)
        quality = segment.quality
        if cold:
            quality = quality.copy()
            quality[:cold] = WARMUP
        # Nothing is decided on values held for long: to the detector they are a break, as lost samples are.
        if cold < rows and self.detector.active and segment.quality[0] != DEGRADED:
            decisions = self.detector.push(softmax(logits[cold:]), segment.first + cold)
            events += self.told(decisions, segment.first, quality)
        self._age += rows
        self._done = segment.first + rows
        return _Steps(logits, np.arange(segment.first, self._done), quality)

    def _restart(self, reason: str) -> list[Event]:
        events = self.told(self.detector.end(self._done, reason))
        self.state.zero()
        self._age = 0
        self._epoch += 1
        return events

    def _keep_scores(self, steps: list[_Steps]) -> None:
        if len(steps) == 1:
            self.last_scores, self.last_index, self.last_quality = steps[0]
            return
        parts = [_Steps(np.empty((0, self.model.outputs), np.float32), _NO_INDEX, _NO_QUALITY), *steps]
        self.last_scores, self.last_index, self.last_quality = (np.concatenate(p) for p in zip(*parts, strict=True))
