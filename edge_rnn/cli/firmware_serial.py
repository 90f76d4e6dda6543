"""What `edge-rnn firmware` does with a board on a serial line: the proof of its bits, another model, its results."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..detect import softmax
from ..engine import I32
from ..engines.integer import quantize_input
from ..errors import UsageError
from ..events import Quality
from ..outside import outside
from ..results import Results
from .progress import progress

if TYPE_CHECKING:
    from ..bundle import Bundle


class _Different(Exception):
    """A logit or a state of the board is not the engine's."""


def check_serial(bundle: Bundle, url: str, expected: Any) -> tuple[dict[str, Any], str]:
    """Stream `expected.x` to the board at `url` and compare each answer at once: what was found, as record and text.

    It ends at the first different bit. A cable that is pulled or a board that reboots on the way changes nothing:
    its state is given back and the missing steps are made again.
    """
    remote = outside("boards that infer").Remote(_port(url), model_hash(bundle))
    steps, began = len(expected.x), time.monotonic()
    made, diverged = 0, None
    with progress(url, steps) as advance:

        def each(row: int, logits: Any) -> None:
            nonlocal made, diverged
            made = row + 1
            advance()
            if not np.array_equal(logits, expected.y[row]):
                diverged = row
                raise _Different

        try:
            remote.run(quantize_input(expected.x, bundle.graph.arrays["sx"]), each)
            if remote.state() != expected.state:
                diverged = steps - 1
        except _Different:
            pass
    seconds = time.monotonic() - began
    stats, link = remote.board_stats(), remote.link
    step_us = stats.max_step_ticks * 1e6 / remote.info.tick_hz
    remote.port.close()
    found = {
        "serial": url,
        "steps": made,
        "ok": diverged is None,
        "bit_exact": diverged is None,
        "first_divergent_step": diverged,
        "seconds": round(seconds, 2),
        "max_step_us": round(step_us, 1) if stats.max_step_ticks else None,
        "reboots": remote.reboots,
        "frames_sent_again": link.counters.resent,
        "damaged_frames": stats.crc_errors + stats.framing_errors + link.damaged,
    }
    kind = "bit-exact, and so is the final state" if diverged is None else f"DIFFERENT at step {diverged}"
    lines = [f"{url}: {made} steps in {seconds:.1f} s, {kind}"]
    if found["max_step_us"]:
        lines.append(f"a step took at most {found['max_step_us']} us by the board's clock")
    lines.append(
        f"on the way: {found['reboots']} reboots, {found['frames_sent_again']} frames sent again, "
        f"{found['damaged_frames']} damaged"
    )
    return found, "\n".join(lines)


def push_model(bundle: Bundle, url: str) -> dict[str, Any]:
    """Push a bundle's weights to the board at `url`; what it took."""
    image, began = outside("model images").image(bundle.graph), time.monotonic()
    with progress(url, len(image)) as advance:
        done = 0

        def follow(held: int) -> None:
            nonlocal done
            for _ in range(held - done):
                advance()
            done = max(done, held)

        port = _port(url)
        pushed = outside("firmware push").Push(port, image, model_hash(bundle), progress=follow).run()
    port.close()
    return {
        "serial": url,
        "model": bundle.manifest.title,
        "model_hash": f"{model_hash(bundle):08x}",
        "image_bytes": pushed.size,
        "sent_bytes": pushed.sent,
        "reboots": pushed.reboots,
        "frames_sent_again": pushed.resent,
        "seconds": round(time.monotonic() - began, 2),
    }


def results(bundle: Bundle, url: str, steps: int | None, every: int) -> Iterator[dict[str, Any]]:
    """What the board at `url` infers on its own sensor: events, gaps and each `every`-th result (0: none) as records.

    It ends after so many `steps`, or at an interrupt; what is active ends with it.
    """
    reader_module = outside("boards as sources")
    node = outside("messages of the wire").Role.NODE
    reader = reader_module.Reader(_port(url), role=node, model_hash=model_hash(bundle))
    heard, made = Results(bundle.manifest, url), 0
    try:
        for piece in reader:
            if isinstance(piece, reader_module.Text):
                raise UsageError(f"the board at {url} prints lines, expected one built with --role node")
            logits = piece.logits.astype(np.float32) / np.float32(65536)
            events = heard.push(logits, piece.step, piece.seq, piece.t_ns)
            yield from (event.to_json() for event in events)
            if every and piece.seq % every == 0:
                yield score(piece.t_ns, piece.step, piece.logits, bundle.manifest.labels, heard.quality)
            made += 1
            if made == steps:
                break  # one read brings many results: those behind the last that was asked for are nobody's
    except KeyboardInterrupt:
        pass
    finally:
        reader.port.close()
    yield from (event.to_json() for event in heard.finish())


def score(t_ns: int, step: int, logits: I32, labels: tuple[str, ...], quality: Quality) -> dict[str, Any]:
    """One result as a line: probabilities, the best label, and the exact integers."""
    p = softmax(logits[None].astype(np.float32) / np.float32(65536))[0].tolist()
    scores = {label: round(value, 6) for label, value in zip(labels, p, strict=True)}
    best = labels[int(np.argmax(logits))]
    line = {"type": "score", "t": round(t_ns / 1e9, 6), "step": step, "label": best}
    return {**line, "scores": scores, "quality": quality, "logits": logits.tolist()}


def _port(url: str) -> Any:
    """The port at a URL or, for short, at a device's name."""
    return outside("ports").Port(url if "://" in url else f"serial://{url}")


def model_hash(bundle: Bundle) -> int:
    """What a board's INFO calls this model."""
    return int.from_bytes(bytes.fromhex(bundle.manifest.model_digest)[:4], "little")
