"""Hashes from the interpreter's own modules: hashlib is the oracle, and what is left without them."""

import hashlib
import importlib
import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn import hashes


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_digits_are_those_of_hashlib(parts):
    whole = b"".join(parts)
    assert hashes.sha256(whole) == hashlib.sha256(whole).hexdigest()
    large = b"x" * hashes.LARGE + whole
    assert hashes.sha256(large) == hashlib.sha256(large).hexdigest()
    assert hashes.blake2b_128(parts) == hashlib.blake2b(whole, digest_size=16).hexdigest()


def test_an_interpreter_without_its_own_modules_uses_hashlib(monkeypatch):
    real = importlib.import_module

    def without(name, package=None):
        if name in ("_sha2", "_sha256", "_blake2"):
            raise ImportError(f"No module named {name!r}")
        return real(name, package)

    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", without)
        importlib.reload(hashes)
    try:
        assert hashes._sha256 is hashlib.sha256
        assert hashes.sha256(b"a") == hashlib.sha256(b"a").hexdigest()
        assert hashes.blake2b_128([b"a"]) == hashlib.blake2b(b"a", digest_size=16).hexdigest()
    finally:
        importlib.reload(hashes)


def test_this_interpreter_has_its_own():
    """Where it has not, each start costs 3.6 MiB more: docs/performance.md would be wrong here."""
    if not any(importlib.util.find_spec(name) for name in ("_sha2", "_sha256")):
        pytest.skip("this interpreter was built without its own SHA-256")
    assert hashes._sha256.__module__ in ("_sha2", "_sha256")
