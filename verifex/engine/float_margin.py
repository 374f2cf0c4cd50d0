"""What a floating-point solver's bound of the worst violation implies for a claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from verifex.engine.margin import dropped_margin
from verifex.engine.testimony import Statement
from verifex.ir.formula import negate
from verifex.ir.problem import Problem
from verifex.semantics.claim import NodeBounds, Question

TOLERANCE = 1e-6
"""A float solver's margin bound must clear zero by this much, relative to the model's scale."""


@dataclass(frozen=True)
class WorstMargin:
    """The question for the greatest margin of a violation.

    `bounds` are those of the whole region. With `rest` the model is only about what a search has
    left open; it has closed everything else.
    """

    problem: Problem
    bounds: NodeBounds
    question: Question
    rest: bool

    @property
    def slack(self) -> float:
        """The tolerance times the size of the numbers that the margin is made of, at least 1."""
        if self.question.margin is None:
            return TOLERANCE
        top = self.question.model.variables[self.question.margin].hi
        return TOLERANCE * max(1.0, float(top or 1.0))

    def claimed(self, bound: float) -> float | None:
        """The claim's worst margin that a bound of the violation's implies; None: it says nothing.

        The model holds only the atoms that bounds leave open, and its margin variable ends where no
        open atom reaches: there (a violation that is certain) it bounds nothing. A bound over the
        rest says nothing of the whole margin.
        """
        if self.rest or self.question.margin is None:
            return None
        top = self.question.model.variables[self.question.margin].hi
        if top is None or bound >= float(top) * (1 - TOLERANCE):
            return None
        dropped = dropped_margin(negate(self.problem.require), *self.bounds)
        return -max(bound, -math.inf if dropped is None else float(dropped))

    def decides(self, said: Statement) -> bool:
        """Whether a claim would rest on a statement."""
        if said.bound is None:
            return said.infeasible
        known = self.rest or self.claimed(said.bound) is not None
        return known and said.bound < -self.slack

    def against(self, said: Statement, attained: Fraction | None) -> str:
        """What contradicts a statement, given a margin that a replayed point has."""
        if attained is None:
            return ""
        here = f"a replayed margin {float(attained):.6g}"
        if self.rest:  # the point may lie in what is closed: it contradicts by violating alone
            return here if attained < 0 and self.decides(said) else ""
        # The model has a solution wherever the region has a point at which the assumption holds.
        if said.infeasible:
            return here
        least = None if said.bound is None else self.claimed(said.bound)
        return here if least is not None and least - float(attained) > self.slack else ""
