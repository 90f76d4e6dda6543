"""tmp."""

from typing import Any


def self_test(bundle: Any, engine: Any) -> None:
    """Tmp."""
