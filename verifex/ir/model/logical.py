"""Logical models: variables, linear rows and implications, the form that MILP and SMT both read.

All numbers are exact (`Number`: a float stands for its exact binary value). SMT adapters pass rows
and implications on as they are; MILP adapters turn an implication into a row with its `slack`,
a proven bound of how far the row can be violated (big-M).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from verifex.limits.checkpoint import checkpoint

if TYPE_CHECKING:  # solver processes do without numpy, which `exact` needs
    from verifex.ir.exact import Number


@dataclass(frozen=True)
class Variable:
    """A real or integer variable with optional exact bounds."""

    name: str
    lo: Number | None = None
    hi: Number | None = None
    integer: bool = False


@dataclass(frozen=True)
class Row:
    """`sum coef * var (sense) rhs`, sense one of "<=", ">=", "=="; strict makes it "<" or ">"."""

    coefs: tuple[tuple[int, Number], ...]
    sense: str
    rhs: Number
    strict: bool = False


@dataclass(frozen=True)
class Implies:
    """`var == value  ->  row` for a 0/1 variable; `slack` bounds the row's violation otherwise.

    The row is an inequality. Over the box, `coefs . x <= rhs + slack` (">=": `>= rhs - slack`).
    """

    var: int
    value: int
    row: Row
    slack: Number


@dataclass(frozen=True)
class Product:
    """`out == left * right` on variables (left may equal right)."""

    out: int
    left: int
    right: int


@dataclass
class Model:
    """A list of variables and what they must satisfy, with an optional linear objective.

    Mutable while it is being built; readers treat it as a value. The objective is a map from
    variable to coefficient plus a constant.
    """

    variables: list[Variable] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    implications: list[Implies] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    objective: dict[int, Number] | None = None
    objective_const: Number = 0
    maximise: bool = False

    def new(
        self, name: str, lo: Number | None = None, hi: Number | None = None, integer: bool = False
    ) -> int:
        self.variables.append(Variable(name, lo, hi, integer))
        return len(self.variables) - 1

    def add(
        self, coefs: Mapping[int, Number], sense: str, rhs: Number, strict: bool = False
    ) -> None:
        checkpoint()
        self.rows.append(Row(tuple((v, c) for v, c in coefs.items() if c != 0), sense, rhs, strict))

    def imply(self, var: int, value: int, row: Row, slack: Number) -> None:
        self.implications.append(Implies(var, value, row, slack))

    @property
    def integers(self) -> int:
        return sum(v.integer for v in self.variables)


def merged(coefs: Iterable[tuple[int, Number]]) -> dict[int, Number]:
    """Coefficients by variable; those of a variable that appears more than once are added up."""
    total: dict[int, Number] = {}
    for v, c in coefs:
        # Added exactly: a sum of floats would be rounded.
        total[v] = Fraction(total[v]) + Fraction(c) if v in total else c
    return total


def relaxed_row(rule: Implies) -> Row:
    """The big-M row of an implication: the row, loosened by `slack` when the premise is off.

    Never strict: with the premise off the row may be missed by exactly `slack`.
    """
    row, m = rule.row, Fraction(rule.slack)
    # A row <= is loosened upwards, a row >= downwards.
    signed = m if row.sense == "<=" else -m
    # value 1:  a.x <= rhs + m (1 - s);  value 0:  a.x <= rhs + m s
    coefs = merged(row.coefs)
    if rule.value == 1:
        coefs[rule.var] = Fraction(coefs.get(rule.var, 0)) + signed
        return Row(tuple(coefs.items()), row.sense, Fraction(row.rhs) + signed)
    coefs[rule.var] = Fraction(coefs.get(rule.var, 0)) - signed
    return Row(tuple(coefs.items()), row.sense, row.rhs)


# --- text form (what goes to a solver's process) ----------------------------------------------

_DECIMAL_BITS = 4096
_LONGEST_NUMBER = 400_000
_RATIONAL = re.compile(
    r"-?(0|[1-9][0-9]{0,3999}|0x[0-9a-f]+)(/([1-9][0-9]{0,3999}|0x[0-9a-f]+))?", re.ASCII
)


def number_to_json(number: Number | None) -> Any:
    """A JSON value that keeps the number exactly: floats as floats, fractions as "p/q".

    Very long integers are written in hexadecimal: Python bounds the length of decimal ones.
    """
    if number is None or isinstance(number, float):
        return number
    if isinstance(number, int):
        return number if number.bit_length() <= _DECIMAL_BITS else hex(number)
    if number.denominator == 1:
        return number_to_json(number.numerator)
    if max(number.numerator.bit_length(), number.denominator.bit_length()) <= _DECIMAL_BITS:
        return f"{number.numerator}/{number.denominator}"
    return f"{number.numerator:#x}/{number.denominator:#x}"


def number_from_json(value: Any) -> Number | None:
    """The inverse of `number_to_json`; raises ValueError on anything else, NaN and infinity too.

    The text may come from a hostile process: only plain integers are parsed, so that neither an
    exponent (`1e999999999`) nor a number of absurd length can hang the reader.
    """
    if value is None:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return value
    # JSON's true is a number to Python.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _RATIONAL.fullmatch(value):
        top, _, bottom = value.partition("/")
        denominator = int(bottom, 0) if bottom else 1
        if denominator > 0:
            return Fraction(int(top, 0), denominator)
    raise ValueError(f"not a number: {str(value)[:40]!r}")


def _required(value: Any) -> Number:
    n = number_from_json(value)
    if n is None:
        raise ValueError("a number is missing")
    return n


def _row_to_json(row: Row) -> list[Any]:
    checkpoint()
    coefs = [[v, number_to_json(c)] for v, c in row.coefs]
    return [coefs, row.sense, number_to_json(row.rhs), row.strict]


def _row_from_json(data: list[Any]) -> Row:
    coefs, sense, rhs, strict = data
    return Row(tuple((v, _required(c)) for v, c in coefs), sense, _required(rhs), strict)


def model_to_json(model: Model) -> dict[str, Any]:
    """The model as JSON data; all numbers keep their exact value."""
    return {
        "variables": [
            [v.name, number_to_json(v.lo), number_to_json(v.hi), v.integer] for v in model.variables
        ],
        "rows": [_row_to_json(r) for r in model.rows],
        "implications": [
            [i.var, i.value, _row_to_json(i.row), number_to_json(i.slack)]
            for i in model.implications
        ],
        "products": [[p.out, p.left, p.right] for p in model.products],
        "objective": None
        if model.objective is None
        else [[v, number_to_json(c)] for v, c in model.objective.items()],
        "objective_const": number_to_json(model.objective_const),
        "maximise": model.maximise,
    }


def model_from_json(data: dict[str, Any]) -> Model:
    """The inverse of `model_to_json`."""
    objective = data["objective"]
    return Model(
        [
            Variable(n, number_from_json(lo), number_from_json(hi), integer)
            for n, lo, hi, integer in data["variables"]
        ],
        [_row_from_json(r) for r in data["rows"]],
        [Implies(v, k, _row_from_json(r), _required(s)) for v, k, r, s in data["implications"]],
        [Product(*p) for p in data["products"]],
        None if objective is None else {v: _required(c) for v, c in objective},
        _required(data["objective_const"]),
        data["maximise"],
    )


def dumps(model: Model) -> str:
    """The model as one line of JSON."""
    return json.dumps(model_to_json(model), separators=(",", ":"))
