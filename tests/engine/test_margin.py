"""Margins: signs are truth, bounds are bounds, floats follow the exact values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import boxes, formulas, grid, points_in
from verifex.engine.margin import batch_margin, dropped_margin, exact_margin, lower_margin
from verifex.ir.exact import ExactArray
from verifex.ir.formula import (
    FALSE,
    TRUE,
    And,
    AtLeast,
    Atom,
    Dominance,
    Form,
    Formula,
    Or,
    holds,
    negate,
    simplify,
)

NODE, SIZE = 0, 4

grid_points = st.lists(grid.map(Fraction), min_size=SIZE, max_size=SIZE)


def at(point: list[Fraction] | tuple[Fraction, ...]) -> dict[int, ExactArray]:
    return {NODE: ExactArray.from_numbers(point)}


def infinite(f: Formula, point: list[Fraction]) -> bool:
    """Whether the margin is infinite: the formula is constant, or as good as that."""
    return exact_margin(f, at(point)) is None


@given(f=formulas(NODE, SIZE), point=grid_points)
def test_the_sign_of_a_margin_is_the_truth(f: Formula, point: list[Fraction]) -> None:
    margin = exact_margin(f, at(point))
    if margin is None or margin == 0:
        return
    assert (margin > 0) == holds(f, at(point))


@given(f=formulas(NODE, SIZE), point=grid_points)
def test_a_negation_has_the_opposite_margin(f: Formula, point: list[Fraction]) -> None:
    margin, other = exact_margin(f, at(point)), exact_margin(negate(f), at(point))
    if margin is not None and other is not None:
        assert other == -margin


@given(f=formulas(NODE, SIZE), data=st.data())
def test_a_lower_bound_is_below_every_margin(f: Formula, data: st.DataObject) -> None:
    lo, hi = data.draw(boxes(SIZE))
    low = lower_margin(f, {NODE: lo}, {NODE: hi})
    margin = exact_margin(f, at(data.draw(points_in(lo, hi))))
    if low is not None and margin is not None:
        assert low <= margin


@given(f=formulas(NODE, SIZE), data=st.data())
def test_dropped_atoms_bound_what_simplify_loses(f: Formula, data: st.DataObject) -> None:
    """The margin is at most that of what is left, or what the dropped atoms reach."""
    lo, hi = data.draw(boxes(SIZE))
    bounds = {NODE: lo}, {NODE: hi}
    left, dropped = simplify(f, *bounds), dropped_margin(f, *bounds)
    assert dropped is None or dropped <= 0
    point = data.draw(points_in(lo, hi))
    margin = exact_margin(f, at(point))
    rest = exact_margin(left, at(point))
    if margin is None or left == TRUE:
        return
    if left == FALSE:  # whose margin is minus infinity
        assert dropped is not None
        assert margin <= dropped
    else:
        assert rest is not None
        assert margin <= (rest if dropped is None else max(rest, dropped))


@given(f=formulas(NODE, SIZE), data=st.data())
def test_floats_follow_the_exact_margin(f: Formula, data: st.DataObject) -> None:
    """On the grid the float margin is the exact one, batched, in numpy and torch alike."""
    import torch

    batch = [data.draw(grid_points) for _ in range(3)]
    floats = np.array([[float(v) for v in p] for p in batch])
    found = batch_margin(f, {NODE: floats}, np)
    tensors = batch_margin(f, {NODE: torch.tensor(floats)}, torch)
    assert np.allclose(np.asarray(tensors), np.asarray(found), rtol=1e-12, equal_nan=True)
    for point, value in zip(batch, np.asarray(found).tolist(), strict=True):
        exact = exact_margin(f, at(point))
        if exact is not None and np.isfinite(value):
            assert value == pytest.approx(float(exact), rel=1e-12, abs=1e-12)
        if np.isinf(value):
            assert (value > 0) == holds(f, at(point))


def test_margins_by_hand() -> None:
    a, b = (Atom(Form.of({(0, i): 1})) for i in range(2))
    values = at([Fraction(3), Fraction(-2)])
    assert exact_margin(And((a, b)), values) == -2
    assert exact_margin(Or((a, b)), values) == 3
    assert exact_margin(AtLeast(1, (a, b)), values) == 3
    assert exact_margin(AtLeast(2, (a, b)), values) == -2
    assert exact_margin(Dominance(0, (0,), (1,), 1, 1), values) == 5
    assert exact_margin(Dominance(0, (0,), (1,), 1, 1, sense=-1), values) == -5
    assert exact_margin(TRUE, values) is None
    assert exact_margin(FALSE, values) is None
