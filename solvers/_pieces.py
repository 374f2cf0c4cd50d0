"""Regions as exact polyhedra in u in [0,1]^n: one piece for every choice of the whole numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TypeAlias

from verifex.errors import UnsupportedError
from verifex.ir.region import Ball, Region
from verifex.solvers._cells import Line, line
from verifex.solvers._simplex import Tableau, whole

Row: TypeAlias = tuple[dict[int, Fraction], Fraction]
"""`sum coef * column <= rhs`; columns are the u, then auxiliaries."""


@dataclass(frozen=True)
class Piece:
    """A box of the free features (x_i = lo + width * u), cut by rows over u and auxiliaries.

    `inputs` gives every feature as an affine function of u; `tableau` is feasible; its last
    column is the room of strict rows.
    """

    inputs: list[Line]
    free: tuple[int, ...]
    lo: tuple[Fraction, ...]
    hi: tuple[Fraction, ...]
    tableau: Tableau

    def point(self, tableau: Tableau) -> tuple[Fraction, ...]:
        """The input at which a tableau of this piece stands."""
        x, y = list(self.lo), tableau.point()
        for k, i in enumerate(self.free):
            x[i] += (self.hi[i] - self.lo[i]) * y[k]
        return tuple(x)


def pieces(region: Region) -> Iterator[Piece | None]:
    """One piece per choice of integer and one-hot features, None where it is empty."""
    for lo, hi in _boxes(region):
        yield _piece(region, lo, hi)


def _boxes(region: Region) -> Iterator[tuple[list[Fraction], list[Fraction]]]:
    """The boxes left when the integer and one-hot features take every value they can."""
    hot = {i for group in region.one_hot for i in group}
    counted = sorted(region.integers - hot)
    ranges = [range(math.ceil(region.lo[i]), math.floor(region.hi[i]) + 1) for i in counted]
    # One feature of each group is 1, the others 0; groups that share a feature may contradict.
    for choice in product(*region.one_hot):
        fixed: dict[int, int] = {}
        clash = False
        for group, chosen in zip(region.one_hot, choice, strict=True):
            for i in group:
                clash |= fixed.setdefault(i, int(i == chosen)) != int(i == chosen)
        if clash or any(not region.lo[i] <= v <= region.hi[i] for i, v in fixed.items()):
            continue
        for values in product(*ranges):
            lo, hi = list(region.lo), list(region.hi)
            for i, v in [*fixed.items(), *zip(counted, values, strict=True)]:
                lo[i] = hi[i] = Fraction(v)
            yield lo, hi


def _piece(region: Region, lo: list[Fraction], hi: list[Fraction]) -> Piece | None:
    for ball in region.balls:
        if ball.norm == "l2" and not _cut_l2(ball, lo, hi):
            return None
    free = [i for i in range(region.size) if lo[i] < hi[i]]
    at = {i: k for k, i in enumerate(free)}

    def substituted(coefs: Mapping[int, Fraction], rhs: Fraction) -> Row:
        """`coefs . x <= rhs` in terms of u."""
        over_u = {at[i]: c * (hi[i] - lo[i]) for i, c in coefs.items() if i in at}
        return over_u, rhs - sum((c * lo[i] for i, c in coefs.items()), Fraction(0))

    rows = [substituted(row.coefs, row.rhs) for row in region.rows]
    columns = len(free)
    for ball in region.balls:
        if ball.norm == "l1":
            columns = _l1_rows(ball, lo, hi, columns, substituted, rows)
    tableau = Tableau(columns + 1)
    for k in range(len(free)):
        # u <= 1; u >= 0 is what a tableau assumes of its variables.
        tableau.add([int(j == k) for j in range(columns + 1)], 1)
    for terms, rhs in rows:
        *coefs, top = whole([*(terms.get(k, 0) for k in range(columns)), 0, rhs])
        tableau.add(coefs, top)
    if not tableau.feasible():
        return None
    inputs = []
    for i in range(region.size):
        slopes = [hi[i] - lo[i] if k == i else Fraction(0) for k in free]
        inputs.append(line([*slopes, lo[i]]))
    return Piece(inputs, tuple(free), tuple(lo), tuple(hi), tableau)


def _l1_rows(
    ball: Ball, lo: Sequence[Fraction], hi: Sequence[Fraction], columns: int,
    substituted: Callable[[Mapping[int, Fraction], Fraction], Row], rows: list[Row],
) -> int:
    """Add the rows of `sum |x_i - c_i| <= radius`; the number of columns then."""
    total: dict[int, Fraction] = {}
    extra: dict[int, Fraction] = {}
    rhs = ball.radius
    for i, c in zip(ball.indices, ball.center, strict=True):
        if lo[i] >= c or hi[i] <= c:  # on one side of the centre: |x - c| is linear
            sign = Fraction(1 if lo[i] >= c else -1)
            total[i] = total.get(i, Fraction(0)) + sign
            rhs += sign * c
            continue
        extra[columns] = Fraction(1)  # t >= |x - c|
        for sign in (Fraction(1), Fraction(-1)):
            terms, bound = substituted({i: sign}, sign * c)
            rows.append(({**terms, columns: Fraction(-1)}, bound))
        columns += 1
    terms, bound = substituted(total, rhs)
    rows.append(({**terms, **extra}, bound))
    return columns


def _cut_l2(ball: Ball, lo: list[Fraction], hi: list[Fraction]) -> bool:
    """Cut the box to an l2 ball where that is a polyhedron; False if nothing is left.

    With one free feature the ball is an interval (its ends rational); a ball that contains the
    whole box cuts nothing. Anything else is refused by name.
    """
    pairs = list(zip(ball.indices, ball.center, strict=True))
    near = [max(Fraction(0), lo[i] - c, c - hi[i]) for i, c in pairs]
    far = [max(hi[i] - c, c - lo[i]) for i, c in pairs]
    square = ball.radius**2
    if sum((d * d for d in near), Fraction(0)) > square:
        return False
    if sum((d * d for d in far), Fraction(0)) <= square:
        return True
    free = [(i, c) for i, c in pairs if lo[i] < hi[i]]
    frozen = [d for (i, _), d in zip(pairs, near, strict=True) if lo[i] == hi[i]]
    reach = _root(square - sum((d * d for d in frozen), Fraction(0)))
    # An l2 ball is curved, and its end may be irrational: neither is a polyhedron.
    if len(free) != 1 or reach is None:
        raise UnsupportedError("an l2 ball in more than one dimension", key="regions",
                               expected="a box, linear rows or an l1 ball")
    i, c = free[0]
    lo[i], hi[i] = max(lo[i], c - reach), min(hi[i], c + reach)
    return lo[i] <= hi[i]


def _root(square: Fraction) -> Fraction | None:
    """The rational square root, if there is one."""
    if square < 0:
        return None
    top, bottom = math.isqrt(square.numerator), math.isqrt(square.denominator)
    exact = top * top == square.numerator and bottom * bottom == square.denominator
    return Fraction(top, bottom) if exact else None
