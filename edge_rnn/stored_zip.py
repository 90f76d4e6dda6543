"""A stored (uncompressed) zip as bytes: written the same way twice, and read without trust. No file access.

The reader knows what we write and other tools write for stored members, and nothing else of the format: no compression,
encryption, parts or zip64, no path. Where `zipfile` reads a file differently, this one refuses it. It is here because
`zipfile` brings half of the standard library along, which a device pays for at each start.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from .errors import BundleError
from .looks import looks_like
from .value import Value

MAX_MEMBERS = 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_END = struct.Struct("<4s4H2LH")  # APPNOTE.TXT 4.3.16: the last record, which says where the directory is
_ENTRY = struct.Struct("<4s6H3L5H2L")  # 4.3.12: one member in the directory
_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7: what stands before a member's bytes
_LONGEST_COMMENT = 65_535
_NEWEST = 63  # the last version of the format that zipfile knows, in tenths
_UTF8 = 1 << 11
_PLAIN = _UTF8 | 1 << 3
"""Flags a stored member may have: a name beyond ASCII, and sizes that stand behind it as well."""


class _Entry(Value):
    name: str
    flags: int
    method: int
    crc: int
    stored: int
    size: int
    at: int


def pack_zip(members: Mapping[str, bytes]) -> bytes:
    """Write members, in the order given, as a stored zip whose bytes depend on nothing else."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, payload in members.items():
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, payload)
    return buffer.getvalue()


def unpack_zip(blob: bytes, what: str) -> dict[str, bytes]:
    """Name -> bytes of a stored zip; a compressed, encrypted, doubled, overlapping or path-like member is refused."""
    try:
        entries, end = _directory(blob)
    except (ValueError, struct.error) as error:
        if blob.startswith(b"PK"):
            raise _damaged(what, error) from error
        raise BundleError(f"{what} is {looks_like(blob)}, expected a zip") from error
    if len(entries) > MAX_MEMBERS:
        raise BundleError(f"{what} has {len(entries)} members, at most {MAX_MEMBERS} are allowed")
    if sum(entry.size for entry in entries) > len(blob):
        raise BundleError(f"{what} claims more bytes than it holds: it was made to mislead or is damaged")
    members: dict[str, bytes] = {}
    for entry in sorted(entries, key=lambda entry: entry.at, reverse=True):
        if entry.method or entry.flags & ~_PLAIN:
            raise BundleError(f"{what}: member {entry.name!r} is compressed or encrypted, expected stored")
        if entry.name in members or "/" in entry.name or "\\" in entry.name:
            raise BundleError(f"{what}: member name {entry.name!r} is doubled or holds a path")
        try:
            members[entry.name] = _body(blob, entry, end)
        except (ValueError, struct.error) as error:
            raise _damaged(what, error) from error
        end = entry.at  # the one before ends where this one begins, or earlier
    return {entry.name: members[entry.name] for entry in entries}


def _damaged(what: str, error: Exception) -> BundleError:
    return BundleError(f"{what} is cut off or damaged ({error}): copy or export it again")


def _directory(blob: bytes) -> tuple[list[_Entry], int]:
    """The members that the directory names, and where it begins; raises ValueError or struct.error."""
    last = blob.rfind(b"PK\5\6", max(0, len(blob) - _END.size - _LONGEST_COMMENT))
    if last < 0:
        raise ValueError("it has no directory of members")
    _, disk, first_disk, here, total, size, begin, comment = _END.unpack_from(blob, last)
    if disk or first_disk or here != total or begin + size != last or last + _END.size + comment != len(blob):
        raise ValueError("its directory is not where its last record says")
    entries, at = [], begin
    for _ in range(total):
        fields = _ENTRY.unpack_from(blob, at)
        magic, _, version, flags, method, _, _, crc, stored, whole, *lengths, _, _, _, offset = fields
        if magic != b"PK\1\2" or version & 255 > _NEWEST:
            raise ValueError("an entry of its directory does not begin like one")
        name = blob[at + _ENTRY.size : at + _ENTRY.size + lengths[0]].decode("utf-8" if flags & _UTF8 else "ascii")
        if not name.isprintable():
            raise ValueError(f"it has a member called {name!r}")
        entries.append(_Entry(name, flags, method, crc, stored, whole, offset))
        at += _ENTRY.size + sum(lengths)
    if at != last:
        raise ValueError("its directory has another length than its last record says")
    return entries, begin


def _body(blob: bytes, entry: _Entry, end: int) -> bytes:
    """A member's bytes, which lie before `end`; raises ValueError or struct.error."""
    magic, *_, name, extra = _LOCAL.unpack_from(blob, entry.at)
    begin = entry.at + _LOCAL.size
    if magic != b"PK\3\4" or blob[begin : begin + name] != entry.name.encode():
        raise ValueError(f"member {entry.name!r} does not begin where the directory says")
    begin += name + extra
    if entry.stored != entry.size or begin + entry.size > end:
        raise ValueError(f"member {entry.name!r} is cut off or overlaps another")
    body = blob[begin : begin + entry.size]
    if zlib.crc32(body) != entry.crc:
        raise ValueError(f"member {entry.name!r} does not have its checksum")
    return body
