"""Where a sigmoid, or its logarithm, takes a rational value: between two multiples of 2^-64.

sigmoid(m) is q where exp(m) = q / (1 - q); log(sigmoid(m)) is t where exp(-m) = exp(-t) - 1. For
rational q from 0 to 1 but 1/2, and for rational t below 0, no rational m is such a place: exp of an
algebraic number but 0 is transcendental (Lindemann), and so is exp(-t) - 1 no exp of a rational
(Lindemann and Weierstrass). So a comparison with a rational number has an answer, which bounds of
exp give once they are near enough; the place is then found by halving.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ...failures import need

GRID = 1 << 64
LEAST = -1000
"""The least logarithm of a probability that is read: exp of more takes long numbers."""

Ends = tuple[Fraction, Fraction]
"""Two numbers with a third between them; the same number twice if it is that."""


def where_sigmoid_is(share: Fraction) -> Ends:
    """The ends around m with sigmoid(m) = share, from 0 to 1."""
    odds = Fraction(share, 1 - share)
    if odds == 1:
        return Fraction(0), Fraction(0)
    return around(lambda m: decided(lambda bits: less(exponential(m, bits), (odds, odds))))


def where_log_sigmoid_is(logarithm: Fraction) -> Ends:
    """The ends around m with log(sigmoid(m)) = logarithm, below 0."""
    need(logarithm >= LEAST, f"unsupported: a logarithm of a probability below {LEAST}")

    def is_below(m: Fraction) -> bool:
        """m is below the place where exp(-m) is above exp(-t) - 1."""
        def answer(bits: int) -> bool | None:
            low, high = exponential(-m, bits)
            return less(exponential(-logarithm, bits), (low + 1, high + 1))
        return decided(answer)

    return around(is_below)


def decided(answer: Callable[[int], bool | None]) -> bool:
    """The answer of a comparison that is open until the numbers have bits enough."""
    bits = 128
    while True:
        found = answer(bits)
        if found is not None:
            return found
        bits *= 2


def less(first: Ends, second: Ends) -> bool | None:
    """Whether a number is less than another; None where their bounds do not say."""
    if first[1] < second[0]:
        return True
    return False if first[0] > second[1] else None


def around(is_below: Callable[[Fraction], bool]) -> Ends:
    """The neighbouring multiples of 2^-64 around a place, from which numbers are below it."""
    low, high = -GRID, GRID
    while not is_below(Fraction(low, GRID)):
        low *= 2
    while is_below(Fraction(high, GRID)):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        if is_below(Fraction(middle, GRID)):
            low = middle
        else:
            high = middle
    return Fraction(low, GRID), Fraction(high, GRID)


def exponential(number: Fraction, bits: int) -> Ends:
    """Bounds of exp of a rational number, of so many bits or a few less.

    exp(-r) = 1 / exp(r), and exp(r) = exp(r / 2^k)^(2^k). Of the series of exp(y), 0 <= y <= 1/2,
    all terms are positive, and each is at most half of the one before: what comes after one is
    at most that one. Rounded down throughout it is a lower bound, rounded up an upper one.
    """
    if number < 0:
        low, high = exponential(-number, bits)
        return Fraction(1, high), Fraction(1, low)
    halvings = 0
    while number > Fraction(1 << halvings, 2):
        halvings += 1
    unit = 1 << (bits + 2 * halvings)
    argument = Fraction(number * unit, 1 << halvings)
    least, most = series(argument, unit, rounded_down)[0], sum(series(argument, unit, rounded_up))
    for _ in range(halvings):
        least, most = rounded_down(least * least, unit), rounded_up(most * most, unit)
    return Fraction(least, unit), Fraction(most, unit)


def series(argument: Fraction, unit: int, rounded: Callable[[int, int], int]) -> tuple[int, int]:
    """In units of 1 / unit: the terms 1 + y + y^2 / 2 + ... that are above one unit, each rounded,
    and twice the next one, which is at least all that follow."""
    small = rounded(argument.numerator, argument.denominator)
    term, found, count = unit, 0, 1
    while term > 1:
        found, term, count = found + term, rounded(term * small, unit * count), count + 1
    return found, 2 * term


def rounded_down(number: int, divisor: int) -> int:
    return number // divisor


def rounded_up(number: int, divisor: int) -> int:
    return -(-number // divisor)
