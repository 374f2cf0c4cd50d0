"""Linear constraints such as "0 <= age - 2*x[3] <= 0.3": a grammar of sums and comparisons.

    constraint = sum, { ("<=" | ">=" | "=="), sum }          at least one comparison
    sum        = term, { ("+" | "-"), term }
    term       = [ "+" | "-" ], ( number | name | number * name | name * number | name / number )

A text is read from left to right: a term, then a link (a comparison, a sign or the end), and so on.
What is neither is refused with its place, so there is no text of which a part goes unread.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from ..failures import Bad, need
from ..graph.forms import ONE, Form, gap, total
from .names import ElementNames
from .toml_values import NUMBER, exact

NAME = r"""x\[[ \t]*(?:"[^"]*"|'[^']*')[ \t]*\]|[^\W\d]\w*(?:\[[^\[\]"']*\])?"""
TERM = re.compile(
    r"[ \t]*(?P<sign>[+-]?)[ \t]*"
    rf"(?:(?P<before>{NUMBER})(?:[ \t]*\*[ \t]*(?P<times>{NAME}))?"  # 2, 2 * age
    rf"|(?P<name>{NAME})(?:[ \t]*(?P<by>[*/])[ \t]*(?P<after>{NUMBER}))?)"  # age, age * 2, age / 2
    r"[ \t]*"
)
LINK = re.compile(r"<=|>=|==|[+-]|\Z")
QUOTED_NAME = re.compile(r"""x\[[ \t]*(["'])(.*)\1[ \t]*\]""", re.DOTALL)
LONGEST = 20_000


class ParsedConstraint(NamedTuple):
    """The sums of a constraint, each a list of (form, factor), and the comparisons between them."""

    sums: list[list[tuple[Form, Fraction]]]
    comparisons: list[str]


class ConstraintReader:
    """Reads constraints about features, of which `flat_inputs` are the forms."""

    def __init__(self, features: ElementNames, flat_inputs: Sequence[Form]) -> None:
        self.features = features
        self.flat_inputs = flat_inputs

    def rows(self, source: str) -> list[Form]:
        """Forms that a constraint keeps at most 0, comparison by comparison.

        a <= b is a - b <= 0, a >= b is b - a <= 0, and a == b is both, in this order.
        """
        need(len(source) <= LONGEST, "a constraint too long")
        parsed = self.parsed(source)
        need(parsed.comparisons, "a constraint compares nothing")
        rows: list[Form] = []
        sides = pairwise(total(terms) for terms in parsed.sums)
        for mark, (left, right) in zip(parsed.comparisons, sides, strict=True):
            coefficients, _ = gap(left, right)
            need(coefficients, "a constraint about no feature")
            if mark in ("<=", "=="):
                rows.append(gap(left, right))
            if mark in (">=", "=="):
                rows.append(gap(right, left))
        return rows

    def parsed(self, source: str) -> ParsedConstraint:
        found = ParsedConstraint([[]], [])
        place, link = 0, "+"
        while link:
            term = TERM.match(source, place)
            if term is None:
                raise Bad(unread(source, place, "term"))
            after = LINK.match(source, term.end())
            if after is None:
                raise Bad(unread(source, term.end(), "comparison or sum"))
            form, factor = self.term(term)
            found.sums[-1].append((form, -factor if link == "-" else factor))
            place, link = after.end(), after[0]
            if link in ("<=", ">=", "=="):
                found.comparisons.append(link)
                found.sums.append([])
        return found

    def term(self, term: re.Match[str]) -> tuple[Form, Fraction]:
        """The feature of a term as a form (1 for a number alone), and its factor."""
        sign = -1 if term["sign"] == "-" else 1
        number = exact(term["before"] or term["after"] or 1)
        name = term["times"] or term["name"]
        if name is None:
            return ({}, ONE), sign * number
        if term["by"] == "/":
            need(number, "division by zero")
            number = Fraction(1, number)
        return self.flat_inputs[self.feature(name)], sign * number

    def feature(self, name: str) -> int:
        """The one feature of a name; between quotes everything is taken as it is written."""
        quoted = QUOTED_NAME.fullmatch(name)
        found = self.features.find(quoted[2] if quoted else name)
        need(len(found) == 1, f"{name!r:.40} names {len(found)} features")
        return found[0]


def unread(source: str, place: int, expected: str) -> str:
    return f"character {place + 1}: {source[place : place + 20]!r} is no {expected}"
