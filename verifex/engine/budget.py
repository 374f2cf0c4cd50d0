"""One deadline and one memory limit, passed down to everything that takes time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """Wall seconds from the moment of creation, and bytes of memory for a solver's process."""

    seconds: float
    memory: int = 4 << 30
    threads: int = 1
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds that remain, never negative."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def spent(self) -> bool:
        return self.left <= 0.0

    def part(self, share: float, at_least: float = 0.0) -> Budget:
        """A budget of a share of what is left, but at least `at_least` seconds of it."""
        return Budget(min(self.left, max(self.left * share, at_least)), self.memory, self.threads)
