"""SHA-256 and BLAKE2b-128 as hexadecimal text, from the interpreter's own modules where it has them.

`hashlib` would do, but it loads OpenSSL: 3.6 MiB and 3 ms at each start of a device. CPython's random.py does the same.
OpenSSL's SHA-256 is six times faster, which pays from LARGE on.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

LARGE = 1 << 20
"""Bytes: the interpreter's own SHA-256 takes 3 ms a MiB."""


def _find(function: str, *modules: str) -> Any:
    """A hash function of the first of the modules that this interpreter was built with; hashlib always has it."""
    for module in modules:
        try:
            return getattr(importlib.import_module(module), function)
        except ImportError:
            continue
    return getattr(importlib.import_module("hashlib"), function)


_sha256 = _find("sha256", "_sha2", "_sha256")  # 3.12 and later; 3.11
_blake2b = _find("blake2b", "_blake2")


def sha256(blob: bytes) -> str:
    """64 digits."""
    digits: str = (_sha256 if len(blob) < LARGE else _find("sha256"))(blob).hexdigest()
    return digits


def blake2b_128(parts: Iterable[bytes]) -> str:
    """32 digits of the parts, one after the other."""
    blake = _blake2b(digest_size=16)
    for part in parts:
        blake.update(part)
    digits: str = blake.hexdigest()
    return digits
