"""Exact arrays: floats in and out without a change, the tightest floats around a rational."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import fractions, wild
from verifex.ir.exact import ExactArray, as_exact, as_float, content_key, numbers

finite = st.one_of(
    wild, st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([np.finfo(float).max, -np.finfo(float).max, 5e-324]),
)
rationals = st.one_of(
    fractions, st.fractions(),
    st.builds(lambda f, e: Fraction(f) * Fraction(2) ** e, fractions, st.integers(-1100, 1100)),
)
lists = st.lists(rationals, max_size=5)


@given(values=st.lists(finite, max_size=6))
def test_floats_come_back_as_they_were(values: list[float]) -> None:
    exact = ExactArray.from_float(values)
    assert exact.fractions() == [Fraction(v) for v in values]
    assert exact.to_float().tolist() == values
    low, high = exact.float_bounds()
    assert low.tolist() == values
    assert high.tolist() == values
    assert exact.den & (exact.den - 1) == 0


@given(values=lists)
def test_float_bounds_are_the_nearest_floats_around(values: list[Fraction]) -> None:
    exact = ExactArray.from_numbers(values)
    low, high = exact.float_bounds()
    for v, a, b in zip(values, low.tolist(), high.tolist(), strict=True):
        assert a == -math.inf or Fraction(a) <= v
        assert b == math.inf or v <= Fraction(b)
        assert a == b or b == math.nextafter(a, math.inf)
        assert (a == b) == (math.isfinite(a) and Fraction(a) == v)


@given(values=lists)
def test_rounding_is_to_nearest(values: list[Fraction]) -> None:
    for v, f in zip(values, ExactArray.from_numbers(values).to_float().tolist(), strict=True):
        if math.isinf(f):
            assert abs(v) > Fraction(np.finfo(float).max)
            continue
        off = abs(Fraction(f) - v)
        for other in (math.nextafter(f, math.inf), math.nextafter(f, -math.inf)):
            assert math.isinf(other) or off <= abs(Fraction(other) - v)


@given(a=lists, b=lists, factor=fractions)
def test_arithmetic_is_that_of_fractions(
    a: list[Fraction], b: list[Fraction], factor: Fraction
) -> None:
    n = min(len(a), len(b))
    x, y = ExactArray.from_numbers(a[:n]), ExactArray.from_numbers(b[:n])
    pairs = list(zip(a[:n], b[:n], strict=True))
    assert (x + y).fractions() == [p + q for p, q in pairs]
    assert (x - y).fractions() == [p - q for p, q in pairs]
    assert (x * y).fractions() == [p * q for p, q in pairs]
    assert (-x).fractions() == [-p for p in a[:n]]
    assert x.scaled(factor).fractions() == [factor * p for p in a[:n]]


@given(values=st.lists(st.one_of(finite, fractions), min_size=4, max_size=4))
def test_shapes_and_mixed_numbers(values: list[float | Fraction]) -> None:
    exact = ExactArray.from_numbers(values, (2, 2))
    assert exact.shape == (2, 2)
    assert exact.reshape((4,)).fractions() == [Fraction(v) for v in values]
    assert numbers(exact) == [Fraction(v) for v in values]


@given(values=st.lists(wild, min_size=1, max_size=4))
def test_content_keys_tell_numbers_apart(values: list[float]) -> None:
    array = np.array(values)
    assert content_key(array) == content_key(array.copy())
    assert content_key(array) != content_key(array.reshape(1, -1))
    other = array.copy()
    other[0] = np.nextafter(other[0], -np.inf)
    assert content_key(other) != content_key(array)
    assert content_key(as_exact(array)) == content_key(as_exact(array.copy()))


def test_constants_are_read_exactly_and_rounded_once() -> None:
    third = ExactArray.from_numbers([Fraction(1, 3)])
    assert as_exact(third) is third
    assert as_float(third).tolist() == [1 / 3]
    assert as_exact(np.array([0.1])).fractions() == [Fraction(0.1)]
    assert content_key(np.array([0.0])) == content_key(np.array([-0.0]))


def test_float32_values_are_their_own() -> None:
    tenth = np.float32(0.1)
    assert ExactArray.from_float([tenth]).fractions() == [Fraction(float(tenth))] != [Fraction(0.1)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_exact_value(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or an infinity"):
        ExactArray.from_float([1.0, bad])


def test_malformed_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="denominator 0"):
        ExactArray(np.array([1], dtype=object), 0)
    with pytest.raises(ValueError, match="dtype float64"):
        ExactArray(np.array([1.0]), 1)


def test_empty_arrays() -> None:
    assert ExactArray.from_float(np.zeros((0, 3))).shape == (0, 3)
    assert ExactArray.from_numbers([]).fractions() == []
