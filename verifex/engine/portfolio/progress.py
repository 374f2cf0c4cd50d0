"""What a search will still take, reckoned from what it has achieved so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOVES = 0.01
"""A search stagnates that has not closed this share of what was open, in the latter half of its
time, nor come this share of the way to a bound of zero."""

_FEW = 128
"""Parts with which a search has hardly begun, unless it says otherwise: that nothing has closed by
then is no stagnation."""


@dataclass(frozen=True)
class Mark:
    """A moment of a search: after `used` seconds, `left` of the region was open (0 to 1), in `open`
    parts, of the `seen` ones that were bounded. `bound` is the least bound of the margin on them,
    below zero; minus infinity where there is none."""

    used: float
    left: float
    open: int
    seen: int
    bound: float


class Progress:
    """The marks of one search.

    The latter half of its time so far tells how it goes. Where the number of open parts falls, they
    are reckoned to go on falling as fast. Where it grows, the search is at best half way: whatever
    closes, as much time as it took so far is to come. A bound that moves is progress as well: on
    large networks it does long before anything closes.
    """

    def __init__(self, few: int = _FEW) -> None:
        self.few = few
        self.marks = [Mark(0.0, 1.0, 1, 0, -math.inf)]

    def note(self, used: float, left: float, open_: int, seen: int, bound: float) -> None:
        """Take note of a moment."""
        self.marks.append(Mark(used, left, open_, seen, bound))

    def remaining(self) -> float:
        """Seconds to come, infinite where nothing moves."""
        now = self.marks[-1]
        then = next(m for m in reversed(self.marks) if m.used <= 0.5 * now.used)
        passed = now.used - then.used
        if passed <= 0 or now.open == 0:
            return 0.0
        closed = then.left - now.left
        soonest = now.left * passed / closed if closed > _MOVES * then.left else math.inf
        nearer = now.bound - then.bound
        if math.isfinite(nearer) and nearer > -_MOVES * then.bound:
            soonest = min(soonest, max(0.0, -now.bound) * passed / nearer)
        if now.open < then.open:
            return min(soonest, now.open * passed / (then.open - now.open))
        if math.isinf(soonest) and now.seen < self.few:
            return 2.0 * now.used
        return max(soonest, now.used)
