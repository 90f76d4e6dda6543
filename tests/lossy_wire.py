"""A wire in simulated time between a host's Link and a board that loses, repeats and corrupts frames on a seed."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.link import Event, Link
from edge_rnn.firmware_bridge.messages import Info, Role

TICK_NS = 1000
HASH = 0x1234ABCD


class Mixer:
    """A stateful arithmetic that every lost, repeated or swapped step changes for good."""

    def __init__(self, outputs: int = 3) -> None:
        self.s = [0] * 4
        self.outputs = outputs

    def step(self, x):
        mixed = []
        for i, s in enumerate(self.s):
            s = (s * 31 + x[i % len(x)] + i) & 0xFFFFFFFF
            mixed.append(s)
        self.s = mixed
        return tuple(struct.unpack("<i", struct.pack("<I", mixed[i % 4]))[0] for i in range(self.outputs))

    def zero(self):
        self.s = [0] * 4

    def get_state(self):
        return struct.pack("<4I", *self.s)

    def set_state(self, state):
        self.s = list(struct.unpack("<4I", state))


def inference_info(**changes) -> Info:
    fields = {"role": Role.INFERENCE, "credits": 4, "inputs": 3, "outputs": 3, "channels": 3, "state_bytes": 16}
    return Info(**{**fields, "model_hash": HASH, "model_kind": 2, **changes})


def sensor_info(**changes) -> Info:
    return Info(**{"role": Role.SENSOR, "channels": 3, "rate_mhz": 100_000, **changes})


def make_board(role: Role, **more) -> Board:
    if role == Role.SENSOR:
        return Board(sensor_info(), slots=4, answers=1, rows_per_frame=2, **more)
    if role == Role.NODE:
        return Board(inference_info(role=role, credits=1), slots=4, answers=1, model=Mixer(), **more)
    return Board(inference_info(), slots=0, answers=4, model=Mixer(), **more)


@dataclass
class LossyWire:
    """Both directions: of each frame `loss` is the share that is lost, repeated or corrupted (a third each)."""

    board: Board
    link: Link
    rng: random.Random
    loss: float = 0.05
    delay_ns: int = 2_000_000
    now_ns: int = 0
    _down: list = field(default_factory=list)
    _up: list = field(default_factory=list)
    plugged: bool = True

    def mangle(self, data: bytes) -> bytes:
        out = b""
        for piece in data.split(b"\0")[:-1]:
            frame = piece + b"\0"
            if self.rng.random() < self.loss:
                kind = self.rng.randrange(3)
                if kind == 0:
                    continue
                if kind == 1:
                    frame = frame * 2
                else:
                    at = self.rng.randrange(len(frame))
                    frame = frame[:at] + bytes([frame[at] ^ (1 << self.rng.randrange(8))]) + frame[at + 1 :]
            out += frame
        return out

    def run(self, for_ns: int, step_ns: int = 1_000_000) -> list[Event]:
        """Let time pass."""
        events: list[Event] = []
        end = self.now_ns + for_ns
        while self.now_ns < end:
            self.now_ns += step_ns
            self.link.tick(self.now_ns)
            self._flow()
            while self._down and self._down[0][0] <= self.now_ns:
                self.board.feed(self._down.pop(0)[1], self.now_ns // TICK_NS)
            self._flow()
            while self._up and self._up[0][0] <= self.now_ns:
                events += self.link.feed(self._up.pop(0)[1], self.now_ns)
        return events

    def _flow(self) -> None:
        due = self.now_ns + self.delay_ns
        down, up = self.link.take(), bytes(self.board.out)
        self.board.out.clear()
        if self.plugged:
            if down := self.mangle(down):
                self._down.append((due, down))
            if up := self.mangle(up):
                self._up.append((due, up))

    def pull(self) -> None:
        """Pull the cable: what is on the wire is lost."""
        self.plugged, self._down, self._up = False, [], []

    def plug(self) -> None:
        self.plugged = True
        self.link.open(self.now_ns)
