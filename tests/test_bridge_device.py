"""The device's end in C against the Python board, byte for byte, under the sanitizers; its size on a Cortex-M0."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
import subprocess
import zlib

import pytest
from c_tools import DEVICE, HERE, LINK, SANITIZE, STRICT, compile_c, frame_sources, run
from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.framing import Decoder, Frame, encode
from edge_rnn.firmware_bridge.link import Link
from edge_rnn.firmware_bridge.messages import Data, Role
from edge_rnn.firmware_bridge.window import Answered
from lossy_wire import HASH, LossyWire, Mixer, inference_info, sensor_info

SOURCES = [f"{name}.c" for name in (*LINK, "ernn_blob")]


class Store:
    def begin(self, size):
        return size <= 1000

    def write(self, offset, data):
        pass

    def apply(self, size):
        return size != 13


class Scripted(Board):
    """A Python board that writes down what happens to it, for the C end."""

    script = b""
    said = b""

    def _note(self, op: bytes, now: int, data: bytes) -> None:
        self.script += op + struct.pack("<IH", now, len(data)) + data

    def feed(self, data, now):
        for at in range(0, len(data), 60_000):
            self._note(b"F", now, data[at : at + 60_000])
        super().feed(data, now)

    def push(self, row, now):
        self._note(b"P", now, struct.pack("<3h", *row))
        super().push(row, now)

    def flush(self):
        super().flush()

    def log(self, text):
        self._note(b"L", 0, text.encode())
        super().log(text)


def scripted(role: Role) -> Scripted:
    if role == Role.SENSOR:
        return Scripted(sensor_info(), rows_per_frame=2, store=Store())
    changes = {"credits": 1, "role": role} if role == Role.NODE else {}
    slots, answers = (4, 1) if role == Role.NODE else (0, 4)
    return Scripted(inference_info(**changes), slots=slots, answers=answers, model=Mixer(), store=Store())


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    sources = [HERE / "c" / "bridge_script.c", *(DEVICE / name for name in SOURCES)]
    flags = [*SANITIZE, "-DERNN_LINK_BLOB=1"]
    return {r: compile_c(folder / f"role{r}", sources, *flags, f"-DERNN_LINK_ROLE={r:d}") for r in Role}


class Tape(bytearray):
    """What a board says, kept beyond `clear`."""

    def __init__(self):
        super().__init__()
        self.all = b""

    def __iadd__(self, data):
        self.all += bytes(data)
        self.extend(data)
        return self


def check_same(board: Scripted, device) -> None:
    said = run(device, input=board.script).stdout
    ours = board.out.all
    if said != ours:
        at = next((i for i, (a, b) in enumerate(zip(said, ours, strict=False)) if a != b), min(len(said), len(ours)))
        raise AssertionError(
            f"the C end differs at byte {at}: {said[at : at + 24].hex()} for {ours[at : at + 24].hex()}"
        )


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("seed", range(4))
def test_the_c_end_says_byte_for_byte_what_the_python_board_says_over_a_bad_wire(devices, role, seed):
    board = scripted(role)
    board.out = Tape()
    rng = random.Random(seed)
    board.boot()
    w = LossyWire(board, Link(None, random.Random(seed)), rng, 0.1)
    w.link.open(0)
    answered = pushed = 0
    for turn in range(400):
        if role == Role.INFERENCE and w.link.room:
            w.link.request(Data(turn, turn, 1, rng.randbytes(6)), w.now_ns)
        if role != Role.INFERENCE and turn % 2:
            board.push(struct.unpack("<3h", rng.randbytes(6)), w.now_ns // 1000)
            pushed += 1
        if turn % 100 == 60:
            w.pull()
        if turn % 100 == 80:
            w.plug()
        answered += sum(isinstance(e, Answered | Data) for e in w.run(5_000_000))
    board.log("done")
    assert len(board.out.all) > 4000
    assert answered or role == Role.NODE
    check_same(board, devices[role])


HOSTILE_LENGTHS = [0, 1, 2, 3, 4, 5, 6, 8, 10, 16, 20, 23, 32, 36, 44, 63, 64, 65, 66, 200, 240]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("seed", range(4))
def test_hostile_requests_are_refused_alike_at_both_ends(devices, role, seed):
    """True frames with absurd contents: a fuzz of everything behind the CRC, in C under the sanitizers."""
    board = scripted(role)
    board.out = Tape()
    rng = random.Random(seed)
    board.boot()
    board.feed(encode(Frame(1, 9, 0, struct.pack("<BBBxH", 1, 0, 240, 7))), 0)
    store = rng.randbytes(90)
    good = [
        (0x40, struct.pack("<IIH6s", 5, 6, 1, rng.randbytes(6))),
        (0x42, struct.pack("<I", 77)),
        (0x43, struct.pack("<H", 3)),
        (0x45, struct.pack("<IHHII", 9, 0, 16, HASH, zlib.crc32(bytes(range(16)))) + bytes(range(16))),
        (0x45, struct.pack("<IHHII", 9, 0, 16, HASH, zlib.crc32(bytes(range(16)))) + bytes(range(6))),
        (0x45, struct.pack("<IHHII", 9, 6, 16, HASH, zlib.crc32(bytes(range(16)))) + bytes(range(6, 16))),
        (0x46, struct.pack("<I", 90) + hashlib.sha256(store).digest()),
        (0x46, struct.pack("<I", 9999) + hashlib.sha256(store).digest()),
        (0x47, struct.pack("<I", 0) + store[:50]),
        (0x47, struct.pack("<I", 50) + store[50:]),
        (0x48, b""),
        (0x05, b"ping"),
        (0x06, bytes(8)),
        (0x07, b""),
        (0x03, b"\0\4"),
        (0x04, b"\0\1\0"),
    ]
    now = 0
    for _ in range(3000):
        now += rng.choice([0, 10, 1000, 200_000])
        kind, payload = rng.choice(good)
        seq = board._expected if rng.random() < 0.8 else rng.randrange(256)
        if kind in (3, 4) and rng.random() < 0.8:
            payload = bytes([(board._oldest + rng.randrange(-1, 5)) & 255]) + payload[1:]
        if rng.random() < 0.3:
            kind = rng.choice([kind, rng.randrange(256)])
            payload = rng.randbytes(rng.choice(HOSTILE_LENGTHS))
        elif rng.random() < 0.2 and payload:
            at = rng.randrange(len(payload))
            payload = payload[:at] + rng.randbytes(1) + payload[at + 1 :]
        wire = encode(Frame(kind, seq, 7 if rng.random() < 0.97 else 8, payload))
        if rng.random() < 0.03:
            wire = rng.randbytes(rng.randrange(200))
        board.feed(wire, now)
        if rng.random() < 0.2 and role != Role.INFERENCE:
            board.push(struct.unpack("<3h", rng.randbytes(6)), now)
    assert board._expected > 0
    check_same(board, devices[role])


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    source = HERE / "c" / "noise.c"
    return {
        "sanitized": compile_c(folder / "sanitized", [source, *frame_sources()], *SANITIZE),
        "crc16": compile_c(folder / "crc16", [source, *frame_sources("crc16.c")]),
    }


def test_r1_noise_never_makes_a_frame_and_the_next_clean_one_is_read(noise):
    report = json.loads(run(noise["sanitized"], 1, 100_000_000).stderr)
    assert report["bytes"] >= 100_000_000
    assert report["accepted"] > 1_000_000
    assert report["wrong"] == report["late"] == 0


def test_r1_the_python_decoder_accepts_the_same_frames_of_the_same_noise(noise):
    done = run(noise["sanitized"], 3, 10_000_000, "dump")
    report = json.loads(done.stderr)
    decoder, rng, at = Decoder(64), random.Random(0), 0
    while at < len(done.stdout):
        size = rng.randrange(1, 5000)
        decoder.feed(done.stdout[at : at + size])
        assert decoder.held <= 74
        at += size
    counts = (decoder.accepted, decoder.crc_errors, decoder.framing_errors)
    assert counts == (report["accepted"], report["crc_errors"], report["framing_errors"])


def test_r1_negative_control_crc16_lets_noise_through(noise):
    assert json.loads(run(noise["crc16"], 2, 1_000_000_000, "until-wrong").stderr)["wrong"] == 1


SHORT = [8 + i % 6 for i in range(53)] + [16, 20, 24, 32, 40, 48, 64]
"""Raw lengths of sixty frames."""


def test_r2_no_error_of_one_two_or_three_bits_is_accepted(tmp_path):
    program = compile_c(tmp_path / "small", [HERE / "c" / "small_errors.c", *frame_sources("fast_crc.c")], "-O3")
    report = json.loads(run(program, *SHORT).stdout)
    assert report["errors"] > 50_000_000
    assert report["wrong"] == 0


def test_r2_negative_control_crc16_behind_cobs_accepts_wrong_frames(tmp_path):
    program = compile_c(tmp_path / "small16", [HERE / "c" / "small_errors.c", *frame_sources("crc16.c")], "-O3")
    assert json.loads(run(program, 24, 28).stdout)["wrong"] > 0


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("blob", [0, 1])
def test_the_device_end_fits_a_small_board(tmp_path, role, blob):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("no arm-none-eabi-gcc: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    flags = [
        "-mcpu=cortex-m0",
        "-mthumb",
        "-Os",
        f"-DERNN_LINK_ROLE={role:d}",
        f"-DERNN_LINK_BLOB={blob}",
        f"-I{DEVICE}",
    ]
    probe = tmp_path / "probe.c"
    probe.write_text('#include "ernn_link.h"\nernn_link link_;\n')
    sizes = {}
    for source in [*(DEVICE / name for name in SOURCES), probe]:
        target = tmp_path / (source.stem + ".o")
        done = subprocess.run([compiler, *STRICT, *flags, "-c", source, "-o", target], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text, data, bss = (
            subprocess.run([shutil.which("arm-none-eabi-size"), target], capture_output=True, text=True, check=True)
            .stdout.splitlines()[1]
            .split()[:3]
        )
        assert int(data) == 0
        sizes[source.stem] = (int(text), int(bss))
    flash = sum(sizes[name][0] for name in LINK)
    ram = sizes["probe"][1]
    assert sum(bss for name, (_, bss) in sizes.items() if name != "probe") == 0, "no globals"
    print(f"{role.name} blob={blob}: {flash} B flash, {ram} B RAM, blob {sizes['ernn_blob'][0]} B")
    assert flash + (sizes["ernn_blob"][0] if blob else 0) <= 2560 + (1600 if blob else 0)
    assert ram <= 700 + (200 if blob else 0)
