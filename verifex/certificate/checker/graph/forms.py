"""Linear forms of the elements of a graph."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

ZERO, ONE = Fraction(0), Fraction(1)
Form = tuple[dict[tuple[int, int], Any], Any]  # (node, element) -> coefficient; constant


def total(terms: Iterable[tuple[Form, Any]], const: Any = ZERO) -> Form:
    """sum of factor * form + const."""
    out: dict[tuple[int, int], Any] = {}
    for (refs, c), f in terms:
        const += c * f if f and c else 0
        for r, v in refs.items() if f else ():
            term = f if v is ONE else v if f == 1 else v * f
            out[r] = out[r] + term if r in out else term
    return {r: v for r, v in out.items() if v}, Fraction(const)


def digits(form: Form) -> int:
    """Bits of the longest number in a form."""
    sizes = [v.numerator.bit_length() + v.denominator.bit_length()
             for v in (form[1], *form[0].values())]
    return max(sizes, default=0)


def gap(a: Form, b: Form) -> Form:
    return total([(a, 1), (b, -1)])
