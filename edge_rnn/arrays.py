"""Named arrays as bytes: a stored (uncompressed) .npz, written the same way twice and read without trust.

`numpy.load` would allocate whatever a header claims; here a header's claim must equal the bytes that are there.
No pickle, no compression, no file access: bytes in, arrays out.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BundleError
from .looks import looks_like

Array = npt.NDArray[Any]

MAX_MEMBERS = 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_zip(members: Mapping[str, bytes]) -> bytes:
    """Write members, in the order given, as a stored zip whose bytes depend on nothing else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, payload in members.items():
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, payload)
    return buffer.getvalue()


def unpack_zip(blob: bytes, what: str) -> dict[str, bytes]:
    """Read a stored zip; a compressed, encrypted, doubled, overlapping or path-like member is refused."""
    members: dict[str, bytes] = {}
    with _readable(blob, what):
        archive = zipfile.ZipFile(io.BytesIO(blob))
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise BundleError(f"{what} has {len(infos)} members, at most {MAX_MEMBERS} are allowed")
    if sum(info.file_size for info in infos) > len(blob):
        raise BundleError(f"{what} claims more bytes than it holds: it was made to mislead or is damaged")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise BundleError(f"{what}: member {info.filename!r} is compressed or encrypted, expected stored")
        if info.filename in members or "/" in info.filename or "\\" in info.filename:
            raise BundleError(f"{what}: member name {info.filename!r} is doubled or holds a path")
        with _readable(blob, what):
            members[info.filename] = archive.read(info)
    return members


@contextmanager
def _readable(blob: bytes, what: str) -> Iterator[None]:
    """What zipfile raises for bytes that are no whole zip (too new a version is a RuntimeError), as one sentence."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, ValueError, OverflowError, RuntimeError) as error:
        if blob.startswith(b"PK"):
            raise BundleError(f"{what} is cut off or damaged ({error}): copy or export it again") from error
        raise BundleError(f"{what} is {looks_like(blob)}, expected a zip") from error


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Arrays to .npz bytes, sorted by name, little-endian, C order."""
    members = {}
    for name in sorted(arrays):
        stream = io.BytesIO()
        array = np.asarray(arrays[name])
        little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        np.lib.format.write_array(stream, little, version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = stream.getvalue()
    return pack_zip(members)


def unpack_arrays(blob: bytes, what: str) -> dict[str, Array]:
    """.npz bytes to arrays (writable copies); raises BundleError on anything but plain numeric arrays."""
    return {
        name.removesuffix(".npy"): _read_npy(payload, f"{what}: {name}")
        for name, payload in unpack_zip(blob, what).items()
    }


def _read_npy(payload: bytes, what: str) -> Array:
    stream = io.BytesIO(payload)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("not npy version 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=4096)
    except Exception as error:  # numpy raises many kinds on a hostile header
        raise BundleError(f"{what} has no readable array header: {error}") from error
    body = payload[stream.tell() :]
    if dtype.kind not in "iuf" or fortran or any(n < 0 for n in shape):
        raise BundleError(f"{what} holds {dtype} (fortran={fortran}), expected plain C-ordered numbers")
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize != len(body):
        raise BundleError(f"{what} claims shape {shape} of {dtype} but holds {len(body)} bytes")
    return np.frombuffer(body, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
