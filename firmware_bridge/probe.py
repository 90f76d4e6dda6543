"""What is at the end of a port: looked at for a moment, told in a record. It writes nothing but a HELLO."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from edge_rnn.errors import EdgeRnnError, LinkError

from .link import Link
from .messages import Data, ModelKind, Result, Role
from .port import Port, ports, stable_name
from .sniff import Sniffer, is_row


@dataclass(slots=True)
class Found:
    """One port. `format` is wire, lines, bytes (unreadable), silent or unknown (it could not be opened)."""

    url: str
    name: str
    description: str = ""
    format: str = "unknown"
    rate_hz: float | None = None
    channels: int | None = None
    role: str | None = None
    model: str | None = None
    model_hash: str | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def probe(url: str, seconds: float = 1.5, clock: Callable[[], float] = time.monotonic) -> Found:
    """Open a port, say HELLO, listen for so long."""
    found = Found(url, url)
    try:
        port = Port(url)
    except EdgeRnnError as error:
        found.error = str(error)
        return found
    found.name = port.name
    try:
        _listen(port, found, seconds, clock)
    finally:
        port.close()
    return found


def plugged() -> list[Found]:
    """The serial ports of this machine, unopened; those without a USB identity or a driver behind them are left out."""
    here = [port for port in ports() if port.hwid not in (None, "n/a")]
    return [Found(f"serial://{stable_name(p.device)}", str(p.device), str(p.description)) for p in here]


def _listen(port: Port, found: Found, seconds: float, clock: Callable[[], float]) -> None:
    link, sniffer, rows, rows_at = Link(), Sniffer(), 0, 0.0
    began = clock()
    link.open(time.monotonic_ns())
    while (now := clock()) - began < seconds and port.up:
        link.tick(time.monotonic_ns())
        port.write(link.take())
        data = port.read(0.05)
        try:
            events = link.feed(data, time.monotonic_ns())
        except LinkError as error:
            found.format, found.error = "wire", str(error)
            return
        if link.decoder.accepted == 0:
            sniffer.feed(data)
        count = sum(e.rows if isinstance(e, Data) else isinstance(e, Result) for e in events)
        count += data.count(b"\n") if link.decoder.accepted == 0 else 0
        rows_at = rows_at or (now if count else 0.0)  # what waited in the port's buffer counts as nothing
        rows += count if rows_at != now else 0
    if rows_at and clock() > rows_at and rows:
        found.rate_hz = round(rows / (clock() - rows_at), 1)
    _conclude(link, sniffer, found)


def _conclude(link: Link, sniffer: Sniffer, found: Found) -> None:
    if link.info is not None:
        info = link.info
        found.format, found.channels = "wire", info.channels or info.inputs
        found.role = Role(info.role).name.lower()
        found.rate_hz = info.rate_hz or found.rate_hz
        if info.model_kind:
            kind = ModelKind(info.model_kind).name.lower() if info.model_kind <= ModelKind.OTHER else "unknown"
            found.model, found.model_hash = (
                f"{kind} {info.inputs}-{info.hidden}-{info.outputs}",
                f"{info.model_hash:08x}",
            )
        return
    lines = [line for line in sniffer.held.split(b"\n")[1:-1] if is_row(line)]
    if sniffer.text and lines:
        found.format, found.channels = "lines", lines[-1].count(b",") + 1
    elif sniffer.seen:
        found.format, found.rate_hz = "bytes", None
        found.error = "sends bytes but no frames and no lines: is the baud rate right?"
    else:
        found.format = "silent"
