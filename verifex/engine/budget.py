"""One deadline and one memory limit, passed down to everything that takes time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Budget:
    """Seconds of a clock from the moment of creation, and bytes of memory for a solver's process.

    The clock is that of the wall, unless another one is given: tests count steps with it. Once
    `stopped` says so, no time is left.
    """

    seconds: float
    memory: int = 4 << 30
    threads: int = 1
    clock: Callable[[], float] = time.monotonic
    stopped: Callable[[], bool] = _never
    started: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", self.clock())  # the class is frozen

    @property
    def elapsed(self) -> float:
        return self.clock() - self.started

    @property
    def left(self) -> float:
        """Seconds that remain, never negative."""
        return 0.0 if self.stopped() else max(0.0, self.seconds - self.elapsed)

    @property
    def spent(self) -> bool:
        return self.left <= 0.0

    def part(self, share: float, at_least: float = 0.0) -> Budget:
        """A budget of a share of what is left, but at least `at_least` seconds of it."""
        seconds = min(self.left, max(self.left * share, at_least))
        return Budget(seconds, self.memory, self.threads, self.clock, self.stopped)
