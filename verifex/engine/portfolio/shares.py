"""Whose turn it is: time is shared out by what engines reckon with, and nobody is left without.

The share of an engine is in inverse proportion to the seconds that it reckons to take, and at least
a tenth, so that the loss against the best engine alone is bounded. An engine is owed its share of
every second that passes; the one that is owed most comes next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST = 0.1
"""The least share of an engine that may come to an end in the time that is left."""

HOPELESS = 0.02
"""The least share of any other."""

FIRST = 0.3
"""Seconds of a first slice."""

GROWTH = 0.25
"""A slice is at least this share of what the engine has had: they grow with the work."""


@dataclass
class Shares:
    """What engines, by name, have had, and what they are owed, in seconds."""

    used: dict[str, float] = field(default_factory=dict)
    owed: dict[str, float] = field(default_factory=dict)

    def next(self, remaining: Mapping[str, float], left: float) -> tuple[str, float]:
        """Who comes next, for how many seconds at most; `remaining` is what each engine that can go
        on reckons with, `left` the seconds of the question."""
        shares = shares_of(remaining, left)
        name = max(remaining, key=lambda n: (self.owed.get(n, 0.0), shares[n]))
        had = self.used.get(name, 0.0)
        return name, min(left, max(FIRST, GROWTH * had))

    def passed(self, name: str, seconds: float, remaining: Mapping[str, float],
               left: float) -> None:
        """An engine has had so many seconds, of which it and the others were owed their shares."""
        self.used[name] = self.used.get(name, 0.0) + seconds
        for other, share in shares_of(remaining, left).items():
            self.owed[other] = self.owed.get(other, 0.0) + share * seconds
        self.owed[name] = self.owed.get(name, 0.0) - seconds


def shares_of(remaining: Mapping[str, float], left: float) -> dict[str, float]:
    """The shares of engines, 1 together, by the seconds that each reckons with."""
    weight = {n: 1.0 / max(r, 1e-3) if math.isfinite(r) else 0.0 for n, r in remaining.items()}
    total = sum(weight.values())
    floor = {n: LEAST if r <= left else HOPELESS for n, r in remaining.items()}
    free = 1.0 - sum(floor.values())
    if total <= 0.0:
        whole = sum(floor.values())
        return {n: f / whole for n, f in floor.items()}
    return {n: floor[n] + free * weight[n] / total for n in remaining}
