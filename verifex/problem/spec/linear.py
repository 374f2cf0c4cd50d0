"""Linear constraints written as text: `age - 2*x["hours-per-week"] <= 0.3`, read exactly.

    constraint = sum, { ("<=" | ">=" | "=="), sum }, at least one comparison
    sum        = term, { ("+" | "-"), term }
    term       = [ "+" | "-" ], ( number | name | number * name | name * number | name / number )
    name       = word | word[index, ...] | x["any name"] | x['any name']

A small grammar of our own, so that names are compared as they are written: a language's parser
normalises them first. There is no recursion, and what is no part of it is refused by name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.decimals import parse_exact
from verifex.ir.region import LinearRow
from verifex.metrics.support.names import Names

MAX_TEXT = 20_000
_EXPECTED = 'a linear constraint such as "age - 2*x[3] <= 0.3"'
_TERM = "a number, a name, number*name, name*number or name/number"
_TOKEN = re.compile(
    r"""(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | x\[[ \t]*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')[ \t]*\]
      | (?P<name>[^\W\d]\w*(?:\[[^\[\]"']*\])?)
      | (?P<compare><=|>=|==)
      | (?P<open>!=|[<>=])
      | (?P<sign>[+-])
      | (?P<factor>[*/])
      | (?P<blank>[ \t]+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    """A piece of a constraint: `text` as it is written, `value` what it names."""

    kind: str
    text: str
    value: str


@dataclass(frozen=True)
class _Linear:
    """`sum coefs[i] * x_i + const`."""

    coefs: dict[int, Fraction]
    const: Fraction


def parse_linear(text: str, names: Names) -> list[LinearRow]:
    """The rows `a.x <= b` that a constraint means; `==` gives two, a chain one a comparison.

    Raises InputError; strict comparisons are refused because regions are closed.
    """
    if len(text) > MAX_TEXT:
        raise InputError(f"{len(text)} characters", expected=f"at most {MAX_TEXT}")
    reader = _ConstraintReader(text, names)
    sides, comparisons = [reader.side()], list[str]()
    while reader.token.kind == "compare":
        comparisons.append(reader.take())
        sides.append(reader.side())
    reader.end()
    if not comparisons:
        raise InputError(f"{_shown(text)} compares nothing", expected=_EXPECTED)
    rows: list[LinearRow] = []
    for sign, left, right in zip(comparisons, sides, sides[1:], strict=False):
        rows += _rows(sign, left, right, text)
    return rows


def _shown(text: str) -> str:
    return repr(text if len(text) <= 50 else text[:47] + "...")


def _rows(sign: str, left: _Linear, right: _Linear, text: str) -> list[LinearRow]:
    """`left (sign) right` as rows."""
    difference: dict[int, Fraction] = defaultdict(Fraction, left.coefs)
    for i, c in right.coefs.items():
        difference[i] -= c
    coefs = {i: c for i, c in difference.items() if c != 0}
    if not coefs:
        raise InputError(f"{_shown(text)} depends on no feature", expected=_EXPECTED)
    const = right.const - left.const
    low = LinearRow(coefs, const)
    high = LinearRow({i: -c for i, c in coefs.items()}, -const)
    return {"<=": [low], ">=": [high], "==": [low, high]}[sign]


class _ConstraintReader:
    """Reads the tokens of one constraint from left to right; `token` is the next."""

    def __init__(self, text: str, names: Names) -> None:
        self._text, self._names = text, names
        self._tokens = _TOKEN.finditer(text)
        self.token = self._next()

    def _next(self) -> _Token:
        for match in self._tokens:
            kind = match.lastgroup or ""
            if kind in ("double", "single"):
                return _Token("name", match[0], match[kind])
            if kind != "blank":
                return _Token(kind, match[0], match[0])
        return _Token("end", "the end", "")

    def take(self) -> str:
        """The value of the next token, which is left behind."""
        value = self.token.value
        self.token = self._next()
        return value

    def side(self) -> _Linear:
        """A sum of terms, up to a comparison or the end."""
        coefs: dict[int, Fraction] = defaultdict(Fraction)
        const, sign = Fraction(0), 1
        while True:
            if self.token.kind == "sign":
                sign *= -1 if self.take() == "-" else 1
            i, c = self._term()
            if i is None:
                const += sign * c
            else:
                coefs[i] += sign * c
            if self.token.kind != "sign":
                return _Linear(dict(coefs), const)
            sign = -1 if self.take() == "-" else 1

    def _term(self) -> tuple[int | None, Fraction]:
        """The feature of a term and its coefficient; None and the number for a number."""
        kind = self.token.kind
        if kind == "number":
            number = self._number()
            if self.token.kind != "factor":
                return None, number
            self._require(self.token.value == "*", "a number divided")
            self.take()
            self._require(self.token.kind == "name", "a number times what is no name")
            return self._feature(), number
        self._require(kind == "name", "no term")
        feature = self._feature()
        if self.token.kind != "factor":
            return feature, Fraction(1)
        factor = self.take()
        self._require(self.token.kind == "number", f"a name before '{factor}' and no number")
        number = self._number()
        if factor == "*":
            return feature, number
        if number == 0:
            raise InputError(f"{_shown(self._text)} divides by zero", expected="another number")
        return feature, 1 / number

    def end(self) -> None:
        """Refuse what follows the last term."""
        if self.token.kind == "open":
            raise InputError(
                f"'{self.token.text}' in {_shown(self._text)} is not a closed constraint",
                expected="<=, >= or ==",
            )
        self._require(self.token.kind == "end", "a term and then what is no sum")

    def _require(self, fine: bool, what: str) -> None:
        if not fine:
            raise InputError(f"{_shown(self.token.text)} in {_shown(self._text)}: {what}",
                             expected=_TERM)

    def _number(self) -> Fraction:
        try:
            return parse_exact(self.take())
        except ValueError as error:
            raise InputError(f"{error} in the constraint", expected="a decimal") from None

    def _feature(self) -> int:
        written, key = self.token.text, self.take()
        try:
            return self._names.one(key)
        except InputError as error:
            hint = "" if written != key else '; a name that is not a word is written x["name"]'
            raise InputError(error.what, expected=error.expected + hint) from None
