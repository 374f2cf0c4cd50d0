"""Exact numbers and names as a spec file writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction

LONGEST = 400
"""Digits of a number that is written; longer ones are cut by `short`."""


def decimal(value: Fraction) -> str | None:
    """The value as a finite decimal without an exponent; None where it has none."""
    bottom, twos, fives = value.denominator, 0, 0
    while bottom % 2 == 0:
        bottom, twos = bottom // 2, twos + 1
    while bottom % 5 == 0:
        bottom, fives = bottom // 5, fives + 1
    if bottom != 1:
        return None
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def number(value: Fraction) -> str:
    """A TOML number where a short decimal is exact, else a string."""
    text = decimal(value)
    if text is not None and len(text) <= 20:
        return text
    if text is not None and len(text) <= 60:
        return f'"{text}"'
    return f'"{value.numerator}/{value.denominator}"'


def numbers(values: Iterable[Fraction]) -> str:
    return f"[{', '.join(map(number, values))}]"


def text(value: str) -> str:
    return json.dumps(value)


def short(value: Fraction, digits: int = 40) -> Fraction:
    """The value itself if it can be written, else cut to so many digits."""
    if len(str(value.numerator)) + len(str(value.denominator)) <= LONGEST:
        return value
    return cut(value, digits)


def cut(value: Fraction, digits: int) -> Fraction:
    """The value cut to a decimal of so many digits."""
    if value == 0:
        return value
    scale = 10**digits
    while abs(value) * scale < 10 ** (digits - 1):
        scale *= 10
    return Fraction(int(value * scale), scale)
