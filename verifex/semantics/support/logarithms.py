"""Logits of probabilities as two rationals around a number that is none.

For a rational q from 0 to 1, other than 1/2, log(q / (1 - q)) is irrational (the logarithm of an
algebraic number but 0 and 1 is transcendental, by Lindemann), and so is -log(exp(-t) - 1) for every
rational t below 0. So each lies strictly between two neighbours in the grid of multiples of 2^-64,
which are found here by outward-rounded arithmetic on integers, and are the same whoever finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import floor

GRID = 64
"""Bits behind the point of the two ends."""

LEAST = -1000
"""The least logarithm of a probability that a threshold may be: exp of more takes long numbers."""

Ends = tuple[Fraction, Fraction]
"""Two numbers with an irrational one strictly between them."""


@lru_cache(maxsize=1024)
def log_odds(probability: Fraction) -> Ends:
    """log(q / (1 - q)) for 0 < q < 1, which is where a sigmoid is q; 0 twice for q = 1/2."""
    odds = probability / (1 - probability)
    return (odds - 1, odds - 1) if odds == 1 else _neighbours(lambda bits: log_bounds(odds, bits))


@lru_cache(maxsize=1024)
def log_odds_of_log(logarithm: Fraction) -> Ends:
    """-log(exp(-t) - 1) for t < 0, which is where the logarithm of a sigmoid is t."""

    def bounds(bits: int) -> Ends | None:
        low, high = exp_bounds(-logarithm, bits)
        if low <= 1:
            return None
        return -log_bounds(high - 1, bits)[1], -log_bounds(low - 1, bits)[0]

    return _neighbours(bounds)


def _neighbours(bounds: Callable[[int], Ends | None]) -> Ends:
    """The neighbours in the grid of a number that `bounds` encloses with ever more bits."""
    bits = 2 * GRID
    while True:
        found = bounds(bits)
        if found is not None:
            below, last = (floor(end * (1 << GRID)) for end in found)
            if below == last:
                return Fraction(below, 1 << GRID), Fraction(below + 1, 1 << GRID)
        bits *= 2


def log_bounds(number: Fraction, bits: int) -> Ends:
    """Bounds of log(number) for a number above 0, some 2^-bits apart for moderate ones."""
    if number < 1:
        low, high = log_bounds(1 / number, bits)
        return -high, -low
    power = number.numerator.bit_length() - number.denominator.bit_length()
    power -= number < Fraction(2) ** power
    rest = number / Fraction(2) ** power  # from 1 to 2
    two, one = _twice_artanh(Fraction(1, 3), bits), _twice_artanh((rest - 1) / (rest + 1), bits)
    least, most = (power * a + b for a, b in zip(two, one, strict=True))
    return Fraction(least, 1 << bits), Fraction(most, 1 << bits)


def _twice_artanh(small: Fraction, bits: int) -> tuple[int, int]:
    """Bounds of log((1 + u) / (1 - u)) = 2 (u + u^3 / 3 + u^5 / 5 + ...), 0 <= u <= 1/3, in units
    of 2^-bits.

    Sound: all terms are positive. Below, each is rounded down and the rest is left out. Above, each
    is rounded up, and what is left out is less than its first power times 1 / (1 - u^2) <= 9/8.
    """
    scaled, one = small * (1 << bits), 1 << bits
    power, total, odd = floor(scaled), 0, 1
    square = power * power >> bits
    while power:
        total, power, odd = total + power // odd, power * square >> bits, odd + 2
    upper = -floor(-scaled)
    square, above, odd = -(-upper * upper // one), 0, 1
    while upper > 1:
        above, upper, odd = above - (-upper // odd), -(-upper * square // one), odd + 2
    return 2 * total, 2 * (above + 2 * upper)


def exp_bounds(number: Fraction, bits: int) -> Ends:
    """Bounds of exp(number) for a number of at least 0.

    exp(r) is exp(r / 2^k)^(2^k); the series of exp(y), y <= 1/2, has positive terms, of which those
    from the n-th on add up to less than twice the n-th.
    """
    halvings = max(0, number.numerator.bit_length() - number.denominator.bit_length() + 2)
    bits += 2 * halvings
    scaled, one = number / (1 << halvings) * (1 << bits), 1 << bits
    argument, term, low, count = floor(scaled), one, 0, 1
    while term:
        low, term, count = low + term, (term * argument >> bits) // count, count + 1
    argument, term, high, count = -floor(-scaled), one, 0, 1
    while term > 1:
        high, term, count = high + term, -(-term * argument // (one * count)), count + 1
    high += 2 * term
    for _ in range(halvings):
        low, high = low * low >> bits, -(-high * high // one)
    return Fraction(low, one), Fraction(high, one)
