"""Linear forms: sums of coefficient * element of a node, plus a constant.

All values that a claim speaks of are such forms, with fractions for coefficients. Nothing is ever
rounded here, and a coefficient that becomes zero is dropped, so that a form without references is
a constant and is known as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

ZERO, ONE = Fraction(0), Fraction(1)

Reference = tuple[int, int]
"""A node, and the place of an element in it."""

Form = tuple[dict[Reference, Fraction], Fraction]
"""Coefficients by reference, none of them zero; the constant."""

Number = int | Fraction


def total(terms: Iterable[tuple[Form, Number]], const: Number = ZERO) -> Form:
    """The sum of factor * form over (form, factor) pairs, plus a constant."""
    sums: dict[Reference, Fraction] = {}
    for (coefficients, constant), factor in terms:
        if not factor:
            continue
        if constant:
            const += constant * factor
        scale = factor if isinstance(factor, Fraction) else Fraction(factor)
        for reference, coefficient in coefficients.items():
            # Products with 1, the most frequent coefficient, are not worth their time.
            term = scale if coefficient is ONE else (
                coefficient if factor == 1 else coefficient * scale)
            sums[reference] = sums[reference] + term if reference in sums else term
    return {reference: value for reference, value in sums.items() if value}, Fraction(const)


def gap(minuend: Form, subtrahend: Form) -> Form:
    """One form minus another."""
    return total([(minuend, 1), (subtrahend, -1)])


def bits(number: Fraction) -> int:
    """How long a fraction is: the bits of its numerator and of its denominator."""
    return number.numerator.bit_length() + number.denominator.bit_length()


def digits(form: Form) -> int:
    """Bits of the longest number in a form."""
    coefficients, constant = form
    return max(map(bits, (constant, *coefficients.values())))
