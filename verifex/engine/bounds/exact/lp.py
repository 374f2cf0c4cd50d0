"""Linear programs in exact arithmetic: a dual simplex method on a tableau of integers.

Every variable has two ends, so the corner of the box that the cost likes best is a basis to begin
with, and no first phase is needed. Divisions are exact and numbers stay minors of the program's own
(Edmonds, Systems of Distinct Representatives and Linear Algebra, 1967), so that nothing is reduced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

Line = Sequence[Fraction]

_ROUNDS = 4
"""Pivots, per row and column, that look for the greatest violation. After so many the least index
is taken, with which no basis comes twice (Bland, 1977)."""


@dataclass(frozen=True)
class AffineRow:
    """The half-space `sum_i coefs[i] * x_i + const >= 0`."""

    coefs: Line
    const: Fraction

    def value(self, point: Line) -> Fraction:
        """The left side at a point."""
        terms = (c * v for c, v in zip(self.coefs, point, strict=True) if c)
        return sum(terms, self.const)


@dataclass(frozen=True)
class ExactAnswer:
    """The least value over a program, at `point`, with multipliers >= 0 of its rows.

    `value` and `point` are None where no point satisfies the rows; the multipliers then are those
    of a contradiction: the rows' combination with them is negative on the whole box.
    """

    value: Fraction | None
    point: tuple[Fraction, ...] | None
    duals: tuple[Fraction, ...]


def minimise_exactly(
    cost: AffineRow, rows: Sequence[AffineRow], lo: Line, hi: Line, stopped: Callable[[], bool]
) -> ExactAnswer | None:
    """The least value of `cost` over `{lo <= x <= hi, every row >= 0}`; None once `stopped` says
    so. All of it is exact, but nothing has to be believed: multipliers are evaluated anew."""
    tableau = _Tableau(cost, rows, lo, hi)
    while True:
        line = tableau.leaving()
        if line < 0:
            return tableau.optimum()
        column = tableau.entering(line)
        if column < 0:
            return tableau.contradiction(line)
        if stopped():
            return None
        tableau.pivot(line, column)


class _Tableau:
    """Basic variables as affine functions of nonbasic ones, `numbers / den`; the constants come in
    the first column and the cost in the last line.

    Variables are 0..n-1, distances from the ends at which the cost is least, and behind them the
    slacks of the rows and of the other ends.
    """

    def __init__(
        self, cost: AffineRow, rows: Sequence[AffineRow], lo: Line, hi: Line
    ) -> None:
        self.up = [c < 0 for c in cost.coefs]
        self.corner = [b if up else a for a, b, up in zip(lo, hi, self.up, strict=True)]
        self.count, self.rows, self.cost = len(self.up), len(rows), cost
        lines = [self._from_corner(row) for row in rows]
        for j, (a, b) in enumerate(zip(lo, hi, strict=True)):
            lines.append([b - a, *(Fraction(-(k == j)) for k in range(self.count))])
        lines.append([Fraction(0), *map(abs, cost.coefs)])
        self.scales, whole = [], []
        for line in lines:
            # Positive factors of the rows, so that all numbers are integers.
            factor = math.lcm(1, *(v.denominator for v in line))
            self.scales.append(factor)
            whole.append([int(v * factor) for v in line])
        self.numbers: Any = np.array(whole, dtype=object).reshape(len(lines), self.count + 1)
        self.den = 1
        self.nonbasic = list(range(self.count))
        self.basic = [self.count + i for i in range(len(lines) - 1)]
        self.left = _ROUNDS * (len(lines) + self.count)

    def _from_corner(self, row: AffineRow) -> list[Fraction]:
        return [
            row.value(self.corner),
            *(-c if up else c for c, up in zip(row.coefs, self.up, strict=True))]

    def leaving(self) -> int:
        """The line of a basic variable below zero, -1 if there is none."""
        below = [i for i, v in enumerate(self.numbers[:-1, 0]) if v < 0]
        if not below:
            return -1
        self.left -= 1
        if self.left > 0:
            return min(below, key=lambda i: Fraction(self.numbers[i, 0], self._size(i)))
        return min(below, key=self.basic.__getitem__)

    def _size(self, line: int) -> int:
        return 1 + max(abs(v) for v in self.numbers[line, 1:]) if self.count else 1

    def entering(self, line: int) -> int:
        """The nonbasic variable that may rise with the cost still at its least, -1 if none does."""
        able = [j for j in range(self.count) if self.numbers[line, j + 1] > 0]
        return min(able, default=-1, key=lambda j: (
            Fraction(self.numbers[-1, j + 1], self.numbers[line, j + 1]), self.nonbasic[j]))

    def pivot(self, line: int, column: int) -> None:
        """Exchange a basic and a nonbasic variable."""
        old, j = self.numbers, column + 1
        pivot = old[line, j]
        new = (pivot * old - np.outer(old[:, j], old[line])) // self.den
        new[:, j] = old[:, j]
        new[line] = -old[line]
        new[line, j] = self.den
        self.numbers, self.den = new, pivot
        self.basic[line], self.nonbasic[column] = self.nonbasic[column], self.basic[line]

    def optimum(self) -> ExactAnswer:
        away = [Fraction(0)] * self.count
        for i, variable in enumerate(self.basic):
            if variable < self.count:
                away[variable] = Fraction(self.numbers[i, 0], self.den)
        point = tuple(
            a - d if up else a + d for a, d, up in zip(self.corner, away, self.up, strict=True))
        return ExactAnswer(self.cost.value(point), point, self._duals(-1, self.scales[-1], 1))

    def contradiction(self, line: int) -> ExactAnswer:
        """A basic variable that is negative wherever the nonbasic ones are not."""
        duals = list(self._duals(line, 1, -1))
        own = self.basic[line] - self.count
        if 0 <= own < self.rows:
            duals[own] += self.scales[own]
        return ExactAnswer(None, None, tuple(duals))

    def _duals(self, line: int, unit: int, sign: int) -> tuple[Fraction, ...]:
        """A line's coefficients of the rows' slacks, as multipliers of the rows."""
        duals = [Fraction(0)] * self.rows
        for j, variable in enumerate(self.nonbasic):
            row = variable - self.count
            if 0 <= row < self.rows:
                number = sign * self.numbers[line, j + 1] * self.scales[row]
                duals[row] = Fraction(number, self.den * unit)
        return tuple(duals)
