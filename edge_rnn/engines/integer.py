"""The exact int8 arithmetic in NumPy (docs/numeric.md)."""
