"""A logical model as a pure floating-point MILP: implications become big-M rows, rows are rescaled.

What floating-point solvers do to small numbers silently is dealt with here, in the open:

* A row is multiplied by a power of two (exact) where its coefficients are small, so that neither
  a feasibility tolerance nor a solver's own cut-off (HiGHS drops |a| <= 1e-9) swallows it.
* A coefficient that is still too small beside its neighbours is moved into the right-hand side
  at its worst over the variable's bounds. That loosens the row, never tightens it.
* Strict rows become non-strict ones.

Numbers are rounded to nearest, so nothing here concludes: answers of such solvers are proposals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from verifex.errors import UnsupportedError
from verifex.ir.model import Implies, Model, Row, merged, relaxed_row

if TYPE_CHECKING:
    from verifex.ir.exact import Number

TINY = 2e-9
"""Coefficients up to this are not left to a floating-point solver."""
_SMALL, _LARGE = 1e-3, 1e9
_NEGLIGIBLE = 1e-9  # a term that moves a row by less is below its tolerance
_HUGE_SLACK = 1e7


@dataclass(frozen=True)
class FloatRow:
    """`lo <= sum coef * var <= hi` in floats; `scale` times the row it came from."""

    positions: tuple[int, ...]
    coefs: tuple[float, ...]
    lo: float
    hi: float
    scale: float = 1.0


@dataclass(frozen=True)
class FloatImplies:
    """`var == value -> row`, kept for solvers with indicator constraints."""

    var: int
    value: int
    row: FloatRow


@dataclass
class Milp:
    """Columns (bounds, integrality), rows, indicators, and the cost to minimise or maximise.

    `cost` is the objective times `cost_scale`, without its constant. `notes` says what was lost,
    `rounded` counts the numbers that are not floats. With `contradiction` a row without variables
    (or a variable without values) is false; rows without variables are left out otherwise.
    """

    lo: list[float]
    hi: list[float]
    integer: list[bool]
    rows: list[FloatRow] = field(default_factory=list)
    indicators: list[FloatImplies] = field(default_factory=list)
    cost: dict[int, float] = field(default_factory=dict)
    cost_scale: float = 1.0
    constant: float = 0.0
    notes: list[str] = field(default_factory=list)
    rounded: int = 0
    contradiction: bool = False

    @property
    def note(self) -> str:
        """What was changed on the way from the exact model, in one line."""
        return "; ".join(self.notes)

    def objective(self, scaled: float) -> float:
        """The model's objective from the value of `cost`."""
        return scaled / self.cost_scale + self.constant


def lower(model: Model, *, indicators_above: float = math.inf) -> Milp:
    """The MILP of a model; implications with more slack than `indicators_above` stay implications.

    Products are left to the caller. Raises UnsupportedError where floats cannot hold the model.
    """
    work = _Lowering(model, indicators_above)
    if not model.variables:  # solvers answer "empty" without looking at the rows
        work.milp.lo, work.milp.hi, work.milp.integer = [0.0], [0.0], [False]
    for row in model.rows:
        work.row(row)
    for rule in model.implications:
        work.rule(rule)
    work.cost()
    return work.finish()


def point_of(model: Model, values: Sequence[float]) -> dict[int, Number]:
    """A solver's point: integer variables rounded to integers, the others as they are."""
    return {
        i: round(x) if v.integer else float(x)
        for i, (v, x) in enumerate(zip(model.variables, values))
        if math.isfinite(x)
    }


def value_of(model: Model, point: Mapping[int, Number]) -> Fraction | None:
    """The exact objective at a point; None without objective or where the point lacks a value."""
    if model.objective is None or any(v not in point for v, c in model.objective.items() if c):
        return None
    terms = (Fraction(c) * Fraction(point[v]) for v, c in model.objective.items() if c)
    return Fraction(model.objective_const) + sum(terms, Fraction(0))


def to_float(n: Number) -> float:
    """The nearest float; raises UnsupportedError beyond the largest one."""
    try:
        value = float(n)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise UnsupportedError("a number beyond float64 for a floating-point solver")
    return value


def _above(n: Fraction) -> Fraction:
    """A power of two in [n, 4n), for n > 0."""
    return Fraction(2) ** (n.numerator.bit_length() - n.denominator.bit_length() + 1)


def _unit_scale(sizes: Sequence[Fraction]) -> Fraction:
    """The power of two that brings the largest coefficient to about 1 where it is small."""
    most = max(sizes, default=Fraction(1))
    return _above(1 / most) if most < _SMALL else Fraction(1)


class _Lowering:
    """The work of `lower`: the MILP as it grows, and what was lost so far."""

    def __init__(self, model: Model, indicators_above: float) -> None:
        self.model, self.above = model, indicators_above
        self.milp = Milp(
            [-math.inf if v.lo is None else to_float(v.lo) for v in model.variables],
            [math.inf if v.hi is None else to_float(v.hi) for v in model.variables],
            [v.integer for v in model.variables],
        )
        self.milp.contradiction = any(
            v.lo is not None and v.hi is not None and v.lo > v.hi for v in model.variables
        )
        self.absorbed, self.widest, self.strict = 0, 0.0, False

    def row(self, row: Row) -> None:
        lowered = self._floats(row)
        if lowered.positions:
            self.milp.rows.append(lowered)
        elif not lowered.lo <= 0 <= lowered.hi:
            self.milp.contradiction = True

    def rule(self, rule: Implies) -> None:
        if rule.slack <= self.above:
            self.widest = max(self.widest, to_float(rule.slack))
            self.strict |= rule.row.strict
            self.row(relaxed_row(rule))
            return
        lowered = self._floats(rule.row)
        if lowered.positions:
            self.milp.indicators.append(FloatImplies(rule.var, rule.value, lowered))
        elif not lowered.lo <= 0 <= lowered.hi:  # the premise itself is impossible
            off = 1.0 - rule.value
            self.milp.rows.append(FloatRow((rule.var,), (1.0,), off, off))

    def cost(self) -> None:
        model, milp = self.model, self.milp
        if model.objective is None:
            return
        scale = _unit_scale([abs(Fraction(c)) for c in model.objective.values() if c])
        milp.cost = {v: self._float(c, scale) for v, c in model.objective.items() if c}
        milp.cost_scale = to_float(scale)
        milp.constant = to_float(model.objective_const)

    def finish(self) -> Milp:
        notes = self.milp.notes
        if self.absorbed:
            notes.append(f"{self.absorbed} coefficients too small for floats moved into their rows")
        if self.widest > _HUGE_SLACK:
            notes.append(f"big-M of {self.widest:.1e} is beyond what tolerances enforce")
        if self.strict:
            notes.append("strict rows taken as non-strict")
        return self.milp

    def _reach(self, v: int) -> float:
        return max(abs(self.milp.lo[v]), abs(self.milp.hi[v]))

    def _scale(self, coefs: Mapping[int, Number]) -> Fraction:
        """The power of two for a row: 1 where nothing is small, which is nearly always."""
        rough = [abs(to_float(c)) for c in coefs.values() if c]
        if not rough or (min(rough) > 2 * TINY and max(rough) >= _SMALL):
            return Fraction(1)
        sizes = {v: abs(Fraction(c)) for v, c in coefs.items() if c}
        scale = _unit_scale(list(sizes.values()))
        # A small coefficient matters where its variable is large; lift it over the cut-off then.
        small = [
            size * scale
            for v, size in sizes.items()
            if size * scale <= 2 * TINY and float(size * scale) * self._reach(v) > _NEGLIGIBLE
        ]
        if small:
            lift = _above(2 * Fraction(TINY) / min(small))
            if max(sizes.values()) * scale * lift <= _LARGE:
                scale *= lift
        return scale

    def _float(self, n: Number, scale: Fraction) -> float:
        if scale != 1:
            n = Fraction(n) * scale
        value = to_float(n)
        self.milp.rounded += value != n  # Python compares a float and a fraction exactly
        return value

    def _floats(self, row: Row) -> FloatRow:
        """The row in floats, scaled; coefficients too small beside others go to its sides."""
        coefs = merged(row.coefs)
        scale = self._scale(coefs)
        self.strict |= row.strict
        kept: list[tuple[int, float]] = []
        loose = 0.0
        for v, c in coefs.items():
            value = self._float(c, scale)
            if abs(value) > TINY:
                kept.append((v, value))
            elif c:
                if math.isinf(self._reach(v)):
                    raise UnsupportedError("a tiny coefficient on an unbounded variable")
                loose += abs(value) * self._reach(v)
                self.absorbed += 1
        rhs = self._float(row.rhs, scale)
        lo = -math.inf if row.sense == "<=" else rhs - loose
        hi = math.inf if row.sense == ">=" else rhs + loose
        return FloatRow(tuple(v for v, _ in kept), tuple(c for _, c in kept), lo, hi, float(scale))
