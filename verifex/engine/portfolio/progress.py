"""What a search will still take, reckoned from what it has achieved so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOVES = 0.01
"""A search stagnates that has not closed this share of what was open, in the latter half of its
time."""


@dataclass(frozen=True)
class Mark:
    """A moment of a search: after `used` seconds, `left` of the region was open (0 to 1), in `open`
    parts."""

    used: float
    left: float
    open: int


class Progress:
    """The marks of one search.

    The latter half of its time so far tells how it goes. Where the number of open parts falls, they
    are reckoned to go on falling as fast. Where it grows, the search is at best half way: whatever
    closes, as much time as it took so far is to come.
    """

    def __init__(self) -> None:
        self.marks = [Mark(0.0, 1.0, 1)]

    def note(self, used: float, left: float, open_: int) -> None:
        """Take note of a moment."""
        self.marks.append(Mark(used, left, open_))

    def remaining(self) -> float:
        """Seconds to come, infinite where nothing moves."""
        now = self.marks[-1]
        then = next(m for m in reversed(self.marks) if m.used <= 0.5 * now.used)
        passed = now.used - then.used
        if passed <= 0 or now.open == 0:
            return 0.0
        closed = then.left - now.left
        by_volume = now.left * passed / closed if closed > _MOVES * then.left else math.inf
        if now.open >= then.open:
            return max(by_volume, now.used)
        return min(by_volume, now.open * passed / (then.open - now.open))
