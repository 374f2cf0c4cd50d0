"""What an engine is to those who share out time, and the budget that a slice of time is."""

from __future__ import annotations

import math
from typing import Protocol

from verifex.engine.budget import Budget
from verifex.engine.findings.reasons import Reason
from verifex.engine.run import OpenPart
from verifex.engine.verdict import Verdict


class Turn:
    """The budget of one engine, which is over at the end of each slice and again there in the next.

    An engine is given `budget` once and for all. `end` is what is left of the whole question.
    """

    def __init__(self, whole: Budget) -> None:
        self.whole, self._until = whole, -math.inf
        self.budget = Budget(
            whole.left, whole.memory, whole.threads, whole.clock, lambda: self.over)

    @property
    def over(self) -> bool:
        """Whether the slice is over, or the time of the question is."""
        return self.whole.spent or self.whole.clock() >= self._until

    def begin(self, seconds: float) -> None:
        """Begin a slice of so many seconds."""
        self._until = self.whole.clock() + seconds


class Engine(Protocol):
    """One way to decide a claim, which works in slices of time and keeps its state between them."""

    name: str
    """In the log."""
    stage: str
    """Among the steps of the verdict."""
    source: str
    """In reasons and evidence."""
    proves: bool
    """Whether it leaves a record from which a certificate is written."""
    ended: bool
    """Whether going on is of no use."""

    def go_on(self, seconds: float) -> Verdict | None:
        """Work for a slice of so many seconds; a verdict ends the question, unless it is a claim
        without a proof and one is wanted."""

    @property
    def left(self) -> float | None:
        """The share of its work that is left, 0 to 1; None where it cannot tell."""

    def remaining(self, used: float) -> float:
        """Seconds that it will take from here, as far as it can tell after `used` seconds; infinite
        where nothing moves."""

    def result(self) -> str:
        """What it has done, in a few words; none where it does not take the claim."""

    def reasons(self) -> list[Reason]:
        """Why it has not decided the claim."""

    def rest(self) -> OpenPart | None:
        """What it has left open, for others; None where it knows of no part that is closed."""

    def close(self) -> None:
        """Leave nothing running."""
