"""Exact linear programming: an integer-preserving dictionary simplex with Bland's rule.

Written here because no exact rational LP comes as a wheel under a permissive licence. Pivoting
keeps integers over one common denominator (Edmonds 1967; Bareiss 1968; lrs by Avis uses the same
scheme): every division below is exact. Bland's rule (1977), primal and dual, rules out cycling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

Rational: TypeAlias = int | Fraction


class Tableau:
    """The polyhedron `{y >= 0 : rows}` as a dictionary; rows are added one by one.

    With D = `den` > 0, row i reads `D * basis[i] + sum_j rows[i][j] * nonbasic[j] = rows[i][-1]`.
    Variables are numbered: 0..columns-1 the y, then one slack for each row added. Row lists are
    never changed in place, so `copy` is cheap. After `feasible` has answered False the tableau is
    spent.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.nonbasic = list(range(columns))
        self.basis: list[int] = []
        self.rows: list[list[int]] = []
        self.den = 1

    def copy(self) -> Tableau:
        twin = Tableau.__new__(Tableau)
        twin.columns, twin.den = self.columns, self.den
        twin.nonbasic, twin.basis = self.nonbasic.copy(), self.basis.copy()
        twin.rows = self.rows.copy()
        return twin

    def add(self, coefs: Sequence[int], rhs: int) -> None:
        """Add `coefs . y <= rhs` (integers, one coefficient a column)."""
        self.rows.append(self._expressed(coefs, rhs))
        self.basis.append(self.columns + len(self.rows) - 1)

    def _expressed(self, coefs: Sequence[int], rhs: int) -> list[int]:
        """The row `coefs . y + slack = rhs` times D, with the basic y replaced by the nonbasic."""
        row = [self.den * coefs[v] if v < self.columns else 0 for v in self.nonbasic]
        row.append(self.den * rhs)
        for v, other in zip(self.basis, self.rows, strict=True):
            if v < self.columns and coefs[v]:
                f = coefs[v]
                row = [a - f * b for a, b in zip(row, other, strict=True)]
        return row

    def _pivot(self, leaving: int, entering: int) -> None:
        """Exchange `basis[leaving]` and `nonbasic[entering]`."""
        pivot_row, old = self.rows[leaving], self.den
        p = pivot_row[entering]
        sign = 1 if p > 0 else -1
        for i, row in enumerate(self.rows):
            if i == leaving:
                continue
            f = row[entering]
            # A row without the entering variable only changes its denominator.
            if f:
                new = [
                    sign * (a * p - f * b) // old for a, b in zip(row, pivot_row, strict=True)
                ]
                new[entering] = -sign * f
            else:
                new = [sign * a * p // old for a in row] if p != sign * old else row
            self.rows[i] = new
        new = pivot_row.copy() if sign > 0 else [-a for a in pivot_row]
        new[entering] = sign * old
        self.rows[leaving] = new
        self.den = sign * p
        self.basis[leaving], self.nonbasic[entering] = self.nonbasic[entering], self.basis[leaving]

    def feasible(self) -> bool:
        """Make the dictionary feasible by dual pivots; False if the polyhedron is empty."""
        while True:
            # Bland's rule: of the infeasible variables the one with the least number, so that
            # nothing cycles.
            short = [(v, r) for r, v in enumerate(self.basis) if self.rows[r][-1] < 0]
            if not short:
                return True
            _, r = min(short)
            row = self.rows[r]
            columns = [(v, s) for s, v in enumerate(self.nonbasic) if row[s] < 0]
            if not columns:  # a sum of non-negative terms would have to be negative
                return False
            self._pivot(r, min(columns)[1])

    def maximise(self, coefs: Sequence[int]) -> Fraction | None:
        """The maximum of `coefs . y` over a feasible dictionary, None if it is unbounded.

        The dictionary is left at the best vertex (where unbounded: at some feasible one).
        """
        self.rows.append(self._expressed([-c for c in coefs], 0))
        self.basis.append(-1)  # the objective's own value: basic, below every number, never leaves
        bounded = self._climb()
        self.basis.pop()
        top = self.rows.pop()[-1]
        return Fraction(top, self.den) if bounded else None

    def _climb(self) -> bool:
        while True:
            goal = self.rows[-1]
            entering = [(v, s) for s, v in enumerate(self.nonbasic) if goal[s] < 0]
            if not entering:
                return True
            s = min(entering)[1]
            best: tuple[int, int, int, int] | None = None  # (rhs, coefficient, variable, row)
            for r, row in enumerate(self.rows[:-1]):
                a = row[s]
                if a > 0:
                    b, v = row[-1], self.basis[r]
                    # Ratios b / a compared without dividing; ties go to the variable of the least
                    # number.
                    order = 0 if best is None else b * best[1] - best[0] * a
                    if best is None or order < 0 or (order == 0 and v < best[2]):
                        best = (b, a, v, r)
            if best is None:
                return False
            self._pivot(best[3], s)

    def point(self) -> list[Fraction]:
        """The vertex the dictionary stands at: the values of y."""
        y = [Fraction(0)] * self.columns
        for v, row in zip(self.basis, self.rows, strict=True):
            if 0 <= v < self.columns:
                y[v] = Fraction(row[-1], self.den)
        return y


def whole(row: Sequence[Rational]) -> list[int]:
    """The row times the least positive number that makes it integers without a common factor."""
    den = math.lcm(*(v.denominator for v in row))
    ints = [v.numerator * (den // v.denominator) for v in row]
    common = math.gcd(*ints) or 1
    return [v // common for v in ints]


def maximise(
    objective: Sequence[Rational],
    rows: Sequence[Sequence[Rational]],
    rhs: Sequence[Rational],
    strict: Sequence[bool] | None = None,
) -> tuple[str, Fraction | None, list[Fraction] | None]:
    """The supremum of `objective . x` over `{x : rows[i] . x <= rhs[i]}`, x free, exactly.

    Rows with `strict[i]` are meant as `<`. Returns (status, value, point), status one of
    "optimal", "unbounded", "infeasible". With strict rows the set decides feasibility and the
    value is the supremum, but the point may lie on the boundary that the set leaves out.
    """
    n = len(objective)
    # Free x: x_i = y_i - y_n with all y >= 0; y_{n+1} is the room that strict rows leave.
    t = Tableau(n + 2)
    strict = strict or [False] * len(rows)
    for row, b, s in zip(rows, rhs, strict, strict=True):
        *coefs, top = whole([*row, b])
        t.add([*coefs, -sum(coefs), int(s)], top)
    room = [0] * (n + 1) + [1]
    if not t.feasible() or (any(strict) and t.maximise(room) == 0):
        return "infeasible", None, None
    scale = math.lcm(*(v.denominator for v in objective)) if n else 1
    goal = [int(v * scale) for v in objective]
    value = t.maximise([*goal, -sum(goal), 0])
    y = t.point()
    point = [v - y[n] for v in y[:n]]
    return ("unbounded", None, point) if value is None else ("optimal", value / scale, point)
