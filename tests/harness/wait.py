"""Waiting for what has to come. A deadline ends a hopeless wait, and is never what a test asserts."""

import time

PATIENCE = 30.0  # seconds until a wait is given up


def wait_until(condition, what="condition"):
    """Polls for what sends no event; returns the first true value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.01)
    return value
