"""From `[region]` to a `Region`: everything a spec gives is intersected, in exact numbers.

One radius has one meaning: `linf = r` is |x_i - x0_i| <= r in the units of the network's input,
for every feature that may move; it is never rescaled, and clipping only ever removes inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.fields import Array, PerFeature, show, under
from verifex.ir.region import Ball, LinearRow, Region
from verifex.metrics.support.names import Names
from verifex.problem.spec.linear import parse_linear
from verifex.problem.spec.model import Box, RegionSpec


class _Bounds:
    """The box while it is being cut down; None is unbounded."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.lo: list[Fraction | None] = [None] * names.size
        self.hi: list[Fraction | None] = [None] * names.size

    def cut(self, index: int, lo: Fraction | None, hi: Fraction | None) -> None:
        """Intersect feature `index` with [lo, hi]; InputError where nothing is left."""
        a, b = self.lo[index], self.hi[index]
        a = lo if a is None else a if lo is None else max(a, lo)
        b = hi if b is None else b if hi is None else min(b, hi)
        if a is not None and b is not None and a > b:
            raise InputError(
                f"the region is empty: '{self.names.name(index)}' would be at least {show(a)} "
                f"and at most {show(b)}", expected="lower <= upper",
            )
        self.lo[index], self.hi[index] = a, b

    def closed(self) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
        """The finished box; InputError where a feature is unbounded."""
        lo, hi = [], []
        for i, (a, b) in enumerate(zip(self.lo, self.hi, strict=True)):
            if a is None or b is None:
                side = "lower" if a is None else "upper"
                raise InputError(
                    f"'{self.names.name(i)}' has no {side} bound",
                    expected="a radius (linf, linf_relative, l1, l2), box, clip or freeze that "
                    "bounds it",
                )
            lo.append(a)
            hi.append(b)
        return tuple(lo), tuple(hi)


def spread(value: PerFeature, names: Names) -> list[Fraction | None]:
    """One number a feature; None where a table leaves a feature out.

    In a table a name beats a pattern; two patterns on one feature are an InputError.
    """
    if isinstance(value, Fraction):
        return [value] * names.size
    if isinstance(value, Array):
        if len(value.values) != names.size:
            raise InputError(f"{len(value.values)} numbers",
                             expected=f"{names.size}, one a feature")
        return list(value.values)
    return _spread_table(value, names)


def _spread_table(value: Mapping[str, Fraction], names: Names) -> list[Fraction | None]:
    chosen: dict[bool, dict[int, tuple[str, Fraction]]] = {True: {}, False: {}}  # by pattern, name
    for key, number in value.items():
        with under(key):
            found = names.indices(key)
        picks = chosen[len(found) > 1 or "*" in key or "?" in key]
        for i in found:
            if i in picks:
                raise InputError(
                    f"'{picks[i][0]}' and '{key}' both pick '{names.name(i)}'",
                    expected="one of them",
                )
            picks[i] = (key, number)
    both = {**chosen[True], **chosen[False]}
    return [both[i][1] if i in both else None for i in range(names.size)]


def build_region(
    spec: RegionSpec, names: Names, point: Sequence[Fraction] | None,
    units: Sequence[Fraction] = (),
) -> tuple[Region, list[str]]:
    """The region and sentences that a verdict should repeat; raises InputError. `units` are those
    of `linf_relative`, one a feature."""
    bounds = _Bounds(names)
    frozen = _frozen(spec, names)
    _cut_box(bounds, spec.box, "box")
    _cut_box(bounds, spec.clip, "clip")
    if spec.linf_relative is not None:
        with under("linf_relative.value"):
            _cut_radii(bounds, spec.linf_relative.value, units, _needed(point, "linf_relative"))
    balls = _cut_balls(bounds, spec, frozen, point)
    for i in sorted(frozen):
        x = _needed(point, "freeze")[i]
        bounds.cut(i, x, x)
    integers, groups = _cut_discrete(bounds, spec, names)
    lo, hi = bounds.closed()
    for ball in balls:
        _ball_possible(ball, lo, hi)
    rows = _rows(spec, names, lo, hi)
    region = Region(
        lo, hi, tuple(rows), tuple(balls), frozenset(integers), tuple(groups), names.all_names()
    )
    notes = []
    if point is not None and not region.contains(point):
        notes.append("the reference point lies outside the region")
    return region, notes


def _needed(point: Sequence[Fraction] | None, key: str) -> Sequence[Fraction]:
    if point is None:
        raise InputError("a reference point is needed", expected="[input] point or data", key=key)
    return point


def _frozen(spec: RegionSpec, names: Names) -> set[int]:
    with under("freeze"):
        frozen = set(names.select(spec.freeze))
    if spec.only is not None:
        with under("only"):
            frozen |= set(range(names.size)) - set(names.select(spec.only))
    return frozen


def _cut_box(bounds: _Bounds, box: Box | None, key: str) -> None:
    if box is None:
        return
    n = bounds.names.size
    sides: list[list[Fraction | None]] = []
    for side in ("lo", "hi"):
        value = getattr(box, side)
        with under(f"{key}.{side}"):
            sides.append([None] * n if value is None else spread(value, bounds.names))
    with under(key):
        for i, (lo, hi) in enumerate(zip(*sides, strict=True)):
            bounds.cut(i, lo, hi)


def _cut_balls(
    bounds: _Bounds, spec: RegionSpec, frozen: set[int], point: Sequence[Fraction] | None
) -> list[Ball]:
    """Cut the box by the radii; the l1 and l2 balls themselves are returned."""
    names = bounds.names
    if spec.linf is not None:
        x0 = _needed(point, "linf")
        with under("linf"):
            _cut_radii(bounds, spec.linf, [Fraction(1)] * names.size, x0)
    free = tuple(i for i in range(names.size) if i not in frozen)
    balls = []
    for norm in ("l1", "l2"):
        radius = getattr(spec, norm)
        if radius is None:
            continue
        x0 = _needed(point, norm)
        balls.append(Ball(norm, free, tuple(x0[i] for i in free), radius))
        with under(norm):
            for i in free:
                bounds.cut(i, x0[i] - radius, x0[i] + radius)
    return balls


def _cut_radii(
    bounds: _Bounds, radii: PerFeature, units: Sequence[Fraction], x0: Sequence[Fraction]
) -> None:
    """Every feature within its radius, in its unit, of x0."""
    for i, radius in enumerate(spread(radii, bounds.names)):
        r = (radius or Fraction(0)) * units[i]  # a feature that a table leaves out does not move
        bounds.cut(i, x0[i] - r, x0[i] + r)


def _ball_possible(ball: Ball, lo: Sequence[Fraction], hi: Sequence[Fraction]) -> None:
    """InputError where the ball has no point in the box."""
    nearest = [Fraction(0)] * len(lo)
    for i, c in zip(ball.indices, ball.center, strict=True):
        nearest[i] = min(max(c, lo[i]), hi[i])
    if not ball.holds(nearest):
        with under(ball.norm):
            raise InputError("the region is empty: no input of the box lies in the ball",
                             expected="a greater radius, or a box around x0")


def _cut_discrete(
    bounds: _Bounds, spec: RegionSpec, names: Names
) -> tuple[list[int], list[tuple[int, ...]]]:
    """Integer features and one-hot groups; the box shrinks to whole numbers."""
    with under("integer"):
        integers = names.select(spec.integer)
        _shrink(bounds, integers)
    groups: list[tuple[int, ...]] = []
    for g, keys in enumerate(spec.one_hot):
        with under(f"one_hot[{g}]"):
            group = tuple(names.select(keys))
            if len(group) < 2:
                raise InputError(f"{len(group)} feature(s)", expected="at least two")
            taken = set(group).intersection(*[set(sum(groups, ()))])
            if taken:
                name = names.name(min(taken))
                raise InputError(f"'{name}' is in two groups", expected="disjoint groups")
            for i in group:
                bounds.cut(i, Fraction(0), Fraction(1))
            _shrink(bounds, group)
            _one_hot_possible(bounds, group)
            groups.append(group)
    return integers, groups


def _shrink(bounds: _Bounds, indices: Sequence[int]) -> None:
    for i in indices:
        a, b = bounds.lo[i], bounds.hi[i]
        lo = None if a is None else Fraction(math.ceil(a))
        hi = None if b is None else Fraction(math.floor(b))
        if lo is not None and hi is not None and lo > hi:
            raise InputError(
                f"the region is empty: no whole number for '{bounds.names.name(i)}' "
                f"from {show(a)} to {show(b)}", expected="a range with one",
            )
        bounds.cut(i, lo, hi)


def _one_hot_possible(bounds: _Bounds, group: Sequence[int]) -> None:
    set_, open_ = (
        sum(bounds.lo[i] == 1 for i in group), sum(bounds.hi[i] == 1 for i in group)
    )
    if set_ > 1 or open_ == 0:
        what = f"{set_} of its features must be 1" if set_ > 1 else "none of its features can be 1"
        raise InputError(f"the region is empty: {what}", expected="exactly one 1 to be possible")


def _least(row: LinearRow, lo: Sequence[Fraction], hi: Sequence[Fraction]) -> Fraction:
    """The least value of a row's left side over the box."""
    return sum((c * (lo if c > 0 else hi)[i] for i, c in row.coefs.items()), Fraction(0))


def _rows(
    spec: RegionSpec, names: Names, lo: Sequence[Fraction], hi: Sequence[Fraction]
) -> list[LinearRow]:
    """The linear constraints, each satisfiable by itself over the box."""
    rows: list[LinearRow] = []
    for k, text in enumerate(spec.linear):
        with under(f"linear[{k}]"):
            for row in parse_linear(text, names):
                if _least(row, lo, hi) > row.rhs:
                    raise InputError(
                        "the region is empty: the constraint fails all over the box",
                        expected="one that some input satisfies",
                    )
                rows.append(row)
    return rows
