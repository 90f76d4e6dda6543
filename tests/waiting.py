"""Waiting for what another thread or process does."""

import time


def until(condition, seconds=30.0):
    """The condition's value as soon as it is true, or its last value when the time is over: assert it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value
