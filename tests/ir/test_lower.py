"""From exact models to floating-point rows: nothing is dropped, nothing is tightened."""

from __future__ import annotations

import math
from fractions import Fraction as F

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifex.errors import UnsupportedError
from verifex.ir.model.logical import Implies, Model, Row, relaxed_row
from verifex.ir.model.lower import LARGEST, TINY, FloatRow, lower, point_of, value_of


def holds(row: FloatRow, point: list[F], slack: F = F(0)) -> bool:
    left = sum((F(c) * point[v] for v, c in zip(row.positions, row.coefs)), F(0))
    return (row.lo == -math.inf or left >= F(row.lo) - slack) and (
        row.hi == math.inf or left <= F(row.hi) + slack
    )


def satisfied(row: Row, point: list[F]) -> bool:
    gap = sum((F(c) * point[v] for v, c in row.coefs), F(0)) - F(row.rhs)
    return {"<=": gap <= 0, ">=": gap >= 0, "==": gap == 0}[row.sense]


coefficients = st.one_of(
    st.integers(-9, 9),
    st.builds(lambda m, e: m * 2.0**e, st.integers(-9, 9), st.integers(-80, 20)),
    st.builds(F, st.integers(-9, 9), st.integers(1, 10**12)),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), coefficients), max_size=5),
    st.sampled_from(["<=", ">=", "=="]),
    st.lists(st.fractions(-1, 1), min_size=3, max_size=3),
    coefficients,
)
def test_what_satisfies_a_row_satisfies_its_floats(
    coefs: list[tuple[int, F]], sense: str, point: list[F], rhs: F
) -> None:
    """Up to rounding, whose size is known; and no coefficient is left that solvers drop."""
    model = Model()
    for i in range(3):
        model.new(f"x{i}", -1, 1)
    tight = sum((F(c) * point[v] for v, c in coefs), F(0))
    for side in (rhs, tight):
        model.rows = [Row(tuple(coefs), sense, side)]
        milp = lower(model)
        if not satisfied(model.rows[0], point):
            continue
        assert not milp.contradiction or not milp.rows
        for row in milp.rows:
            size = sum(map(abs, row.coefs)) + abs(F(side)) * F(row.scale)
            assert holds(row, point, F(size) * F(1, 2**50))
            assert all(abs(c) > TINY for c in row.coefs)
            assert len(set(row.positions)) == len(row.positions)


def test_small_rows_are_scaled_and_violations_seen() -> None:
    model = Model()
    x = model.new("x", 0, 1)
    model.add({x: F(1, 10**12)}, "<=", F(1, 2 * 10**12))
    (row,) = lower(model).rows
    assert 1 <= row.coefs[0] <= 4
    assert row.hi / row.coefs[0] == pytest.approx(0.5)
    assert math.log2(row.scale).is_integer()


def test_terms_below_rounding_loosen_their_row() -> None:
    model = Model()
    x, y = model.new("x", 0, 1), model.new("y", -3, 2)
    tiny = F(1, 10**25)
    for sense in ("<=", ">=", "=="):
        model.rows = [Row(((x, 1), (y, tiny)), sense, F(1, 2))]
        milp = lower(model)
        (row,) = milp.rows
        assert row.positions == (x,)
        for point in ([F(1, 2) - tiny * y, F(y)] for y in (-3, 0, 2)):
            assert holds(row, point, F(1, 10**16))
        assert "1 coefficients too small" in milp.note
    model.variables[y] = type(model.variables[y])("y")
    with pytest.raises(UnsupportedError, match="unbounded"):
        lower(model)


def test_loose_implications_stay_implications_on_demand() -> None:
    model = Model()
    x, s = model.new("x", 0, 10**9), model.new("s", 0, 1, True)
    model.imply(s, 1, Row(((x, 1),), "<=", 0), 10**9)
    assert "big-M" in lower(model).note
    kept = lower(model, indicators_above=1e5)
    assert not kept.rows
    assert kept.indicators[0].value == 1
    assert not kept.note
    model.implications = [Implies(s, 1, Row((), "<=", -1), 10**9)]
    (off,) = lower(model, indicators_above=1e5).rows
    assert (off.positions, off.lo, off.hi) == ((s,), 0, 0)


@given(
    st.sampled_from(["<=", ">="]), st.integers(0, 1), st.booleans(),
    st.fractions(-2, 2), st.fractions(-1, 1), st.booleans(),
)
def test_big_m_rows_bind_exactly_when_the_premise_holds(
    sense: str, value: int, on: bool, rhs: F, x: F, strict: bool
) -> None:
    row = Row(((0, 2), (0, 1)), sense, rhs, strict)
    reach = max(F(0), 3 - rhs if sense == "<=" else rhs + 3)
    relaxed = relaxed_row(Implies(1, value, row, reach))
    s = value if on else 1 - value
    wanted = satisfied(row, [x]) if on else True
    assert satisfied(relaxed, [x, F(s)]) == wanted
    assert not relaxed.strict


def test_numbers_beyond_floats_are_refused() -> None:
    model = Model()
    x = model.new("x", 0, 1)
    model.add({x: 10**400}, "<=", 1)
    with pytest.raises(UnsupportedError, match="beyond float64"):
        lower(model)


def test_objectives_keep_their_value() -> None:
    model = Model()
    x = model.new("x", 0, 1)
    model.objective, model.objective_const = {x: F(1, 10**12)}, F(1, 2)
    milp = lower(model)
    assert milp.cost[x] > 0.1
    assert milp.objective(milp.cost[x]) == pytest.approx(0.5 + 1e-12, abs=1e-16)
    assert value_of(model, {x: 1}) == F(1, 2) + F(1, 10**12)
    assert value_of(model, {}) is None


def test_points_have_whole_integers() -> None:
    model = Model()
    model.new("s", 0, 1, True)
    model.new("x")
    model.new("lost")
    assert point_of(model, lower(model), [0.9999999, 0.25, math.nan]) == {0: 1, 1: 0.25}


@st.composite
def giant_models(draw: st.DrawFn) -> tuple[Model, list[F]]:
    """A model with numbers up to 1e40, and a point that satisfies it exactly."""
    model, point = Model(), []
    for i in range(4):
        size = F(10) ** draw(st.integers(-6, 20))
        value = draw(st.fractions(-1, 1, max_denominator=64)) * size
        point.append(value)
        model.new(f"x{i}", -size, size)
    point.append(F(draw(st.integers(0, 1))))
    model.new("s", 0, 1, True)
    for _ in range(draw(st.integers(1, 3))):
        coefs = {
            v: draw(st.integers(-9, 9)) * F(10) ** draw(st.integers(-3, 20))
            / (model.variables[v].hi or 1) for v in range(5)
        }
        tight = sum((c * point[v] for v, c in coefs.items()), F(0))
        model.add(coefs, draw(st.sampled_from(["<=", ">=", "=="])), tight)
    model.objective = {v: draw(st.integers(-9, 9)) * F(10) ** 12 for v in range(4)}
    return model, point


@settings(max_examples=100)
@given(giant_models())
def test_giants_are_counted_in_their_own_units(made: tuple[Model, list[F]]) -> None:
    """No number is left that a solver refuses, powers of two are all that was multiplied with, and
    what satisfied the model satisfies the rows."""
    model, point = made
    milp = lower(model)
    assert all(math.log2(u).is_integer() for u in milp.units)
    assert milp.units[4] == 1
    for end in (*milp.lo, *milp.hi, *milp.cost.values()):
        assert abs(end) <= LARGEST
    scaled = [x / F(u) for x, u in zip(point, milp.units)]
    for row in milp.rows:
        assert math.log2(row.scale).is_integer()
        assert all(TINY < abs(c) <= LARGEST for c in row.coefs)
        size = sum((abs(F(c) * scaled[v]) for v, c in zip(row.positions, row.coefs)), F(0))
        assert holds(row, scaled, (size + 1) * F(1, 2**48))
    cost = sum(c * float(scaled[v]) for v, c in milp.cost.items())
    wanted = float(value_of(model, dict(enumerate(point))) or 0)
    assert milp.objective(cost) == pytest.approx(wanted, rel=1e-9, abs=1e-9 * 1e12 * 1e20)
    assert point_of(model, milp, [float(v) for v in scaled])[0] == pytest.approx(float(point[0]))


def test_units_are_left_alone_where_nothing_is_large() -> None:
    model = Model()
    x, y = model.new("x", -1000, 10**10), model.new("y", 0, 1, True)
    model.add({x: 1, y: 10**10}, "<=", 10**10)
    milp = lower(model)
    assert milp.units == [1.0, 1.0]
    assert milp.rows[0].coefs == (1.0, 1e10)
    assert milp.rows[0].scale == 1.0


def test_files_keep_the_units_of_the_model() -> None:
    """A column of an LP or MPS file is the model's variable, whatever its size."""
    model = Model()
    x = model.new("x", 0, 10**18)
    model.add({x: 10**16}, "<=", 10**30)
    assert lower(model, rescale=False).rows[0].coefs == (1e16,)
    assert lower(model).units[0] > 1


@pytest.mark.parametrize(("lo", "hi", "coef", "rhs", "what"), [
    (0, 10**18, 1, 10**17, "a bound of 1e\\+18"),
    (0, 1, 1, 10**40, None),  # implied by the bounds: the row says nothing
    (0, 1, 1, -(10**40), "a right-hand side of"),
])
def test_what_no_scaling_helps_is_named(
    lo: int, hi: int, coef: int, rhs: int, what: str | None
) -> None:
    model = Model()
    x = model.new("x", lo, hi, True)
    model.add({x: coef}, "<=", rhs)
    if what is None:
        assert lower(model).rows[0].hi == math.inf
        return
    with pytest.raises(UnsupportedError, match=what):
        lower(model)


def test_factors_of_products_keep_their_units() -> None:
    """out == left * right would no longer hold between scaled columns."""
    from verifex.ir.model.logical import Product

    model = Model()
    x, y, z = model.new("x", 0, 10**7), model.new("y", 0, 10**7), model.new("z", 0, 10**14)
    w = model.new("w", 0, 10**14)
    model.products.append(Product(z, x, y))
    model.add({z: 1, w: -1}, "<=", 0)
    assert lower(model).units[:3] == [1.0, 1.0, 1.0]
    assert lower(model).units[3] > 1


def test_sides_that_bind_are_kept_and_implied_ones_dropped() -> None:
    """x + y / 10^15 <= 1 cuts off a corner of its box; <= 10 would not."""
    model = Model()
    x, y = model.new("x", 0, 1), model.new("y", 0, 10**15)
    for rhs, kept in ((1, True), (10, False)):
        for sense, sign in (("<=", 1), (">=", -1)):
            model.rows = [Row(((x, sign), (y, F(sign, 10**15))), sense, sign * rhs)]
            (row,) = lower(model).rows
            side = row.hi if sense == "<=" else row.lo
            assert math.isfinite(side) == kept
