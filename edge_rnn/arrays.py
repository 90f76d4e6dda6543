"""Named arrays as bytes: a stored (uncompressed) .npz, written the same way twice and read without trust.

`numpy.load` would allocate whatever a header claims; here a header's claim must equal the bytes that are there.
No pickle, no compression, no file access: bytes in, arrays out.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from .errors import BundleError
from .stored_zip import pack_zip, unpack_zip

Scalar = TypeVar("Scalar", bound=np.generic)
NDArray = np.ndarray[tuple[Any, ...], np.dtype[Scalar]]
"""numpy.typing's; importing that one takes as long as four of our modules."""
Array = NDArray[Any]


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
    begin = stream.tell()
    if dtype.kind not in "iuf" or fortran or any(n < 0 for n in shape):
        raise BundleError(f"{what} holds {dtype} (fortran={fortran}), expected plain C-ordered numbers")
    count = 1
    for n in shape:
        count *= n
    size = len(payload) - begin
    if count * dtype.itemsize != size:
        raise BundleError(f"{what} claims shape {shape} of {dtype} but holds {size} bytes")
    return np.frombuffer(payload, dtype, count, begin).reshape(shape).astype(dtype.newbyteorder("="))
