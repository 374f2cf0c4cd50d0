"""One end of a range from inside: a local search over pieces that replays the best it finds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction

import numpy as np

from verifex.engine.budget import Budget
from verifex.engine.falsify.attained import Best
from verifex.engine.falsify.pieces.local_search import PieceSearch
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Objective, Problem

MEETS = 1e-7
"""A value and a bound meet where they differ by so much of the greater of them at most."""


class Seeker:
    """The best value attained at one end (`best`), and the search for better ones, which can be
    continued."""

    def __init__(self, problem: Problem, objective: Objective, seed: int = 0) -> None:
        self.best = Best(problem, objective)
        self._sign = 1 if objective.maximise else -1
        self._offered = -np.inf
        self.pieces: PieceSearch | None = None
        # Decision trees have no pieces: the search between their thresholds takes them.
        with suppress(UnsupportedError):
            self.pieces = PieceSearch(problem, objective, seed)

    @property
    def point(self) -> FloatArray | None:
        """The best point so far, in floats."""
        return None if self.pieces is None else self.pieces.point

    @property
    def exhausted(self) -> bool:
        """Whether this search can do nothing more."""
        return self.pieces is None or self.pieces.ended

    def meets(self, bound: float | None) -> bool:
        """Whether what is attained meets a bound, on a kink or off it."""
        best = self.best.best
        if bound is None or best is None or not np.isfinite(bound):
            return False
        size = max(abs(bound), abs(float(best.value)))
        return self._sign * (bound - float(best.value)) <= MEETS * size

    def start_at(self, point: Sequence[float] | FloatArray) -> None:
        """Begin here next."""
        if self.pieces is not None:
            self.pieces.start_at(np.asarray(point, dtype=np.float64))

    def run(self, budget: Budget, bound: float | None = None) -> None:
        """Seek until the budget is spent or what is attained meets the bound."""
        if self.pieces is None or self.meets(bound):
            return
        enough = np.inf
        if bound is not None and np.isfinite(bound):
            enough = self._sign * bound - MEETS / 2 * abs(bound)
        self.pieces.run(budget, enough)
        if self.pieces.point is not None and self.pieces.value > self._offered:
            self._offered = self.pieces.value
            self.best.offer(self.pieces.point.tolist())

    def offer(self, point: Sequence[float | int | Fraction]) -> None:
        """A point that somebody else knows."""
        self.best.offer(list(point))
