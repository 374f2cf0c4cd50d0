"""Boxes that floats cannot close, decided in exact arithmetic by splitting the few units that are
undecided there.

Around a point at which a claim holds with a margin of zero, boxes could be halved for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget
from verifex.engine.search.counts import Counts
from verifex.engine.search.exact_claim import ExactClaim
from verifex.engine.search.inputs.box_claim import BoxClaim
from verifex.engine.search.inputs.box_tree import ClosedPart
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Problem

FEW_UNDECIDED = 6
"""Undecided units of a box; one with more is split further instead."""

_MOST_PARTS = 2 ** (FEW_UNDECIDED + 1)

_PATIENCE = 50
"""Boxes tried in vain after which no more are: what relaxes the region keeps them open."""

_SHARE, _HEAD_START = 0.2, 0.2
"""Of the search's time, so much may go into boxes that were tried in vain, and so many seconds."""


class BoxEnds:
    """Closes boxes of one search.

    `hopeless` once none is worth a try any more: the network is too large, a part has a point that
    violates the claim (`witness`, if it can be one), or too many were tried in vain.
    """

    def __init__(
        self, problem: Problem, layout: Layout, claim: BoxClaim, budget: Callable[[], Budget]
    ) -> None:
        self.problem, self.layout, self.claim, self._budget = problem, layout, claim, budget
        self.hopeless = not ExactClaim.suits(problem, layout)
        self.witness: Witness | None = None
        self._left = self._failed = 0
        self._began, self._in_vain = self._now, 0.0

    @property
    def _now(self) -> float:
        return self._budget().clock()

    @property
    def worthwhile(self) -> bool:
        """Whether boxes that can still be split are worth a try now, by the time that those took
        which did not close."""
        return self._in_vain <= _HEAD_START + _SHARE * (self._now - self._began)

    @cached_property
    def exact(self) -> ExactClaim:
        """Made when it is first needed."""
        counts = Counts.of(self.claim.violation, self.claim.place)
        return ExactClaim(
            self.problem, self.layout, self.claim.atoms, counts, lambda: self._budget().spent)

    def close(
        self, lower: FloatArray, upper: FloatArray, cuts: Sequence[tuple[int, int]],
        false: NDArray[np.bool_],
    ) -> ClosedPart | None:
        """How a box (n,) is closed that was split on units, `cuts` (gate, sign), and where atoms
        (A,) are `false`; None where it is not."""
        signs = np.zeros(self.layout.gates, dtype=np.int8)
        for gate, sign in cuts:
            signs[gate] = sign
        self._left, started = _MOST_PARTS, self._now
        part = self._part(lower, upper, signs, false)
        if part is None:
            self._failed += 1
            self._in_vain += self._now - started
        self.hopeless |= self._failed >= _PATIENCE
        return part

    def _part(
        self, lower: FloatArray, upper: FloatArray, signs: NDArray[np.int8],
        false: NDArray[np.bool_],
    ) -> ClosedPart | None:
        self._left -= 1
        if self._left < 0 or self.hopeless:
            return None
        end = self.exact.end(lower, upper, signs, false)
        if end.violated or end.witness is not None:
            self.hopeless, self.witness = True, end.witness
        if end.closed:
            return ClosedPart(end.bounds)
        if end.gate < 0:
            return None
        parts = []
        for sign in (1, -1):
            side = signs.copy()
            side[end.gate] = sign
            part = self._part(lower, upper, side, end.false)
            if part is None:
                return None
            parts.append(part)
        return ClosedPart(end.bounds, end.gate, (parts[0], parts[1]))
