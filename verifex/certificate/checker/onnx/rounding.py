"""Numbers rounded to binary floats."""

from __future__ import annotations

import math
from fractions import Fraction


def nearest(v: Fraction, bits: int, low: int) -> Fraction:
    """The nearest binary float of so many bits with least exponent `low`, ties to even."""
    e = abs(v.numerator).bit_length() - v.denominator.bit_length()
    e = max(e + (abs(v) >= Fraction(2) ** e) - bits, low)
    return round(v * Fraction(2) ** -e) * Fraction(2) ** e


def over_root(s: Fraction, v: Fraction) -> Fraction:
    """s / sqrt(v), rounded once to the nearest float64."""
    square = Fraction(s * s, v)
    shift = max(0, 128 - square.numerator.bit_length() + square.denominator.bit_length())
    whole, rest = divmod(square.numerator << 2 * shift, square.denominator)
    root = math.isqrt(whole)
    # The true root is `root` or lies strictly between it and the next: nothing can be a tie.
    found = nearest(Fraction(2 * root + (rest > 0 or root**2 < whole), 2 << shift), 53, -1074)
    return -found if s < 0 else found


ALPHA, EPSILON = (nearest(Fraction(v), 24, -149) for v in ("0.01", "0.00001"))
