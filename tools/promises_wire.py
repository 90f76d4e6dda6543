"""R1, R2, R6 and R16 in full size: noise and small errors on the wire, pulled cables, gaps. Each with its control.

A promise is a function that gives (count, figures, control, ok): strings for docs/guarantees.md, and whether it held
and its control failed as it must.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

Held = tuple[str, str, str, bool]


def r1_noise(folder: Path) -> Held:
    """10^9 noisy bytes (flips, cuts, inserts, bursts): no corrupt frame accepted, the next clean frame is read."""
    from c_tools import HERE, SANITIZE, compile_c, frame_sources, run
    from edge_rnn.firmware_bridge.framing import Decoder

    source = HERE / "c" / "noise.c"
    sanitized = compile_c(folder / "noise", [source, *frame_sources()], *SANITIZE)
    crc16 = compile_c(folder / "noise16", [source, *frame_sources("crc16.c")])
    size = 1_000_000_000
    c = json.loads(run(sanitized, 1, size).stderr)
    decoder, held = Decoder(64), 0
    with subprocess.Popen([sanitized, "1", str(size), "dump"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as noise:
        assert noise.stdout is not None
        while block := noise.stdout.read(1 << 16):
            decoder.feed(block)
            held = max(held, decoder.held)
    same = (decoder.accepted, decoder.crc_errors, decoder.framing_errors) == (
        c["accepted"],
        c["crc_errors"],
        c["framing_errors"],
    )
    control = json.loads(run(crc16, 2, size).stderr)
    return (
        f"{c['bytes']:,} bytes, C (ASan, UBSan) and Python",
        (
            f"{c['accepted']:,} frames accepted, {c['wrong']} of them wrong, {c['late']} clean frames missed; the "
            f"Python decoder {'accepts and refuses the same' if same else 'DIFFERS'} and holds at most {held} bytes"
        ),
        f"CRC-16 accepts {control['wrong']} wrong frames",
        c["wrong"] == c["late"] == 0 and same and held <= 74 and control["wrong"] > 0,
    )


def r2_small_errors(folder: Path) -> Held:
    """Every 1-, 2- and 3-bit error of sixty frames of 8 to 64 bytes, delimiters included: none accepted."""
    from c_tools import HERE, compile_c, frame_sources, run

    source = HERE / "c" / "small_errors.c"
    program = compile_c(folder / "small", [source, *frame_sources()], "-O3")
    crc16 = compile_c(folder / "small16", [source, *frame_sources("crc16.c")], "-O3")
    lengths = [round(8 + 56 * i / 59) for i in range(60)]
    found = json.loads(run(program, *lengths).stdout)
    control = json.loads(run(crc16, *lengths[::3]).stdout)
    return (
        f"{found['errors']:,} errors in 60 frames",
        f"{found['wrong']} wrong frames accepted",
        f"CRC-16 accepts {control['wrong']} of {control['errors']:,}",
        found["wrong"] == 0 and control["wrong"] > 0,
    )


def r6_replug(folder: Path) -> Held:
    """10,000 times pulled, renamed and plugged in again on a pty: always back, nothing leaks."""
    import logging

    from edge_rnn.firmware_bridge.port import Port
    from replug import replug

    logging.getLogger("edge_rnn.serial").setLevel(logging.ERROR)
    f = replug(folder, 10_000)
    with mock.patch.object(Port, "_try_again", lambda port, seconds: time.sleep(seconds)):
        control = replug(folder, 5, patience_s=10)
    held = f["cycles"] >= 9_999 and f["failed"] == 0 and f["fds_grown"] <= 0 and f["threads_grown"] == 0
    return (
        f"{f['cycles']:,} replugs (a simulation: ptys)",
        (
            f"back after p50 {f['p50_ms']:.1f}, p99 {f['p99_ms']:.1f}, max {f['max_ms']:.1f} ms; {f['fds_grown']} fds, "
            f"{f['threads_grown']} threads, {f['rss_grown_kb']} KB more"
        ),
        f"a port that does not reopen, as pyserial's: {control['cycles']} of 5 are back",
        held and f["p99_ms"] < 50 and f["rss_grown_kb"] < 8_000 and control["cycles"] == 0,
    )


def r16_gaps(_: Path) -> Held:
    """Any schedule of loss, repetition and swaps: the two sums of edge_rnn.gaps hold exactly."""
    import test_gaps
    from hypothesis import settings

    examples = 20_000
    for test in (
        test_gaps.test_both_sums_hold_on_any_schedule_and_any_cut_gives_the_same_plan,
        test_gaps.test_a_lossy_doubling_reordering_wire_keeps_the_sums,
    ):
        test._hypothesis_internal_use_settings = settings(max_examples=examples, deadline=None, database=None)
        test()
    test_gaps.test_a_wrong_sum_would_be_noticed()
    return f"2 x {examples:,} schedules", "both sums exact in all", "one duplicate not counted is noticed", True


PROMISES = {"R1": r1_noise, "R2": r2_small_errors, "R6": r6_replug, "R16": r16_gaps}
