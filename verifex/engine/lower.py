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
from verifex.ir.model import Model, Row, relaxed_row

if TYPE_CHECKING:
    from verifex.ir.exact import Number

TINY = 2e-9
"""Coefficients up to this are not left to a floating-point solver."""
_SMALL, _LARGE = 1e-6, 1e9
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

    `cost` is the objective times `cost_scale`, without its constant. `notes` says what was lost.
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
    milp = Milp(
        [-math.inf if v.lo is None else to_float(v.lo) for v in model.variables],
        [math.inf if v.hi is None else to_float(v.hi) for v in model.variables],
        [v.integer for v in model.variables],
    )
    if not model.variables:  # solvers answer "empty" without looking at the rows
        milp.lo, milp.hi, milp.integer = [0.0], [0.0], [False]
    absorbed = 0
    for row in model.rows:
        lowered, lost = _float_row(row, milp)
        absorbed += lost
        milp.rows.append(lowered)
    worst = 0.0
    for rule in model.implications:
        if rule.slack > indicators_above:
            lowered, lost = _float_row(rule.row, milp)
            milp.indicators.append(FloatImplies(rule.var, rule.value, lowered))
        else:
            worst = max(worst, float(rule.slack))
            lowered, lost = _float_row(relaxed_row(rule), milp)
            milp.rows.append(lowered)
        absorbed += lost
    if absorbed:
        milp.notes.append(f"{absorbed} coefficients too small for floats moved into their rows")
    if worst > _HUGE_SLACK:
        milp.notes.append(f"big-M of {worst:.1e} is beyond what tolerances enforce")
    if any(r.strict for r in model.rows) or any(i.row.strict for i in model.implications):
        milp.notes.append("strict rows taken as non-strict")
    _set_cost(model, milp)
    return milp


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


def _scale(coefs: Sequence[Number]) -> Fraction:
    """A power of two that lifts small coefficients as far as the large ones allow."""
    sizes = [abs(Fraction(c)) for c in coefs if c]
    if not sizes or min(sizes) >= _SMALL:
        return Fraction(1)
    wish = min(1 / min(sizes), _LARGE / max(sizes)) if max(sizes) >= 1 else 1 / max(sizes)
    return Fraction(2) ** max(_exponent(wish), 0)


def _exponent(n: Fraction | float) -> int:
    """An integer k with 2**k near n, for n of any size."""
    n = Fraction(n)
    return n.numerator.bit_length() - n.denominator.bit_length()


def _float_row(row: Row, milp: Milp) -> tuple[FloatRow, int]:
    """The row in floats, and how many coefficients were absorbed by its right-hand side."""
    scale = _scale([c for _, c in row.coefs])
    exact = scale == 1
    positions: list[int] = []
    coefs: list[float] = []
    loose = 0.0
    lost = 0
    for v, c in row.coefs:
        value = to_float(c if exact else Fraction(c) * scale)
        if abs(value) > TINY:
            positions.append(v)
            coefs.append(value)
        elif c:
            reach = max(abs(milp.lo[v]), abs(milp.hi[v]))
            if math.isinf(reach):
                raise UnsupportedError("a tiny coefficient on an unbounded variable")
            loose += abs(value) * reach
            lost += 1
    rhs = to_float(row.rhs if exact else Fraction(row.rhs) * scale)
    lo = -math.inf if row.sense == "<=" else rhs - loose
    hi = math.inf if row.sense == ">=" else rhs + loose
    return FloatRow(tuple(positions), tuple(coefs), lo, hi, float(scale)), lost


def _set_cost(model: Model, milp: Milp) -> None:
    if model.objective is None:
        return
    scale = _scale(list(model.objective.values()))
    milp.cost = {v: to_float(Fraction(c) * scale) for v, c in model.objective.items() if c}
    milp.cost_scale = to_float(scale)
    milp.constant = to_float(model.objective_const)
