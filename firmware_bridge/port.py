"""A serial line by URL that comes back when it was pulled: the one file here that does I/O, and that knows pyserial.

    serial:///dev/ttyACM0?baud=115200     a device
    serial:///dev/serial/by-id/usb-Ard*   the newest that matches: a stable name, whatever number it gets
    serial://2341:0043[:SERIAL]           USB vendor, product and serial number
    socket://host:port, loop://           as pyserial has them

It holds the line alone (an exclusive lock), never raises for an outage after the first opening, and says one log line
for it. While the device is away its name is looked for every 10 ms; an opening that fails backs off 10 ms to 1 s.
"""

from __future__ import annotations

import errno
import glob
import logging
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from edge_rnn.errors import MissingExtra, SourceError, UsageError

log = logging.getLogger("edge_rnn.serial")

LOOK_S = 0.01
USB_LOOK_S = 0.1
"""Looking through the USB devices costs milliseconds, a name in a folder microseconds."""
MAX_BACKOFF_S = 1.0
DEFAULT_BAUD = 115_200
_BLOCK = 4096


class Port:
    """Opens at once or raises SourceError with the reason; afterwards `read` waits for the line to come back.

    `opened` counts the openings: who sees it grow begins anew (`Link.open`).
    """

    def __init__(
        self,
        url: str,
        baud: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self.baud = baud or _baud(url)
        self.opened = 0
        self.outages = 0
        self.name = ""
        self._clock, self._sleep = clock, sleep
        self._line: Any = None
        self._fd = -1
        self._lost_at = 0.0
        self._backoff = LOOK_S
        self._again_at = 0.0
        self._open()

    @property
    def up(self) -> bool:
        """Whether the line is there."""
        return self._line is not None

    def read(self, timeout_s: float) -> bytes:
        """What has come, after at most `timeout_s`; b"" when nothing came or the line is out."""
        if self._line is None:
            self._try_again(timeout_s)
            return b""
        try:
            if self._fd < 0:
                return self._read_polling(timeout_s)
            ready, _, _ = select.select([self._fd], [], [], max(timeout_s, 0.0))
            if not ready:
                return b""
            data = os.read(self._fd, _BLOCK)
        except BlockingIOError:
            return b""
        except Exception as error:  # pyserial wraps what it likes: OSError, SerialException, TypeError on a closed fd
            self._lost(error)
            return b""
        if not data:
            self._lost(OSError(errno.EIO, "the other side hung up"))
        return data

    def write(self, data: bytes) -> bool:
        """Write all of it; False when the line is out, and the data lost."""
        if self._line is None:
            return False
        try:
            self._line.write(data)
        except Exception as error:
            self._lost(error)
            return False
        return True

    def close(self) -> None:
        """Give the line free."""
        line, self._line, self._fd = self._line, None, -1
        if line is not None:
            try:
                line.close()
            except Exception:
                log.debug("closing %s failed", self.name, exc_info=True)

    def _open(self) -> None:
        self.name = find(self.url)
        self._line = _serial(self.name, self.baud)
        try:
            self._fd = self._line.fileno()
        except (AttributeError, OSError, ValueError):  # loop://, Windows
            self._fd = -1
            self._line.timeout = LOOK_S
        self.opened += 1
        self._backoff = LOOK_S

    def _read_polling(self, timeout_s: float) -> bytes:
        """Where select cannot wait for the line."""
        until = self._clock() + timeout_s
        while True:
            data: bytes = self._line.read(max(1, min(self._line.in_waiting, _BLOCK)))
            if data or self._clock() >= until:
                return data

    def _lost(self, error: Exception) -> None:
        self.close()
        self.outages += 1
        self._lost_at = self._clock()
        self._again_at = self._lost_at
        log.warning("%s is gone (%s): waiting for it to come back", self.name, error)

    def _try_again(self, timeout_s: float) -> None:
        until = self._clock() + timeout_s
        look = USB_LOOK_S if _usb_id(self.url) else LOOK_S
        while self._line is None:
            now = self._clock()
            if now >= self._again_at:
                try:
                    self._open()
                except FileNotFoundError:
                    self._again_at = now + look
                except SourceError:
                    self._again_at = now + self._backoff
                    self._backoff = min(2 * self._backoff, MAX_BACKOFF_S)
                else:
                    log.info("%s is back after %.1f s", self.name, self._clock() - self._lost_at)
                    return
            now = self._clock()
            if now >= until:
                return
            self._sleep(max(0.0, min(until, self._again_at) - now))


class DeviceAbsent(SourceError, FileNotFoundError):
    """No device of this name is plugged in."""


def find(url: str) -> str:
    """The device or pyserial URL that a URL of ours names now; raises DeviceAbsent, or UsageError for a bad one."""
    parts = urlsplit(url)
    if parts.scheme in ("socket", "loop"):
        return url
    if parts.scheme != "serial":
        raise UsageError(f"port {url!r} is of kind {parts.scheme}://, expected serial://, socket:// or loop://")
    usb = _usb_id(url)
    if usb is not None:
        for port in ports():
            if _usb_matches(port, usb):
                return str(port.device)
        raise DeviceAbsent(f"no USB device {parts.netloc} is plugged in: `edge-rnn devices` lists what is")
    path = unquote(parts.path) or parts.netloc
    if any(c in path for c in "*?["):
        found = sorted(glob.glob(path), key=_changed)
        if not found:
            raise DeviceAbsent(f"no device matches {path}: `edge-rnn devices` lists what is plugged in")
        return found[-1]
    if path.startswith("/") and not Path(path).exists():
        raise DeviceAbsent(f"there is no {path}: is the board plugged in? `edge-rnn devices` lists what is")
    return path


def ports() -> list[Any]:
    """The serial ports of this machine, as pyserial lists them."""
    _import_serial()
    from serial.tools import list_ports

    return sorted(list_ports.comports(), key=lambda port: str(port.device))


def stable_name(device: str) -> str:
    """The name under /dev/serial/by-id that leads to a device, or the device."""
    for link in sorted(glob.glob("/dev/serial/by-id/*")):
        if os.path.realpath(link) == os.path.realpath(device):
            return link
    return device


def explain(error: Exception, name: str) -> str:
    """One sentence for what is wrong with opening a device, and what to do."""
    code = getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return f"no permission for {name} (dialout group): sudo usermod -aG dialout $USER, then log in again"
    if code in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        return f"{name} is held by another program: close it (a serial monitor?); `fuser {name}` names it"
    if code == errno.ENOENT:
        return f"there is no {name}: is the board plugged in? `edge-rnn devices` lists what is"
    if code == errno.ECONNREFUSED or "Connection refused" in str(error):
        return f"nobody listens at {name}: start it first"
    return f"cannot open {name}: {error}"


def _serial(name: str, baud: int) -> Any:
    serial = _import_serial()
    native = "://" not in name
    more = {"exclusive": True} if native and os.name == "posix" else {}
    try:
        line = serial.serial_for_url(name, baudrate=baud, timeout=0, write_timeout=1.0, **more)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        kind = DeviceAbsent if getattr(error, "errno", None) == errno.ENOENT else SourceError
        raise kind(explain(error, name)) from error
    return line


def _import_serial() -> Any:
    try:
        import serial
    except ImportError as error:
        raise MissingExtra("pyserial", "serial", "a serial port") from error
    return serial


def _baud(url: str) -> int:
    text = parse_qs(urlsplit(url).query).get("baud", [str(DEFAULT_BAUD)])[-1]
    if not text.isdigit() or not 50 <= int(text) <= 20_000_000:
        raise UsageError(f"baud={text} was given in {url}, expected a rate such as 115200")
    return int(text)


def _usb_id(url: str) -> list[str] | None:
    parts = urlsplit(url).netloc.split(":")
    return parts if urlsplit(url).scheme == "serial" and len(parts) in (2, 3) else None


def _usb_matches(port: Any, wanted: list[str]) -> bool:
    if port.vid is None:
        return False
    have = [f"{port.vid:04x}", f"{port.pid:04x}", str(port.serial_number)]
    return all(a.lower() == b.lower() for a, b in zip(wanted, have, strict=False))


def _changed(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
