import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.arrays import pack_arrays, unpack_arrays
from edge_rnn.errors import BundleError
from edge_rnn.stored_zip import pack_zip

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "float32", "float64"]
SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=3).map(tuple)


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.sampled_from(DTYPES), SHAPES)), st.integers(0, 2**32))
def test_arrays_come_back_with_the_same_type_shape_and_bits(forms, seed):
    rng = np.random.default_rng(seed)
    arrays = {k: rng.integers(0, 100, shape).astype(dtype) for k, (dtype, shape) in forms.items()}
    back = unpack_arrays(pack_arrays(arrays), "test")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_the_same_arrays_give_the_same_bytes_in_any_order_and_endianness():
    a, b = np.arange(6, dtype=">f4").reshape(2, 3), np.asfortranarray(np.ones((2, 2), np.int8))
    assert pack_arrays({"a": a, "b": b}) == pack_arrays({"b": b.copy("C"), "a": a.astype("<f4")})


def test_numpy_reads_what_we_write():
    blob = pack_arrays({"a": np.arange(5, dtype=np.int16)})
    with np.load(io.BytesIO(blob), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["a"], np.arange(5))


@pytest.mark.parametrize(
    "payload",
    [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", b"1234"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"12345678"),
        npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", b"0" * 16),
        npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", b"1234"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", b"123"),
        npy("{'descr': '<f4', 'fortran_order': False}"),
        npy("[" * 60),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_a_header_that_lies_is_refused(payload):
    with pytest.raises(BundleError):
        unpack_arrays(pack_zip({"a.npy": payload}), "test")


@settings(max_examples=300)
@given(st.data())
def test_damaged_bytes_give_our_error_or_the_same_arrays(data):
    good = {"a": np.arange(8, dtype=np.float32), "b": np.ones((2, 2), np.int8)}
    blob = bytearray(pack_arrays(good))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(blob)))
    for damaged in (bytes(blob), bytes(blob[:cut])):
        try:
            unpack_arrays(damaged, "test")
        except BundleError:
            continue
