"""Numbers rounded to binary floats, where the ONNX standard or the package rounds one."""

from __future__ import annotations

import math
from fractions import Fraction

# Binary floats: bits of the significand, and the exponent of the least number above 0.
FLOAT32_BITS, FLOAT32_LEAST = 24, -149
FLOAT64_BITS, FLOAT64_LEAST = 53, -1074
FLOAT16_BITS, FLOAT16_LEAST = 11, -24
BFLOAT16_BITS, BFLOAT16_LEAST = 8, -133


def nearest(value: Fraction, bits: int, low: int) -> Fraction:
    """The nearest binary float of so many bits with least exponent `low`, ties to even.

    The spacing of the floats around the value is 2^exponent; `round` takes ties to even. There is
    no greatest float: who may leave the range compares with it.
    """
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    # 2^(exponent - 1) < |value| < 2^(exponent + 1): one comparison tells which power is below it.
    exponent += abs(value) >= Fraction(2) ** exponent
    exponent = max(exponent - bits, low)
    return round(value * Fraction(2) ** -exponent) * Fraction(2) ** exponent


def over_root(scale: Fraction, square: Fraction) -> Fraction:
    """scale / sqrt(square), rounded once to the nearest float64.

    Its size is the root of scale^2 / square, of which at least 64 bits are computed: `root`, in
    units of 2^-shift. Sound: the true root is `root` or lies strictly between it and the next unit.
    A float64 has 53 bits, so neither a float64 nor a tie of two lies strictly between. So the true
    root is rounded as the middle between them is, and as `root` where it is exact.
    """
    quotient = Fraction(scale * scale, square)
    shift = max(0, 128 - quotient.numerator.bit_length() + quotient.denominator.bit_length())
    whole, rest = divmod(quotient.numerator << 2 * shift, quotient.denominator)
    root = math.isqrt(whole)
    beyond = rest > 0 or root**2 < whole
    size = nearest(Fraction(2 * root + beyond, 2 << shift), FLOAT64_BITS, FLOAT64_LEAST)
    return -size if scale < 0 else size


def as_float32(text: str) -> Fraction:
    """The float32 nearest to a decimal."""
    return nearest(Fraction(text), FLOAT32_BITS, FLOAT32_LEAST)


# Attributes of ONNX are float32, and so are their values where they are left out.
ALPHA, EPSILON = as_float32("0.01"), as_float32("0.00001")
"""The slope of LeakyRelu, and what BatchNormalization adds to a variance."""
