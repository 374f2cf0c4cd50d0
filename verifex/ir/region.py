"""Input regions: a box in exact numbers, cut by linear rows, integer features and norm balls.

A region speaks about the flat input vector (all inputs of the graph, one after the other, in C
order). Everything is exact: bounds and coefficients are fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from verifex.errors import InputError
from verifex.ir.exact import ExactArray, FloatArray
from verifex.limits.checkpoint import checkpoint


@dataclass(frozen=True)
class LinearRow:
    """`sum_i coefs[i] * x_i <= rhs`."""

    coefs: Mapping[int, Fraction]
    rhs: Fraction

    def holds(self, point: Sequence[Fraction]) -> bool:
        return sum((c * point[i] for i, c in self.coefs.items()), Fraction(0)) <= self.rhs


@dataclass(frozen=True)
class Ball:
    """`norm(x[indices] - center) <= radius`, norm "l1" or "l2"; center is aligned to indices."""

    norm: str
    indices: tuple[int, ...]
    center: tuple[Fraction, ...]
    radius: Fraction

    def holds(self, point: Sequence[Fraction]) -> bool:
        diffs = [point[i] - c for i, c in zip(self.indices, self.center, strict=True)]
        if self.norm == "l1":
            return sum(map(abs, diffs), Fraction(0)) <= self.radius
        # Squares on both sides, since a root of a rational may be irrational.
        return sum((d * d for d in diffs), Fraction(0)) <= self.radius**2


LARGEST = Fraction(10) ** 300
"""Bounds beyond this leave the range of floats."""


@dataclass(frozen=True)
class Region:
    """A bounded box `lo <= x <= hi` and what cuts it.

    `integers` are flat indices that take whole numbers only; each of `one_hot` is a group of 0/1
    features of which exactly one is 1. `names` (optional) are feature names for messages.
    """

    lo: tuple[Fraction, ...]
    hi: tuple[Fraction, ...]
    rows: tuple[LinearRow, ...] = ()
    balls: tuple[Ball, ...] = ()
    integers: frozenset[int] = frozenset()
    one_hot: tuple[tuple[int, ...], ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.lo) != len(self.hi):
            raise InputError("the bounds have different lengths", key="region", expected="as many")
        for i, (a, b) in enumerate(zip(self.lo, self.hi, strict=True)):
            if a > b:
                raise InputError(
                    f"the region is empty: {self.name(i)} has lower bound {float(a)!r} "
                    f"above upper bound {float(b)!r}",
                    expected="lower <= upper",
                    key="region",
                )

    @property
    def size(self) -> int:
        return len(self.lo)

    def name(self, index: int) -> str:
        """The feature's name, or `x[index]`."""
        return self.names[index] if index < len(self.names) else f"x[{index}]"

    @property
    def is_box(self) -> bool:
        return not (self.rows or self.balls or self.integers or self.one_hot)

    def contains(self, point: Sequence[Fraction]) -> bool:
        """Whether the exact point lies in the region."""
        if len(point) != self.size:
            return False
        if any(not a <= v <= b for a, v, b in zip(self.lo, point, self.hi, strict=True)):
            return False
        # Exactly whole: a point that is nearly whole lies outside.
        if any(point[i].denominator != 1 for i in self.integers):
            return False
        for group in self.one_hot:
            if sorted(point[i] for i in group) != [Fraction(0)] * (len(group) - 1) + [Fraction(1)]:
                return False
        return all(r.holds(point) for r in self.rows) and all(b.holds(point) for b in self.balls)

    def require_whole(self, wanted: Mapping[int, tuple[int, int]]) -> None:
        """InputError unless these elements are whole numbers within these ends, everywhere."""
        sure = {*self.integers, *(i for group in self.one_hot for i in group)}
        for i, (least, greatest) in wanted.items():
            low, high = self.lo[i], self.hi[i]
            if not (i in sure or (low == high and low.denominator == 1)):
                raise InputError(
                    f"the network takes whole numbers alone for {self.name(i)}", key="integer",
                    expected=f"integer = [\"{self.name(i)}\"] in [region], a one_hot group, or a "
                             "feature that is frozen at a whole number")
            if low < least or high > greatest:
                raise InputError(
                    f"the network takes {least} to {greatest} for {self.name(i)}, which reaches "
                    f"from {low} to {high}", expected="a region within", key="box")

    def float_box(self) -> tuple[FloatArray, FloatArray]:
        """Outward rounded float bounds of the box, each of shape (size,); InputError for those,
        and for linear constraints, that leave the range of floats."""
        lo, hi = self._float_ends
        return lo.copy(), hi.copy()

    @cached_property
    def _float_ends(self) -> tuple[FloatArray, FloatArray]:
        for i, ends in enumerate(zip(self.lo, self.hi, strict=True)):
            if i % 1024 == 1023:
                checkpoint()
            if max(map(abs, ends)) > LARGEST:
                raise InputError(f"{self.name(i)} is bounded by a number beyond 1e300",
                                 expected="a smaller number", key="region")
        for row in self.rows:
            if max(map(abs, (row.rhs, *row.coefs.values()))) > LARGEST:
                raise InputError("a linear constraint has a number beyond 1e300",
                                 expected="a smaller number", key="region")
        lo, _ = ExactArray.from_numbers(self.lo).float_bounds()
        _, hi = ExactArray.from_numbers(self.hi).float_bounds()
        return np.asarray(lo), np.asarray(hi)


def joined(regions: Sequence[Region]) -> Region:
    """The region of all regions' inputs, one after the other, each within its own."""
    starts = [sum(region.size for region in regions[:k]) for k in range(len(regions))]
    pairs = list(zip(starts, regions, strict=True))

    def moved(indices: Iterable[int], start: int) -> tuple[int, ...]:
        return tuple(start + i for i in indices)

    return Region(
        tuple(v for region in regions for v in region.lo),
        tuple(v for region in regions for v in region.hi),
        tuple(
            LinearRow({start + i: c for i, c in row.coefs.items()}, row.rhs)
            for start, region in pairs for row in region.rows
        ),
        tuple(
            replace(ball, indices=moved(ball.indices, start))
            for start, region in pairs for ball in region.balls
        ),
        frozenset(i for start, region in pairs for i in moved(region.integers, start)),
        tuple(moved(group, start) for start, region in pairs for group in region.one_hot),
        tuple(region.name(i) for region in regions for i in range(region.size))
        if all(region.names for region in regions) else (),
    )
