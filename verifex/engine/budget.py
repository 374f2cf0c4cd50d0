"""One deadline and one memory limit, passed down to everything that takes time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from verifex.engine.solve.processes import resident_alone
from verifex.limits.checkpoint import CutOff, looking

GRACE = 0.2
"""Seconds after the end of the time after which work is cut off that does not end by itself: so
much there is for a last exact replay."""

_MEMORY_LOOK = 0.1
"""Seconds from one look at the memory to the next."""

STEP = 0.2
"""Seconds that one piece may take: what is between two looks at the budget."""

_GROWTH = 2
"""By how many times a piece may be larger than the one before: the first are no measure of many."""


def _never() -> bool:
    return False


class PausableClock:
    """The clock of the wall, which may stand still: what is loaded meanwhile counts for nobody."""

    def __init__(self) -> None:
        self._left_out = 0.0

    def __call__(self) -> float:
        return time.monotonic() - self._left_out

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nothing that is done in here takes any time."""
        started = self()
        try:
            yield
        finally:
            self._left_out += self() - started


@dataclass(frozen=True)
class Budget:
    """Seconds of a clock from the moment of creation, and bytes of memory for a solver's process
    and for the search in this one.

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

    @contextmanager
    def loading(self) -> Iterator[None]:
        """What is imported in here, such as torch, is no time spent on deciding: the clock of the
        whole question stands still, if it can."""
        clock = self.clock
        with clock.standing_still() if isinstance(clock, PausableClock) else nullcontext():
            yield

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

    def part(
        self, share: float, at_least: float = 0.0, at_most: float = math.inf
    ) -> Budget:
        """A budget of a share of what is left, but at least and at most so many seconds of it."""
        seconds = min(self.left, at_most, max(self.left * share, at_least))
        return Budget(seconds, self.memory, self.threads, self.clock, self.stopped)

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """While this lasts, `checkpoint` raises CutOff soon after the time is over, and MemoryError
        where this process holds more memory than it may, beyond what it held before."""
        with looking(_Enforcer(self)):
            yield


class _Enforcer:
    """What `checkpoint` does under a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._end = budget.started + budget.seconds
        self._held = resident_alone(os.getpid())
        self._next = -math.inf

    def __call__(self) -> None:
        budget, now = self._budget, self._budget.clock()
        if budget.stopped():
            self._end = min(self._end, now)
        if now > self._end + GRACE:
            raise CutOff
        if now >= self._next:
            self._next = now + _MEMORY_LOOK
            if resident_alone(os.getpid()) - self._held > budget.memory:
                raise MemoryError(f"more than {budget.memory >> 20} MiB")


class Pace:
    """Counts of things to work on together, by what the last piece of work took.

    The next piece holds at most `size` of them: as many as took `step` seconds by the budget's
    clock last time, 1 to `most`.
    """

    def __init__(self, budget: Budget, first: int, most: int, step: float = STEP) -> None:
        self._budget, self._most, self._step = budget, max(1, most), step
        self.size = max(1, min(first, self._most))

    @contextmanager
    def piece(self, count: int) -> Iterator[None]:
        """Work on so many of them."""
        started = self._budget.elapsed
        yield
        took = self._budget.elapsed - started
        if count and took > 0:
            self.size = int(max(1, min(self._most, _GROWTH * self.size, count * self._step / took)))
        else:
            self.size = min(self._most, _GROWTH * self.size)
