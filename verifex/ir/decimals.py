"""Reading and showing exact numbers: `0.1` is one tenth, `1/3` is one third, nothing is rounded."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from fractions import Fraction

MAX_CHARACTERS = 1_000
MAX_EXPONENT = 1_000
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
"""The checker's language of decimals too: ASCII digits, no underscores."""


def parse_exact(text: str) -> Fraction:
    """The exact value of a decimal such as `-1.5e-3`, or of a quotient `p/q` of two of them.

    Spaces and tabs may stand around a decimal. Raises ValueError, with a short reason, for anything
    else: NaN, infinities, a zero divisor, digits of other scripts, and numbers so long or with
    exponents so large that their exact value would not fit in memory.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a number of {len(text)} characters")
    top, slash, bottom = text.partition("/")
    if not slash:
        return _decimal(text)
    divisor = _decimal(bottom)
    if divisor == 0:
        raise ValueError("division by zero")
    return _decimal(top) / divisor


def _decimal(text: str) -> Fraction:
    text = text.strip(" \t")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("an empty text" if not text else f"{text[:40]!r} is not a finite number")
    if abs(int(match[1] or "0")) > MAX_EXPONENT:
        raise ValueError(f"an exponent beyond {MAX_EXPONENT}")
    return Fraction(text)


def is_decimal(text: str) -> bool:
    """Whether a text is a decimal that `parse_exact` takes, without spaces and no quotient."""
    match = _DECIMAL.fullmatch(text)
    short = len(text) <= MAX_CHARACTERS
    return match is not None and short and abs(int(match[1] or "0")) <= MAX_EXPONENT


def show_exact(value: Fraction) -> str:
    """A number for messages: as a decimal where a short one is exact, else as `p/q` or rounded."""
    if value.denominator == 1 and abs(value) < 10**20:
        return str(value.numerator)
    try:
        near = repr(float(value))
    except OverflowError:
        return "a number beyond 1e308"
    if Fraction(near) == value:
        return near
    text = f"{value.numerator}/{value.denominator}"
    return text if len(text) <= 24 else f"about {near}"


def finite_decimal(value: Fraction) -> str:
    """A number as an exact decimal without an exponent, such as `-0.5` or `3.0`.

    Raises ValueError where it has none that ends.
    """
    bottom = value.denominator
    twos = (bottom & -bottom).bit_length() - 1
    rest, fives = bottom >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        raise ValueError("no finite decimal")
    places = max(twos, fives)
    digits = value.numerator * 10**places // bottom  # exact: the divisor is 2**twos * 5**fives
    with localcontext() as context:  # Decimal, since int to str has a limit of its own
        context.prec = digits.bit_length() // 3 + 2
        text = format(Decimal(digits).scaleb(-places), "f")
    return text if places else text + ".0"
