"""The best exact value of a measure so far, and points where more may be."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.engine.falsify.points import into_region
from verifex.engine.falsify.witness import Point, candidates, replay
from verifex.ir.exact import FloatArray
from verifex.ir.formula import holds
from verifex.problem.spec.thresholds.measures import CosineMeasure
from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression
from verifex.semantics.evaluate import evaluate_float

_ROUNDS, _BATCH, _KEPT = 24, 128, 8
"""Rounds of points, how many each has, and around how many of the best ones the next are."""


_REPLAYED = 4
"""The best of all that are replayed exactly."""


@dataclass(frozen=True)
class ValueAtPoint:
    """A value attained: exact, or, with its exact `square`, rounded by some 1e-19: of a minimum
    up, of a maximum down, so that no proof contradicts it."""

    value: Fraction
    point: Point
    square: Fraction | None = None


class BestValue:
    """The best value of one end, which replayed points attain off the kinks."""

    def __init__(self, asked: ThresholdExpression, maximum: bool) -> None:
        self.asked, self.maximum = asked, maximum
        self.sign = -1 if maximum else 1
        self.best: ValueAtPoint | None = None

    def offer(self, point: Point, *, off_kinks: bool = False) -> None:
        """Replay a point and keep it if it is better. With `off_kinks` it is known that the value
        depends on no kink there."""
        found = self._value(point, off_kinks)
        if found is None:
            return
        if self.best is None or self.sign * found.value < self.sign * self.best.value:
            self.best = found

    def look(self, seed: int) -> None:
        """Offer the reference, and the best of points that are drawn around the best ones."""
        problem = self.asked.measured
        if problem.point is not None and problem.region.contains(problem.point):
            self.offer(problem.point)
        rng = np.random.default_rng(seed)
        region = problem.region
        lo, hi = (np.array([float(v) for v in side]) for side in (region.lo, region.hi))
        kept = np.where(rng.random((_BATCH, region.size)) < 0.5, lo, hi)
        width, centre = (hi - lo) / 2, (lo + hi) / 2
        if problem.point is not None and problem.region.contains(problem.point):
            centre = np.array([float(v) for v in problem.point])
        for k in range(_ROUNDS):
            centres = kept[rng.integers(len(kept), size=_BATCH)]
            step = width * (0.8**k) * rng.uniform(-1, 1, (_BATCH, region.size))
            moved = np.where(rng.random(step.shape) < 0.5, step, 0.0)
            fresh = centres + moved
            if k == 0:
                fresh = np.concatenate([fresh, lo + (hi - lo) * rng.random(fresh.shape)])
            fresh = into_region(region, np.clip(fresh, lo, hi), centre)
            every = np.concatenate([kept, fresh])
            kept = every[np.argsort(self._floats(every))[:_KEPT]]
        for row in kept[:_REPLAYED]:
            for near in candidates(problem, row.tolist()):
                self.offer(near)

    def _value(self, point: Point, off_kinks: bool) -> ValueAtPoint | None:
        """The value at a point of the region; None where there is none."""
        problem, measure = self.asked.measured, self.asked.measure
        at = replay(problem, point)
        # Sound: without exact values, or where a gate has none, nothing is attained.
        if not at.inside or not at.values or (at.on_kink and not off_kinks):
            return None
        if not holds(problem.assume, at.values):
            return None
        components = self.asked.components(at.values)
        enclosed = measure.value(components)
        if enclosed is None:
            return None
        low, high = enclosed
        square = None
        if low != high and isinstance(measure, CosineMeasure):
            square = measure.square(components)
        return ValueAtPoint(low if self.maximum else high, point, square)

    def _floats(self, points: FloatArray) -> FloatArray:
        """About the values at points, the better the less; infinite where there is none."""
        problem, asked = self.asked.measured, self.asked
        with np.errstate(all="ignore"):
            values = evaluate_float(problem.graph, points, problem.targets())
            rows = asked.measure.about(asked.float_components(values))
        return np.where(np.isnan(rows), np.inf, self.sign * rows)
