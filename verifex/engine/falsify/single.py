"""Counterexamples in float32: a point near an exact witness that floating point agrees with.

A witness is exact; a network is run in float32. Points of float32 inside the box are sought, first
beside the witness, then with more margin, until one passes a test that the caller gives (such as a
replay in onnxruntime) as well as the exact replay. Where bounds hold no float32 (such as x = 0.1),
the exact point keeps a number between them, and the float32 beside it is what the network is fed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from verifex.engine.budget import Budget
from verifex.engine.falsify.attack import margins
from verifex.engine.falsify.witness import Point, replay
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Formula
from verifex.ir.problem import Problem
from verifex.ir.region import Region

Single = NDArray[np.float32]
_ROUNDS = 40
_BATCH = 64
_DIRECTIONS = 64  # of a slope by differences: all inputs where there are fewer


def nearest_single(value: Fraction, lo: Fraction, hi: Fraction) -> np.float32 | None:
    """The float32 nearest to a value that lies in [lo, hi] exactly; None if there is none."""
    x = _rounded(value)
    for _ in range(3):
        if not np.isfinite(x):
            return None
        at = Fraction(float(x))
        if at < lo:
            x = np.nextafter(x, np.float32(np.inf))
        elif at > hi:
            x = np.nextafter(x, np.float32(-np.inf))
        else:
            return x
    return None


def _rounded(value: Fraction) -> np.float32:
    """The float32 nearest to a value; infinite where it is beyond them."""
    if abs(value) > 2**128:
        return np.float32(np.inf if value > 0 else -np.inf)
    with np.errstate(over="ignore"):
        return np.float32(float(value))


@dataclass(frozen=True)
class SingleBox:
    """The least and the greatest float32 of every side of a box, shape (n,).

    `between` are the inputs whose bounds hold no float32: there the ends are those nearest to the
    bounds, outside of them.
    """

    lo: Single
    hi: Single
    between: tuple[int, ...]

    def point(self, region: Region, points: Single) -> Point:
        """The point of the box that is nearest to a float32 input: itself but in `between`."""
        rows = zip(points.tolist(), region.lo, region.hi, strict=True)
        return tuple(min(max(Fraction(v), lo), hi) for v, lo, hi in rows)


def single_box(region: Region) -> SingleBox | None:
    """The float32 numbers of a region's box; None where a bound is beyond all of them."""
    lows, highs, between = [], [], []
    for i, (lo, hi) in enumerate(zip(region.lo, region.hi, strict=True)):
        low, high = nearest_single(lo, lo, hi), nearest_single(hi, lo, hi)
        if low is None or high is None:
            low, high = _rounded(lo), _rounded(hi)
            between.append(i)
        if not np.isfinite(low) or not np.isfinite(high):
            return None
        lows.append(low)
        highs.append(high)
    return SingleBox(np.array(lows, dtype=np.float32), np.array(highs, dtype=np.float32),
                     tuple(between))


def survivor(
    problem: Problem, witness: Sequence[Fraction], accepts: Callable[[Single, Point], bool],
    budget: Budget, seed: int = 0,
) -> tuple[Single, Point] | None:
    """A float32 input and the point of the box nearest to it (the same number for all inputs whose
    bounds hold a float32) that refutes exactly and that `accepts` takes, or None.

    `accepts` gets the input as it is fed, float32 of shape (n,), and the point.
    """
    region = problem.region
    box = single_box(region)
    if box is None or region.integers or region.one_hot:
        return None
    rng = np.random.default_rng(seed)
    for x in _candidates(problem, witness, (box.lo, box.hi), budget, rng):
        point = box.point(region, x)
        if replay(problem, point).refutes and accepts(x, point):
            return x, point
    return None


def _candidates(
    problem: Problem, witness: Sequence[Fraction], box: tuple[Single, Single], budget: Budget,
    rng: np.random.Generator,
) -> Iterator[Single]:
    """float32 points: the witness rounded, then better and better ones."""
    lo, hi = box
    x = np.clip(np.array([float(v) for v in witness], dtype=np.float32), lo, hi)
    yield x
    violation = problem.violation()
    best = margins(problem, violation, x[None].astype(np.float64))[0]
    width = hi.astype(np.float64) - lo
    for k in range(_ROUNDS):
        if budget.spent:
            return
        radius = width * 0.5 ** (k % 20)
        batch = np.concatenate([
            x + radius * rng.uniform(-1, 1, (_BATCH, len(x))),
            _climbed(problem, violation, x, radius, rng),
        ])
        points = np.clip(batch.astype(np.float32), lo, hi)
        score = margins(problem, violation, points.astype(np.float64))
        for i in np.argsort(-score)[:2]:
            if score[i] >= -1e-9:
                yield points[i]
        top = int(np.argmax(score))
        if score[top] > best:
            x, best = points[top], score[top]


def _climbed(
    problem: Problem, violation: Formula, points: Single, radius: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Points along the slope of the margin, by differences in a few directions."""
    n = len(points)
    chosen = rng.permutation(n)[:_DIRECTIONS]
    ahead = np.repeat(points[None].astype(np.float64), len(chosen), axis=0)
    step = np.maximum(radius[chosen] * 1e-3, 1e-9)
    ahead[np.arange(len(chosen)), chosen] += step
    score = margins(problem, violation, np.concatenate([points[None].astype(np.float64), ahead]))
    slope = np.zeros(n)
    if np.isfinite(score).all():
        slope[chosen] = (score[1:] - score[0]) / step
    sizes = np.array([1.0, 0.3, 0.1, 0.03])[:, None]
    return np.asarray(points + sizes * radius * np.sign(slope))
