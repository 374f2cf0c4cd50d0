"""Waiting for other processes: with patience, so that a busy machine fails no test."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which what was waited for will not come. Nothing is told from how long it took."""


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait until a condition holds; whether it does."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


def hear_interrupts() -> None:
    """For `preexec_fn`: where tests run in the background of a shell, SIGINT is ignored, and every
    process that they start would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Ticks:
    """A clock that goes on by `step` seconds whenever it is read; a step of 0 is a clock at rest.

    A search with a deadline on such a clock stops after a number of steps, on any machine.
    """

    def __init__(self, step: float) -> None:
        self.step, self._readings = step, itertools.count()
        self.readings = 0

    def __call__(self) -> float:
        self.readings = next(self._readings) + 1
        return self.step * self.readings
