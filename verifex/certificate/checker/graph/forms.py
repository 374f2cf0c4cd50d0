"""Linear forms: sums of coefficient * element of a node, plus a constant.

All values that a claim speaks of are such forms, with fractions for coefficients. Nothing is ever
rounded here, and a coefficient that becomes zero is dropped, so that a form without references is
a constant and is known as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

ZERO, ONE = Fraction(0), Fraction(1)

Reference = tuple[int, int]
"""A node, and the place of an element in it."""

Form = tuple[dict[Reference, Any], Any]
"""Coefficients by reference; the constant. Both are Fractions (or ints, on the way)."""


def total(terms: Iterable[tuple[Form, Any]], const: Any = ZERO) -> Form:
    """The sum of factor * form over (form, factor) pairs, plus a constant."""
    sums: dict[Reference, Any] = {}
    for (coefficients, constant), factor in terms:
        if not factor:
            continue
        if constant:
            const += constant * factor
        for reference, coefficient in coefficients.items():
            # Products with 1, the most frequent coefficient, are not worth their time.
            term = factor if coefficient is ONE else (
                coefficient if factor == 1 else coefficient * factor)
            sums[reference] = sums[reference] + term if reference in sums else term
    return {reference: value for reference, value in sums.items() if value}, Fraction(const)


def gap(minuend: Form, subtrahend: Form) -> Form:
    """One form minus another."""
    return total([(minuend, 1), (subtrahend, -1)])


def bits(number: Any) -> int:
    """How long a fraction is: the bits of its numerator and of its denominator."""
    return int(number.numerator.bit_length() + number.denominator.bit_length())


def digits(form: Form) -> int:
    """Bits of the longest number in a form."""
    coefficients, constant = form
    return max(map(bits, (constant, *coefficients.values())))
