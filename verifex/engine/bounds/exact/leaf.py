"""Leaves that close in exact arithmetic: rows of a polytope are added with rational multipliers.

Where a form is affine on a domain, its least value over the domain's half-spaces is that of a
linear program, and the multipliers that attain it are rational (Farkas, 1902). So a bound of zero
is found as such, however close to the truth a claim is. What concludes is the sum of the rows with
these multipliers, evaluated in fractions over the box; how they were found does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from verifex.engine.bounds.exact.forms import ExactDomain
from verifex.engine.bounds.exact.lp import AffineRow, ExactAnswer, minimise_exactly
from verifex.ir.formula import Cell, Form
from verifex.ir.region import LinearRow

_ONE, _ZERO = Fraction(1), Fraction(0)
Point = tuple[Fraction, ...]


@dataclass(frozen=True)
class ExactSum:
    """`value` bounds a sum of forms from below on a whole domain: on the box, after multipliers
    > 0 times the half-spaces of splits (by pre-activation and element) and of the region's rows
    have been taken away. `weights` are those of the forms, by their place."""

    value: Fraction
    splits: dict[Cell, Fraction]
    rows: dict[int, Fraction]
    weights: dict[int, Fraction] = field(default_factory=dict)


@dataclass(frozen=True)
class Least:
    """The least value of a form (None: the domain has no point), the bound whose multipliers show
    it, and a point of the domain at which it is attained."""

    value: Fraction | None
    bound: ExactSum
    point: Point | None


class ExactLeaf:
    """One domain: its box, and the half-spaces of its splits and of the region's rows.

    `whole` says whether all of its splits are there: those of units that depend on undecided ones
    are left out, which makes the domain larger.
    """

    def __init__(
        self, domain: ExactDomain, region: Sequence[LinearRow], stopped: Callable[[], bool]
    ) -> None:
        self.domain, self._stopped = domain, stopped
        self._rows: list[AffineRow] = []
        self._splits: list[Cell] = []
        self.left_out: list[Cell] = []
        layout = domain.layout
        for gate in np.flatnonzero(domain.signs).tolist():
            cell = layout.name(gate)
            found = domain.of(Form.of({cell: int(domain.signs[gate])}))
            if found is None:
                self.left_out.append(cell)
            else:
                self._splits.append(cell)
                self._rows.append(found)
        for row in region:
            inner = [-row.coefs.get(i, _ZERO) for i in domain.free]
            fixed = sum((c * domain.lo[i] for i, c in row.coefs.items()
                         if domain.lo[i] == domain.hi[i]), _ZERO)
            self._rows.append(AffineRow(inner, row.rhs - fixed))

    @property
    def whole(self) -> bool:
        return not self.left_out

    def minimum(self, form: AffineRow) -> Least | None:
        """The least value of a form; None if there was no time for it."""
        found = self._solve(form, self._rows, *self.domain.box)
        if found is None:
            return None
        empty = found.value is None
        return Least(found.value, self.sum({} if empty else {0: _ONE}, [form], found.duals),
                     found.point)

    def together(self, forms: Sequence[AffineRow], strict: Sequence[bool]) -> Least | None:
        """Whether the negated forms can all be >= 0 at one point, and > 0 where `strict`.

        `value` is the greatest s such that some point has -form >= s for the strict forms (for all,
        if none is) and -form >= 0 for the others; None where no point has that, whatever s is.
        They cannot where s is below zero, or is zero and some are strict. The bound of the sum of
        forms with `weights` shows that: it is -s, if the weights of what s counts add up to 1.
        """
        counted = strict if any(strict) else [True] * len(forms)
        lo, hi = self.domain.box
        ends = [_ends(form, lo, hi) for form in forms]
        # Sound: s has room on both sides of what it can be, and its own ends never bind.
        low, high = -max(b for _, b in ends) - 1, -min(a for a, _ in ends) + 1
        rows = [AffineRow([*row.coefs, _ZERO], row.const) for row in self._rows]
        rows += [
            AffineRow([*(-c for c in form.coefs), -Fraction(used)], -form.const)
            for form, used in zip(forms, counted, strict=True)]
        cost = AffineRow([*([_ZERO] * len(lo)), -_ONE], _ZERO)
        found = self._solve(cost, rows, (*lo, min(low, _ZERO)), (*hi, max(high, _ONE)))
        if found is None:
            return None
        own = len(self._rows)
        weights = {k: w for k, w in enumerate(found.duals[own:]) if w > 0}
        bound = self.sum(weights, forms, found.duals[:own])
        if found.value is None or found.point is None:
            return Least(None, bound, None)
        return Least(-found.value, bound, found.point[:-1])

    def centre(self) -> Point | None:
        """A point at which the least of the splits' values is as great as can be (at most 1); None
        if there is none off zero."""
        (lo, hi), splits = self.domain.box, len(self._splits)
        rows = [
            AffineRow([*row.coefs, -_ONE if k < splits else _ZERO], row.const)
            for k, row in enumerate(self._rows)]
        cost = AffineRow([*([_ZERO] * len(lo)), -_ONE], _ZERO)
        found = self._solve(cost, rows, (*lo, _ZERO), (*hi, _ONE))
        if found is None or found.point is None or found.point[-1] <= 0:
            return None
        return found.point[:-1]

    def _solve(
        self, cost: AffineRow, rows: Sequence[AffineRow], lo: Point, hi: Point
    ) -> ExactAnswer | None:
        return minimise_exactly(cost, rows, lo, hi, self._stopped)

    def sum(
        self, weights: dict[int, Fraction], forms: Sequence[AffineRow], duals: Sequence[Fraction]
    ) -> ExactSum:
        """The bound of the sum of `forms` with these weights, by these multipliers of the rows."""
        used = [(w, forms[k]) for k, w in weights.items()]
        used += [(-d, row) for d, row in zip(duals, self._rows, strict=True) if d > 0]
        coefs = [sum((w * row.coefs[i] for w, row in used), _ZERO)
                 for i in range(len(self.domain.free))]
        total = AffineRow(coefs, sum((w * row.const for w, row in used), _ZERO))
        count = len(self._splits)
        return ExactSum(
            _ends(total, *self.domain.box)[0],
            {cell: d for cell, d in zip(self._splits, duals, strict=False) if d > 0},
            {r: d for r, d in enumerate(duals[count:]) if d > 0}, weights)


def _ends(form: AffineRow, lo: Point, hi: Point) -> tuple[Fraction, Fraction]:
    """The least and the greatest value of a form over a box."""
    pairs = [(c * a, c * b) for c, a, b in zip(form.coefs, lo, hi, strict=True) if c]
    return (sum(map(min, pairs), form.const), sum(map(max, pairs), form.const))
