"""Linear constraints written as text: `age - 2*x["hours-per-week"] <= 0.3`, read exactly.

Python's own grammar does the parsing (`ast`, nothing is evaluated); a short list of node types is
accepted and every number keeps its literal text, so that 0.3 is three tenths.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.decimals import parse_exact
from verifex.ir.region import LinearRow
from verifex.metrics.names import Names

MAX_TEXT = 20_000
_EXPECTED = 'a linear constraint such as "age - 2*x[3] <= 0.3"'


@dataclass(frozen=True)
class _Linear:
    """`sum coefs[i] * x_i + const`."""

    coefs: dict[int, Fraction]
    const: Fraction

    def plus(self, other: _Linear, sign: int = 1) -> _Linear:
        total: dict[int, Fraction] = defaultdict(Fraction, self.coefs)
        for i, c in other.coefs.items():
            total[i] += sign * c
        return _Linear(dict(total), self.const + sign * other.const)

    def times(self, factor: Fraction) -> _Linear:
        return _Linear({i: factor * c for i, c in self.coefs.items()}, factor * self.const)


def parse_linear(text: str, names: Names) -> list[LinearRow]:
    """The rows `a.x <= b` that a constraint means; `==` gives two, a chain one a comparison.

    Raises InputError; strict comparisons are refused because regions are closed.
    """
    if len(text) > MAX_TEXT:
        raise InputError(f"{len(text)} characters", expected=f"at most {MAX_TEXT}")
    tree = _tree(text)
    if not isinstance(tree, ast.Compare):
        raise InputError(f"{_shown(text)} compares nothing", expected=_EXPECTED)
    sides = [_Reader(text, names).read(e) for e in (tree.left, *tree.comparators)]
    rows: list[LinearRow] = []
    for op, left, right in zip(tree.ops, sides, sides[1:], strict=False):
        rows += _rows(op, left.plus(right, -1), text)
    return rows


def _tree(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"{_shown(text)} cannot be read", expected=_EXPECTED) from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 50 else text[:47] + "...")


def _rows(op: ast.cmpop, difference: _Linear, text: str) -> list[LinearRow]:
    """`difference (op) 0` as rows."""
    coefs = {i: c for i, c in difference.coefs.items() if c != 0}
    if not coefs:
        raise InputError(f"{_shown(text)} depends on no feature", expected=_EXPECTED)
    low = LinearRow(coefs, -difference.const)
    high = LinearRow({i: -c for i, c in coefs.items()}, difference.const)
    match op:
        case ast.LtE():
            return [low]
        case ast.GtE():
            return [high]
        case ast.Eq():
            return [low, high]
    raise InputError(f"{_shown(text)} is not a closed constraint", expected="<=, >= or ==")


class _Reader:
    """Reads expressions of one text."""

    def __init__(self, text: str, names: Names) -> None:
        self._text, self._names = text.strip(), names

    def read(self, e: ast.expr) -> _Linear:
        """The linear form an expression means; long sums are walked without recursion."""
        total, sign = _Linear({}, Fraction(0)), 1
        while isinstance(e, ast.BinOp) and isinstance(e.op, ast.Add | ast.Sub):
            term = self._term(e.right)
            total = total.plus(term, 1 if isinstance(e.op, ast.Add) else -1)
            e = e.left
        return total.plus(self._term(e), sign)

    def _term(self, e: ast.expr) -> _Linear:
        match e:
            case ast.Constant() if isinstance(e.value, int | float) and not isinstance(
                e.value, bool
            ):
                return _Linear({}, self._number(e))
            case ast.Name():
                return self._feature(e.id)
            case ast.Subscript():
                return self._place(e)
            case ast.UnaryOp(op=ast.USub()):
                return self._term(e.operand).times(Fraction(-1))
            case ast.UnaryOp(op=ast.UAdd()):
                return self._term(e.operand)
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return self._product(e)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.read(e)
        raise InputError(f"{self._source(e)} is not linear arithmetic", expected=_EXPECTED)

    def _product(self, e: ast.BinOp) -> _Linear:
        left, right = self._term(e.left), self._term(e.right)
        if isinstance(e.op, ast.Div):
            if right.coefs or right.const == 0:
                raise InputError(f"{self._source(e)} divides", expected="division by a number")
            return left.times(1 / right.const)
        if left.coefs and right.coefs:
            raise InputError(f"{self._source(e)} is not linear", expected=_EXPECTED)
        return right.times(left.const) if not left.coefs else left.times(right.const)

    def _number(self, e: ast.Constant) -> Fraction:
        try:
            return parse_exact(self._segment(e))
        except ValueError as error:
            raise InputError(f"{error} in the constraint", expected="a decimal") from None

    def _place(self, e: ast.Subscript) -> _Linear:
        """`x[3]`, `x[0, 5]`, `left[2]` or `x["hours-per-week"]`."""
        if isinstance(e.slice, ast.Constant) and isinstance(e.slice.value, str):
            return self._feature(e.slice.value)
        return self._feature(self._segment(e))

    def _feature(self, key: str) -> _Linear:
        try:
            return _Linear({self._names.one(key): Fraction(1)}, Fraction(0))
        except InputError as error:
            hint = "" if key in self._text and f'"{key}"' in self._text else (
                '; a name that is not a word is written x["name"]')
            raise InputError(error.what, expected=error.expected + hint) from None

    def _segment(self, e: ast.expr) -> str:
        return ast.get_source_segment(self._text, e) or ""

    def _source(self, e: ast.expr) -> str:
        return _shown(self._segment(e))
