"""Exact polynomials in elements of graph nodes: what the terms of a VNN-LIB query are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import gcd, lcm
from typing import TypeAlias

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.formula import Atom, Cell, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense, gather
from verifex.ir.ops import Affine

Monomial: TypeAlias = tuple[Cell, ...]
"""Cells in rising order, once for each power; the empty one is the constant."""

Poly: TypeAlias = dict[Monomial, Fraction]
"""Coefficients; none is zero."""

MAX_DEGREE = 16
MAX_TERMS = 10_000
_EXACT = 2**53
"""Whole numbers up to here are float64."""


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


def product(left: Poly, right: Poly, degrees: Mapping[Cell, int] | None = None) -> Poly:
    """`left * right`; raises UnsupportedError where it gets too big.

    `degrees` are those of the cells that hold polynomials themselves.
    """
    # Before multiplying: the product itself is what would take all memory.
    if len(left) * len(right) > MAX_TERMS:
        raise UnsupportedError(
            f"a product of {len(left)} and {len(right)} terms",
            expected=f"at most {MAX_TERMS} terms",
        )
    out: Poly = {}
    for m, c in left.items():
        for n, d in right.items():
            both = tuple(sorted(m + n)) if m and n else m or n
            _require_degree(sum(degrees.get(c, 1) for c in both) if degrees else len(both))
            out[both] = out.get(both, Fraction(0)) + c * d
    return {m: c for m, c in out.items() if c}


def _require_degree(degree: int) -> None:
    if degree > MAX_DEGREE:
        raise UnsupportedError("a product of too many variables",
                               expected=f"a degree of at most {MAX_DEGREE}")


def _reduced(poly: Poly) -> tuple[Poly, Fraction] | None:
    """A linear form of several terms as a normal form and the number that it is multiplied by.

    All multiples of a form have the same normal form, whose coefficients are float64 (whole numbers
    over a power of two). None where there is none.
    """
    if len(poly) < 2 or any(len(m) > 1 for m in poly):
        return None
    # Scaled so that all multiples of one form look alike: coprime whole numbers, the last positive.
    bottom = lcm(*(c.denominator for c in poly.values()))
    whole = {m: int(c * bottom) for m, c in sorted(poly.items())}
    most = max(abs(n) for n in whole.values()) // gcd(*whole.values())
    if most >= _EXACT:
        return None
    common = gcd(*whole.values()) * (1 if whole[max(whole)] > 0 else -1)
    size = 2 ** (most.bit_length() - 1)
    return ({m: Fraction(n // common, size) for m, n in whole.items()},
            Fraction(common * size, bottom))


class Forms:
    """Polynomials as linear forms over a growing graph: each monomial becomes `Mul` nodes."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.made: dict[Monomial, Cell] = {}
        self.degrees: dict[Cell, int] = {}

    def product(self, factors: Iterable[Poly]) -> Poly:
        """The product of polynomials.

        Two factors that are the same linear form up to a number become the square of a node, since
        bounds know that it is not negative. They would not see that in `a^2 - 2ab + b^2`.
        """
        out, parts = constant(Fraction(1)), list[Poly]()
        single: dict[tuple[tuple[Monomial, Fraction], ...], Poly] = {}
        for poly in factors:
            found = _reduced(poly)
            if found is None:
                parts.append(poly)
                continue
            form, factor = found
            out = product(out, constant(factor))
            key = tuple(form.items())
            if single.pop(key, None) is None:
                single[key] = form
            else:
                parts.append(self._square(form))
        for poly in (*parts, *single.values()):
            out = product(out, poly, self.degrees)
        return out

    def _square(self, form: Poly) -> Poly:
        """The square of a linear form of float64 coefficients, as one element."""
        degree = 2 * max(self.degrees.get(m[0], 1) for m in form if m)
        _require_degree(degree)
        coefs: dict[int, dict[int, float]] = {}
        for m, c in form.items():
            if m:
                coefs.setdefault(m[0][0], {})[m[0][1]] = float(c)
        b = self.builder
        picked = [b.affine(gather(b.shape(n), list(row)), n) for n, row in coefs.items()]
        maps = tuple(dense([list(row.values())]) for row in coefs.values())
        bias = np.array([float(form[()])]) if () in form else None
        line = b.add(Affine(maps, bias), *picked)
        cell = (b.mul(line, line), 0)
        self.degrees[cell] = degree
        return variable(cell)

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
            # x x y y splits into xy and xy: a square has bounds that know its sign.
            if len(set(monomial)) < len(monomial) and monomial[::2] == monomial[1::2]:
                left = right = monomial[::2]
            else:
                half = len(monomial) // 2
                left, right = monomial[:half], monomial[half:]
            a, b = self._cell(left)[0], self._cell(right)[0]
            found = self.made[monomial] = (self.builder.mul(a, b), 0)
        return found
