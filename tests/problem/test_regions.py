"""Regions: each field alone, all of them together, and membership against the words of the spec."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifex.errors import InputError
from verifex.ir.region import Region
from verifex.metrics.support.names import Names, blocks_of
from verifex.problem.spec.builders import region
from verifex.problem.spec.linear import parse_linear
from verifex.problem.spec.region import build_region

F = Fraction
NAMES = Names(blocks_of(["x"], [(1, 4)]), ("age", "sex", "hours-per-week", "job_a"))
POINT = (F(1, 4), F(1), F(1, 2), F(0))


def make(point: tuple[Fraction, ...] | None = POINT, **fields: Any) -> Region:
    return build_region(region(**fields), NAMES, point)[0]


def box(r: Region) -> list[tuple[Fraction, Fraction]]:
    return list(zip(r.lo, r.hi, strict=True))


def test_linf() -> None:
    assert box(make(linf=0.1)) == [(x - F(1, 10), x + F(1, 10)) for x in POINT]
    assert box(make(linf=[0.1, 0, 0.2, 0]))[2] == (F(3, 10), F(7, 10))
    table = make(linf={"age": 0.1, "job_*": "1/3"})
    assert box(table) == [(F(3, 20), F(7, 20)), (1, 1), (F(1, 2),) * 2, (F(-1, 3), F(1, 3))]
    assert box(make(linf={"*": 0.1, "sex": 0}))[1] == (1, 1)


def test_a_box_alone_needs_no_point() -> None:
    assert box(make(None, box=[0, 1])) == [(0, 1)] * 4
    assert box(make(None, box={"lo": [0, 1, 2, 3], "hi": 9}))[3] == (3, 9)
    assert box(make(None, clip=[0, 1], box={"lo": {"age": 0.5}, "hi": {}}))[0] == (F(1, 2), 1)
    with pytest.raises(InputError, match="reference point"):
        make(None, linf=0.1)
    with pytest.raises(InputError, match="reference point"):
        make(None, box=[0, 1], freeze="age")


def test_clip_and_freeze_only_remove() -> None:
    r = make(linf=0.5, clip=[0, 1], freeze=["sex", "job_*"])
    assert box(r) == [(0, F(3, 4)), (1, 1), (0, 1), (0, 0)]
    assert box(make(linf=0.5, only=["age"]))[1:] == [(x, x) for x in POINT[1:]]


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_balls_keep_their_shape(norm: str) -> None:
    r = make(**{norm: 0.5}, freeze="sex")
    (ball,) = r.balls
    assert (ball.norm, ball.indices, ball.radius) == (norm, (0, 2, 3), F(1, 2))
    assert box(r)[0] == (F(-1, 4), F(3, 4))
    inside = (F(1, 4) + F(1, 4), F(1), F(1, 2) + F(1, 4), F(0))
    outside = (F(1, 4) + F(2, 5), F(1), F(1, 2) + F(2, 5), F(0))
    assert r.contains(inside)
    assert not r.contains(outside)


def test_integers_and_one_hot() -> None:
    r = make(box=[-1, 1.5], integer=["age"], one_hot=[["sex", "job_a"]])
    assert box(r)[0] == (-1, 1)
    assert box(r)[1] == (0, 1)
    assert r.integers == {0}
    assert r.one_hot == ((1, 3),)
    assert r.contains((F(0), F(1), F(1, 3), F(0)))
    assert not r.contains((F(0), F(1), F(1, 3), F(1)))
    assert not r.contains((F(1, 2), F(1), F(1, 3), F(0)))
    with pytest.raises(InputError, match="none of its features"):
        make(None, one_hot=[["sex", "job_a"]], box=[-1, 0.5])


def test_everything_at_once_is_the_intersection() -> None:
    """Membership equals the conjunction of what the fields say, on many points."""
    r = make(linf=0.3, clip=[0, 1], l1=0.5, linear=["age + 2*job_a <= 0.6"], only=["age", 2, 3])
    rng = np.random.default_rng(2)
    seen = {True: 0, False: 0}
    for _ in range(500):
        x = tuple(p + F(int(rng.integers(-16, 17)), 48) * (i != 1) for i, p in enumerate(POINT))
        expected = (
            all(abs(a - b) <= F(3, 10) and 0 <= a <= 1 for a, b in zip(x, POINT, strict=True))
            and sum(abs(a - b) for a, b in zip(x, POINT, strict=True)) <= F(1, 2)
            and x[0] + 2 * x[3] <= F(6, 10)
        )
        assert r.contains(x) == expected
        seen[expected] += 1
    assert min(seen.values()) > 20


def test_a_reference_outside_is_noted() -> None:
    _, notes = build_region(region(box=[2, 3]), NAMES, POINT)
    assert any("outside" in note for note in notes)
    assert build_region(region(linf=1), NAMES, POINT)[1] == []


# --- linear constraints ---------------------------------------------------------------------


@pytest.mark.parametrize(("text", "rows"), [
    ("age <= 0.3", [({0: 1}, F(3, 10))]),
    ("age - 2*sex <= 0.3", [({0: 1, 1: -2}, F(3, 10))]),
    ('x["hours-per-week"] >= x[0] / 3 + 1', [({2: -1, 0: F(1, 3)}, F(-1))]),
    ("age == sex", [({0: 1, 1: -1}, F(0)), ({0: -1, 1: 1}, F(0))]),
    ("0.1 <= age <= 0.2", [({0: -1}, F(-1, 10)), ({0: 1}, F(1, 5))]),
    ("-age / 3 + 1e-3 <= +2 - 1.5", [({0: F(-1, 3)}, F(1, 2) - F(1, 1000))]),
    ("x[0, 3] - age + age <= 2*sex + -.5e1*sex + 1.", [({3: 1, 1: 3}, F(1))]),
    ("  age <= 1\t", [({0: 1}, F(1))]),
    ("x['hours-per-week']*2 - - age <= +1", [({2: 2, 0: 1}, F(1))]),
])
def test_linear(text: str, rows: list[tuple[dict[int, Any], Fraction]]) -> None:
    assert [(dict(r.coefs), r.rhs) for r in parse_linear(text, NAMES)] == rows


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 3)), min_size=1), st.integers(-9, 9))
def test_linear_against_arithmetic(terms: list[tuple[int, int]], rhs: int) -> None:
    text = " + ".join(f"{c / 10} * x[{i}]" for c, i in terms) + f" <= {rhs / 10}"
    x = [F(1, 3), F(-2), F(5, 7), F(0)]
    value = sum((F(c, 10) * x[i] for c, i in terms), F(0))
    if all(sum(c for c, i in terms if i == k) == 0 for k in range(4)):
        with pytest.raises(InputError, match="no feature"):
            parse_linear(text, NAMES)
        return
    (row,) = parse_linear(text, NAMES)
    assert row.holds(x) == (value <= F(rhs, 10))


def test_long_sums_do_not_recurse() -> None:
    wide = Names(blocks_of(["x"], [(1500,)]))
    (row,) = parse_linear(" + ".join(f"x[{i}]" for i in range(1500)) + " <= 1", wide)
    assert len(row.coefs) == 1500


@pytest.mark.parametrize("text", [
    "age < 1", "age > 1", "age != 1", "age", "age <= True", "age <= 'a'", "age <= None",
    "age <= sex * job_a", "age <= 1 // 2", "1 / age <= 2", "age <= max(1, 2)",
    "hours-per-week <= 1",
    "age <= x", "age <= x[0:1]", "age <= [1]", "age in [1]", "age <= (sex := 1)", "lambda: 1",
    "age <= 0x1F.5", "age <= 1 if sex else 2", "x.__class__ <= 1", "age <= 1; age", "age <= 1\x00",
    "(age) <= 1", "- -age <= 1", "age + +-sex <= 1", "age <= 1/3", "2age <= 1", "2*3*age <= 1",
    "age*-2 <= 1", "age*2/3 <= 1", "age <= 1_000", "age <= ٣", "x[٣] <= 1", "x [0] <= 1",
    "age <= 1 # all", "age <=\n1", "y[\"age\"] <= 1", "x[\"age] <= 1", "age = 1", "age <= ", "<= 1",
    "",
    "age <= 1e9999", "age / 0 <= 1", "age\u00a0<= 1", "x[0]] <= 1", "age <= <= 1", "age 1 <= 2",
])
def test_what_is_not_linear(text: str) -> None:
    with pytest.raises(InputError):
        parse_linear(text, NAMES)
