"""Enclosures of logits of probabilities, against mpmath at 1000 digits."""

from __future__ import annotations

import random
from fractions import Fraction

import mpmath
import pytest

from verifex.semantics.support.logarithms import (
    GRID,
    exp_bounds,
    log_bounds,
    log_odds,
    log_odds_of_log,
)


def exact(number: Fraction) -> mpmath.mpf:
    return mpmath.mpf(number.numerator) / number.denominator


def probabilities() -> list[Fraction]:
    rng = random.Random(1)
    found = [Fraction(rng.randint(1, 10**6 - 1), 10**6) for _ in range(100)]
    found += [Fraction(1, 10**k) for k in (1, 9, 30, 300)]
    found += [Fraction(1, 2) + Fraction(s, 10**k) for k in (2, 20, 60) for s in (1, -1)]
    return found + [1 - q for q in found]


@pytest.fixture(autouse=True)
def digits() -> None:
    mpmath.mp.dps = 1000


def test_the_ends_are_the_neighbours_in_the_grid() -> None:
    for q in probabilities():
        low, high = log_odds(q)
        true = mpmath.log(exact(q / (1 - q)))
        assert exact(low) < true < exact(high)
        assert high - low == Fraction(1, 1 << GRID)
        assert (low * (1 << GRID)).denominator == 1
        assert log_odds(1 - q) == (-high, -low)


def test_a_half_is_zero() -> None:
    assert log_odds(Fraction(1, 2)) == (0, 0)


def test_logarithms_of_probabilities() -> None:
    rng = random.Random(2)
    numbers = [Fraction(-rng.randint(1, 10**6), 10**5) for _ in range(60)]
    for t in [*numbers, Fraction(-1000), Fraction(-1, 10**30), Fraction(-7, 10)]:
        low, high = log_odds_of_log(t)
        true = -mpmath.log(mpmath.exp(exact(-t)) - 1)
        assert exact(low) < true < exact(high)
        assert high - low == Fraction(1, 1 << GRID)


@pytest.mark.parametrize("bits", [16, 64, 300])
def test_bounds_enclose_and_are_near(bits: int) -> None:
    rng = random.Random(bits)
    for _ in range(50):
        q = Fraction(rng.randint(1, 10**9), rng.randint(1, 10**9))
        low, high = log_bounds(q, bits)
        assert exact(low) <= mpmath.log(exact(q)) <= exact(high)
        assert high - low <= Fraction(200 * bits, 1 << bits)
        r = Fraction(rng.randint(0, 10**7), 10**6)
        low, high = exp_bounds(r, bits)
        assert exact(low) <= mpmath.exp(exact(r)) <= exact(high)
        assert high - low <= low * Fraction(200 * bits, 1 << bits)
