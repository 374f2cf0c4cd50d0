"""Regions: what they contain, exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import fractions
from verifex.errors import InputError
from verifex.ir.region import Ball, LinearRow, Region

F = Fraction


def unit(n: int = 2, **cuts: object) -> Region:
    return Region((F(-1),) * n, (F(1),) * n, **cuts)  # type: ignore[arg-type]


def test_the_ends_of_a_box_are_inside() -> None:
    assert unit().contains([F(-1), F(1)])
    assert not unit().contains([F(-1), 1 + F(1, 10**30)])
    assert not unit().contains([F(0)])


def test_an_empty_box_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"age has lower bound 1\.0 above upper bound 0\.0"):
        Region((F(1),), (F(0),), names=("age",))
    with pytest.raises(InputError, match="different lengths"):
        Region((F(1),), ())


def test_rows_balls_integers_and_groups_cut() -> None:
    row = unit(rows=(LinearRow({0: F(1), 1: F(1)}, F(1, 3)),))
    assert row.contains([F(1, 3), F(0)])
    assert not row.contains([F(1, 3), F(1, 10**40)])
    whole = unit(integers=frozenset({1}))
    assert whole.contains([F(1, 2), F(1)])
    assert not whole.contains([F(1, 2), F(1, 2)])
    group = unit(3, one_hot=((0, 2),))
    assert group.contains([F(1), F(1, 2), F(0)])
    assert not group.contains([F(1), F(1, 2), F(1)])
    assert not group.contains([F(1, 2), F(0), F(1, 2)])
    assert not group.contains([F(1), F(0), F(-1)])


def test_balls_have_an_exact_rim() -> None:
    l1 = Ball("l1", (0, 1), (F(0), F(0)), F(1))
    assert l1.holds([F(1, 3), F(-2, 3)])
    assert not l1.holds([F(1, 3), F(-2, 3) - F(1, 10**50)])
    l2 = Ball("l2", (1, 0), (F(0), F(1, 5)), F(1))
    assert l2.holds([F(1, 5) + F(3, 5), F(4, 5)])
    assert not l2.holds([F(1, 5) + F(3, 5), F(4, 5) + F(1, 10**50)])


@given(lo=st.lists(fractions, min_size=1, max_size=4), width=fractions.map(abs))
def test_the_float_box_holds_the_exact_one(lo: list[Fraction], width: Fraction) -> None:
    region = Region(tuple(lo), tuple(v + width for v in lo))
    low, high = region.float_box()
    for a, b, x, y in zip(region.lo, region.hi, low.tolist(), high.tolist(), strict=True):
        assert Fraction(x) <= a <= b <= Fraction(y)
        assert Fraction(np.nextafter(x, np.inf)) > a
        assert Fraction(np.nextafter(y, -np.inf)) < b


def test_names() -> None:
    region = Region((F(0),) * 2, (F(1),) * 2, names=("age",))
    assert region.name(0) == "age"
    assert region.name(1) == "x[1]"
    assert region.is_box
    assert not unit(integers=frozenset({0})).is_box
