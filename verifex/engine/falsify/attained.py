"""The best exact value of one end of a range, and the point that attains it.

Sound beats claimed: whatever a replayed point contradicts is discarded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from verifex.engine.falsify.kink_points import onto_kinks
from verifex.engine.falsify.open_gates import best_on_kinks
from verifex.engine.falsify.witness import Point, replay, snap
from verifex.engine.findings.reasons import BOUNDS, Reason, ReasonKind
from verifex.engine.testimony import allowance
from verifex.engine.verdict import RangeEnd
from verifex.ir.formula import Cell
from verifex.ir.problem import Objective, Problem

_NEAR = Fraction(1, 10**7)
"""A value on a kink counts only where it is better by so much (relative, or of 1)."""

_PULLS = (Fraction(1, 10**14), Fraction(1, 10**12), Fraction(1, 10**10), Fraction(1, 10**8))
"""Parts of the way to the reference by which a point is drawn into the region."""


@dataclass(frozen=True)
class Attained:
    """An exact value and the point that attains it; on a kink, with these gates open."""

    value: Fraction
    point: tuple[Fraction, ...]
    on_kink: bool = False
    open_gates: tuple[Cell, ...] = ()


class Best:
    """The best exact value of one end so far, and the point that attains it."""

    def __init__(self, problem: Problem, objective: Objective) -> None:
        self.problem, self.objective = problem, objective
        self._sign = 1 if objective.maximise else -1
        self._off: Attained | None = None
        self._on: Attained | None = None

    @property
    def best(self) -> Attained | None:
        """The best value attained: on a kink only where nothing off the kinks comes near it."""
        off, on = self._off, self._on
        if off is None or on is None:
            return off or on
        more = self._sign * (on.value - off.value)
        return on if more > _NEAR * max(Fraction(1), abs(off.value)) else off

    @property
    def extreme(self) -> Fraction | None:
        """The best value attained, wherever it is: no bound may exclude it."""
        values = [self._sign * one.value for one in (self._off, self._on) if one is not None]
        return self._sign * max(values) if values else None

    def offer(self, vector: list[float | int | Fraction]) -> None:
        """Replay a point exactly and keep it if it is better."""
        point = self._drawn_in(snap(self.problem.region, vector))
        at = replay(self.problem, point)
        if not at.inside or not at.values:
            return
        if at.on_kink:
            found = best_on_kinks(self.problem, self.objective, point)
            if found is not None:
                there = Attained(found.value, point, True, found.open_gates)
                self._on = self._better(self._on, there)
        elif at.assumed:
            here = Attained(self.objective.form.value(at.values), point)
            self._off = self._better(self._off, here)

    def offer_kinks(self, vector: Sequence[float | int | Fraction], bound: float) -> None:
        """Where nothing attained meets a bound, try the kinks near the point that it comes from."""
        value = self.extreme
        meets = value is not None and abs(value - Fraction(bound)) <= _NEAR * max(
            Fraction(1), abs(value))
        near = None if meets else onto_kinks(self.problem, vector)
        if near is not None:
            self.offer(list(near))

    def _drawn_in(self, point: Point) -> Point:
        """The point, or one near it on the way to the reference that lies in all balls and rows:
        what is on their border as floats tell may be outside."""
        region, centre = self.problem.region, self.problem.point
        if centre is None or not (region.rows or region.balls) or region.contains(point):
            return point
        for pull in _PULLS:
            near = snap(region, [v + pull * (c - v) for v, c in zip(point, centre, strict=True)])
            if region.contains(near):
                return near
        return point

    def _better(self, known: Attained | None, new: Attained) -> Attained:
        if known is None or self._sign * new.value > self._sign * known.value:
            return new
        return known

    def contradicts(self, bound: float, tolerated: bool = True) -> bool:
        """Whether a value attained is beyond a bound of this end."""
        if self.extreme is None:
            return False
        slack = Fraction(allowance(bound, float(self.extreme))) if tolerated else 0
        return self._sign * (self.extreme - Fraction(bound)) > slack

    def result(
        self, proven: Fraction | None, claimed: tuple[float, str] | None, reasons: list[Reason]
    ) -> RangeEnd:
        """The end as it is known now, from a bound and who states it. Sound beats claimed: a bound
        that a point contradicts is dropped, one that is weaker than what is proven gives way."""
        best, value = self.best, self.extreme
        end = RangeEnd(proven, None, None, None) if best is None else RangeEnd(
            proven, None, best.value, best.point, best.on_kink, open_gates=best.open_gates)
        if claimed is None:
            return end
        bound, by = claimed
        if value is not None and self.contradicts(bound):
            reasons.append(discarded(by, bound, f"a replayed value {float(value):.9g}"))
            return end
        beyond = math.inf if self.objective.maximise else -math.inf
        if proven is not None and (bound > proven if self.objective.maximise else bound < proven):
            bound, by = outward(proven, beyond), BOUNDS
        if value is not None and self.contradicts(bound, tolerated=False):
            # What computes in floats missed a value by less than floats may err: it may have missed
            # others by as much.
            bound = outward(value + (value - Fraction(bound)), beyond)
        return replace(end, claimed=bound, by=by)


def tighter(
    problem: Problem, objective: Objective, one: RangeEnd, other: RangeEnd, reasons: list[Reason]
) -> RangeEnd:
    """One end from two accounts of it: the better value attained beside the better bound."""
    best = Best(problem, objective)
    for end in (one, other):
        if end.point is not None:
            best.offer(list(end.point))
    stated = [(end.claimed, end.by) for end in (one, other) if end.claimed is not None]
    pick = min if objective.maximise else max
    claimed = pick(stated, key=lambda said: said[0]) if stated else None
    return best.result(one.proven, claimed, reasons)


def outward(value: Fraction, towards: float) -> float:
    """The value as a float, rounded up (towards inf) or down (towards -inf)."""
    near = float(value)
    outside = near >= value if towards > 0 else near <= value
    return near if outside else math.nextafter(near, towards)


def discarded(name: str, bound: float, against: str) -> Reason:
    """The reason for which a bound does not count."""
    return Reason(ReasonKind.CONTRADICTED, name, against, bound)
