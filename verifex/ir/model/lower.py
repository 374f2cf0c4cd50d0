"""A logical model as a pure floating-point MILP: implications become big-M rows, rows are rescaled.

What floating-point solvers do to small numbers silently is dealt with here, in the open:

* A row is multiplied by a power of two (exact) where its coefficients are small, so that neither
  a feasibility tolerance nor a solver's own cut-off (HiGHS drops |a| <= 1e-9) swallows it.
* A coefficient that is still too small beside its neighbours is moved into the right-hand side
  at its worst over the variable's bounds. That loosens the row, never tightens it.
* Where a number is very large, continuous variables are counted in units of their own size (powers
  of two, exact) and every row is scaled to coefficients of about 1. What no unit brings below what
  solvers read is refused by name.
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
from verifex.ir.model.logical import Implies, Model, Row, merged, relaxed_row
from verifex.limits.checkpoint import checkpoint

if TYPE_CHECKING:
    from verifex.ir.exact import Number

TINY = 2e-9
"""Coefficients up to this are not left to a floating-point solver."""
LARGEST = 1e15
"""HiGHS refuses coefficients above this, and no other solver computes well with them."""
_VERY_LARGE = 1e12  # from here on units change; below, models are left as they are written
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
    `units` are the sizes in which columns are counted, powers of two: a value of column i stands
    for `units[i]` times it.
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
    units: list[float] = field(default_factory=list)

    @property
    def note(self) -> str:
        """What was changed on the way from the exact model, in one line."""
        return "; ".join(self.notes)

    def objective(self, scaled: float) -> float:
        """The model's objective from the value of `cost`."""
        return scaled / self.cost_scale + self.constant


def lower(model: Model, *, indicators_above: float = math.inf, rescale: bool = True) -> Milp:
    """The MILP of a model; implications with more slack than `indicators_above` stay implications.

    Columns are counted in other units only where a number is very large, and never without
    `rescale` (then such numbers stay). Products are left to the caller. Raises UnsupportedError
    where floats, or with `rescale` solvers, cannot hold the model.
    """
    ones = [Fraction(1)] * len(model.variables)
    milp = _Lowering(model, indicators_above, ones, equilibrate=False).run()
    if rescale and _largest(milp)[0] > _VERY_LARGE:
        milp = _Lowering(model, indicators_above, _units(model), equilibrate=True).run()
        size, what = _largest(milp)
        if size > LARGEST:
            raise UnsupportedError(
                f"{what} of {size:.3g}, more than {LARGEST:.0e}, that no scaling makes smaller"
            )
    return milp


def point_of(model: Model, milp: Milp, values: Sequence[float]) -> dict[int, Number]:
    """A solver's point: integer variables rounded to integers, the others as they are."""
    return {
        i: round(x) if v.integer else float(x) * unit
        for i, (v, unit, x) in enumerate(zip(model.variables, milp.units, values))
        if math.isfinite(x * unit)
    }


def value_of(model: Model, point: Mapping[int, Number]) -> Fraction | None:
    """The exact objective at a point; None without objective or where the point lacks a value."""
    if model.objective is None or any(v not in point for v, c in model.objective.items() if c):
        return None
    terms = (Fraction(c) * Fraction(point[v]) for v, c in model.objective.items() if c)
    return Fraction(model.objective_const) + sum(terms, Fraction(0))


def to_float(number: Number) -> float:
    """The nearest float; raises UnsupportedError beyond the largest one."""
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise UnsupportedError("a number beyond float64 for a floating-point solver")
    return value


def _above(number: Fraction) -> Fraction:
    """A power of two from `number` to below four times it, for `number` > 0."""
    return Fraction(2) ** (number.numerator.bit_length() - number.denominator.bit_length() + 1)


def _times(number: Number, unit: Fraction) -> Number:
    """The exact product; what is multiplied by one stays as it is."""
    return number if unit == 1 else Fraction(number) * unit


def _units(model: Model) -> list[Fraction]:
    """The size of each variable as a power of two; 1 for integers and factors of products."""
    # A product of scaled factors would be scaled itself: its variables keep their units.
    fixed = {v for p in model.products for v in (p.out, p.left, p.right)}
    sizes = []
    for i, variable in enumerate(model.variables):
        ends = [abs(Fraction(end)) for end in (variable.lo, variable.hi) if end is not None]
        size = max(ends, default=Fraction(0))
        free = variable.integer or i in fixed or not size
        sizes.append(Fraction(1) if free else _above(size))
    return sizes


def _largest(milp: Milp) -> tuple[float, str]:
    """The largest number of a MILP, and what it is."""
    found = [(abs(end), "a bound") for end in (*milp.lo, *milp.hi)]
    found += [(abs(c), "a cost") for c in milp.cost.values()]
    for row in (*milp.rows, *(rule.row for rule in milp.indicators)):
        found += [(abs(c), "a coefficient") for c in row.coefs]
        found += [(abs(end), "a right-hand side") for end in (row.lo, row.hi)]
    return max((f for f in found if f[0] < math.inf), default=(0.0, ""))


class _Lowering:
    """The work of `lower`: the MILP as it grows, and what was lost so far."""

    def __init__(
        self, model: Model, indicators_above: float, units: list[Fraction], *, equilibrate: bool
    ) -> None:
        self.model, self.above = model, indicators_above
        self.units, self.equilibrate = units, equilibrate
        self.milp = Milp(
            [
                -math.inf if v.lo is None else to_float(_times(v.lo, 1 / unit))
                for v, unit in zip(model.variables, units)
            ],
            [
                math.inf if v.hi is None else to_float(_times(v.hi, 1 / unit))
                for v, unit in zip(model.variables, units)
            ],
            [v.integer for v in model.variables],
            units=[float(unit) for unit in units],
        )
        self.milp.contradiction = any(
            v.lo is not None and v.hi is not None and v.lo > v.hi for v in model.variables
        )
        self.absorbed, self.widest, self.strict = 0, 0.0, False

    def run(self) -> Milp:
        """The whole model, lowered."""
        if not self.model.variables:  # solvers answer "empty" without looking at the rows
            self.milp.lo, self.milp.hi, self.milp.integer = [0.0], [0.0], [False]
            self.milp.units = [1.0]
        for row in self.model.rows:
            self.row(row)
        for rule in self.model.implications:
            self.rule(rule)
        self.cost()
        return self.finish()

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
        # Kept as an implication: with so much slack the big-M row would say nearly nothing.
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
        cost = {v: _times(c, self.units[v]) for v, c in model.objective.items() if c}
        scale = self._unit_scale([abs(Fraction(c)) for c in cost.values()])
        milp.cost = {v: self._float(c, scale) for v, c in cost.items()}
        milp.cost_scale = to_float(scale)
        # Kept apart: scaled with the costs it could drown them.
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

    def _unit_scale(self, sizes: Sequence[Fraction]) -> Fraction:
        """The power of two that brings the largest coefficient to about 1.

        It is 1 where no coefficient is small, unless all rows are scaled.
        """
        most = max(sizes, default=Fraction(1))
        return _above(1 / most) if most < _SMALL or self.equilibrate else Fraction(1)

    def _reach(self, variable: int) -> float:
        return max(abs(self.milp.lo[variable]), abs(self.milp.hi[variable]))

    def _scale(self, coefs: Mapping[int, Number]) -> Fraction:
        """The power of two for a row: 1 where nothing is small, which is nearly always."""
        # In floats first: exact sizes are only worth their time where something is small.
        rough = [abs(to_float(c)) for c in coefs.values() if c]
        if not rough:
            return Fraction(1)
        if min(rough) > 2 * TINY and max(rough) >= _SMALL and not self.equilibrate:
            return Fraction(1)
        sizes = {v: abs(Fraction(c)) for v, c in coefs.items() if c}
        scale = self._unit_scale(list(sizes.values()))
        # A small coefficient matters where its variable is large; lift it over the cut-off then.
        small = [
            size * scale
            for v, size in sizes.items()
            if size * scale <= 2 * TINY and float(size * scale) * self._reach(v) > _NEGLIGIBLE
        ]
        if small:
            lift = _above(2 * Fraction(TINY) / min(small))
            # No lifting where the large coefficients of the row would become too large by it.
            if max(sizes.values()) * scale * lift <= _LARGE:
                scale *= lift
        return scale

    def _float(self, number: Number, scale: Fraction) -> float:
        if scale != 1:
            number = Fraction(number) * scale
        value = to_float(number)
        self.milp.rounded += value != number  # Python compares a float and a fraction exactly
        return value

    def _floats(self, row: Row) -> FloatRow:
        """The row in floats, scaled; coefficients too small beside others go to its sides."""
        checkpoint()
        coefs = {v: _times(c, self.units[v]) for v, c in merged(row.coefs).items()}
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
                # Sound: the term is at most this large over the bounds, so no point of the model is
                # lost.
                loose += abs(value) * self._reach(v)
                self.absorbed += 1
        rhs = self._float(row.rhs, scale)
        lo = -math.inf if row.sense == "<=" else rhs - loose
        hi = math.inf if row.sense == ">=" else rhs + loose
        if self.equilibrate:
            # Sound: what the bounds of the variables imply twice over cuts nothing off.
            most = sum(abs(c) * self._reach(v) for v, c in kept)
            lo, hi = (-math.inf if lo < -2 * most else lo), (math.inf if hi > 2 * most else hi)
        return FloatRow(tuple(v for v, _ in kept), tuple(c for _, c in kept), lo, hi, float(scale))
