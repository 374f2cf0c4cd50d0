"""Exact polynomials in elements of graph nodes: what the terms of a VNN-LIB query are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypeAlias

from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import Atom, Cell, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import gather

Monomial: TypeAlias = tuple[Cell, ...]
"""Cells in rising order, once for each power; the empty one is the constant."""

Poly: TypeAlias = dict[Monomial, Fraction]
"""Coefficients; none is zero."""

MAX_DEGREE = 16
MAX_TERMS = 10_000


def constant(value: Fraction) -> Poly:
    """The constant polynomial."""
    return {(): value} if value else {}


def variable(cell: Cell) -> Poly:
    """One element of a node."""
    return {(cell,): Fraction(1)}


def total(parts: Iterable[tuple[Poly, int]]) -> Poly:
    """`sum factor * part`."""
    out: Poly = {}
    for part, factor in parts:
        for monomial, c in part.items():
            known, c = out.get(monomial), c if factor == 1 else -c if factor == -1 else factor * c
            out[monomial] = c if known is None else known + c
    return {m: c for m, c in out.items() if c}


def product(a: Poly, b: Poly) -> Poly:
    """`a * b`; raises UnsupportedError where it gets too big."""
    if len(a) * len(b) > MAX_TERMS:
        raise UnsupportedError(
            f"a product of {len(a)} and {len(b)} terms", expected=f"at most {MAX_TERMS} terms"
        )
    out: Poly = {}
    for m, c in a.items():
        for n, d in b.items():
            both = tuple(sorted(m + n)) if m and n else m or n
            if len(both) > MAX_DEGREE:
                raise UnsupportedError("a product of too many variables",
                                       expected=f"a degree of at most {MAX_DEGREE}")
            out[both] = out.get(both, Fraction(0)) + c * d
    return {m: c for m, c in out.items() if c}


class Forms:
    """Polynomials as linear forms over a growing graph: each monomial becomes `Mul` nodes."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.made: dict[Monomial, Cell] = {}

    def form(self, poly: Mapping[Monomial, Fraction]) -> Form:
        """The polynomial as a linear form of graph elements."""
        const = poly.get((), Fraction(0))
        terms: dict[Cell, Fraction] = {}
        for monomial, c in poly.items():
            if monomial:
                cell = monomial[0] if len(monomial) == 1 else self._cell(monomial)
                terms[cell] = terms[cell] + c if cell in terms else c
        return Form.of(terms, const)

    def atom(self, poly: Mapping[Monomial, Fraction], strict: bool) -> Atom:
        """`poly >= 0`, or `poly > 0`."""
        return Atom(self.form(poly), strict)

    def _cell(self, monomial: Monomial) -> Cell:
        """A node that holds the product: halves multiplied, so that squares stay squares."""
        if len(monomial) == 1:
            node, index = monomial[0]
            shape = self.builder.shape(node)
            return self.builder.affine(gather(shape, [index]), node), 0
        found = self.made.get(monomial)
        if found is None:
            if len(set(monomial)) < len(monomial) and monomial[::2] == monomial[1::2]:
                left = right = monomial[::2]
            else:
                half = len(monomial) // 2
                left, right = monomial[:half], monomial[half:]
            a, b = self._cell(left)[0], self._cell(right)[0]
            found = self.made[monomial] = (self.builder.mul(a, b), 0)
        return found


def require_linear(poly: Poly) -> None:
    """Raise where the polynomial is of degree 2 or more."""
    if any(len(m) > 1 for m in poly):
        raise InputError("a product of variables", expected="a linear term")
