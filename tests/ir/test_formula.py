"""Formulas: negation, truth, blocks of comparisons, and what bounds leave of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import boxes, dominances, forms, formulas, fractions, points_in
from verifex.ir.exact import ExactArray, FloatArray
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
    atoms,
    cells,
    holds,
    negate,
    nodes,
    simplify,
    written_out,
)

NODE, SIZE = 0, 4
Values = dict[int, ExactArray]

points = st.lists(
    st.one_of(st.integers(-2, 2).map(Fraction), fractions), min_size=SIZE, max_size=SIZE
)


def at(point: list[Fraction] | tuple[Fraction, ...]) -> Values:
    return {NODE: ExactArray.from_numbers(point)}


def naive(f: Formula, v: list[Fraction]) -> bool:
    """Truth written out plainly, from the docstrings."""
    match f:
        case Atom():
            total = f.form.const + sum(c * v[i] for (_, i), c in f.form.terms)
            return total > 0 or (total == 0 and not f.strict)
        case And():
            return all([naive(p, v) for p in f.parts])
        case Or():
            return any([naive(p, v) for p in f.parts])
        case AtLeast():
            return len([p for p in f.parts if naive(p, v)]) >= f.count
        case Dominance():
            good = 0
            for w in f.winners:
                beaten = 0
                for x in f.losers:
                    d = v[w] - v[x] if f.sense == 1 else v[x] - v[w]
                    beaten += d > 0 or (d == 0 and not f.strict)
                good += beaten >= f.inner
            return good >= f.outer


@given(f=formulas(NODE, SIZE), point=points)
def test_truth(f: Formula, point: list[Fraction]) -> None:
    assert holds(f, at(point)) == naive(f, point)


@given(f=formulas(NODE, SIZE), point=points)
def test_a_negation_is_true_where_the_formula_is_not(f: Formula, point: list[Fraction]) -> None:
    assert holds(negate(f), at(point)) != holds(f, at(point))
    assert holds(negate(negate(f)), at(point)) == holds(f, at(point))


@given(f=dominances(NODE, SIZE), point=points)
def test_a_block_is_what_it_expands_to(f: Dominance, point: list[Fraction]) -> None:
    assert holds(f.expand(), at(point)) == holds(f, at(point))
    assert set(cells(f)) == set(cells(f.expand())) | {
        (NODE, i) for i in (*f.winners, *f.losers)
    }
    assert len(list(atoms(f))) == len(f.winners) * len(f.losers)


@given(f=formulas(NODE, SIZE), data=st.data())
def test_simplify_agrees_inside_the_bounds(f: Formula, data: st.DataObject) -> None:
    """What bounds leave of a formula is as true as the formula at every point inside."""
    lo, hi = data.draw(boxes(SIZE))
    left = simplify(f, {NODE: lo}, {NODE: hi})
    for _ in range(4):
        values = at(data.draw(points_in(lo, hi)))
        assert holds(left, values) == holds(f, values)
    assert set(cells(left)) <= set(cells(f))


@given(f=dominances(NODE, SIZE), data=st.data())
def test_a_block_under_bounds_holds_the_open_pairs(f: Dominance, data: st.DataObject) -> None:
    """What is left of it expands to what is left of its expansion, and may be simplified again."""
    lo, hi = data.draw(boxes(SIZE))
    left = simplify(f, {NODE: lo}, {NODE: hi})
    assert written_out(left) == simplify(f.expand(), {NODE: lo}, {NODE: hi})
    if isinstance(left, Dominance):
        assert left.pairs is not None
        assert left.pairs.open.any(axis=1).all()
        assert left.pairs.open.any(axis=0).all()
    narrow = data.draw(points_in(lo, hi))
    floats = np.array([float(v) for v in narrow])
    point = at([Fraction(v) for v in floats.tolist()])
    assert holds(negate(left), point) != holds(left, point)
    again = simplify(left, {NODE: floats}, {NODE: floats})
    assert again == (TRUE if holds(f, point) else FALSE)


@given(f=formulas(NODE, SIZE), point=points)
def test_bounds_of_one_float_point_decide(f: Formula, point: list[Fraction]) -> None:
    floats = np.array([float(v) for v in point])
    left = simplify(f, {NODE: floats}, {NODE: floats})
    assert left == (TRUE if naive(f, [Fraction(v) for v in floats.tolist()]) else FALSE)


@given(f=formulas(NODE, SIZE))
def test_unbounded_values_decide_only_what_is_constant(f: Formula) -> None:
    ends = np.full(SIZE, np.inf)
    left = simplify(f, {NODE: -ends}, {NODE: ends})
    for point in ([Fraction(0)] * SIZE, [Fraction(k) for k in range(SIZE)]):
        assert holds(left, at(point)) == holds(f, at(point))


@given(form=forms(NODE, SIZE), data=st.data())
def test_bounds_of_a_form_hold_its_values(form: Form, data: st.DataObject) -> None:
    lo, hi = data.draw(boxes(SIZE))
    low, high = form.bounds({NODE: lo}, {NODE: hi})
    value = form.value(at(data.draw(points_in(lo, hi))))
    assert low is not None
    assert high is not None
    assert low <= value <= high
    corners = [form.value(at([Fraction(v) for v in np.where(mask, lo, hi)])) for mask in _masks()]
    assert (low, high) == (min(corners), max(corners))


def _masks() -> FloatArray:
    bits = np.arange(2**SIZE)[:, None] >> np.arange(SIZE)
    return np.asarray(bits % 2 == 1)


def test_forms_are_in_one_shape() -> None:
    """Zero coefficients go, order does not matter: equal forms are equal values."""
    assert Form.of({(0, 1): 1, (0, 0): 2, (0, 2): 0}) == Form.of({(0, 0): 2.0, (0, 1): 1.0})
    assert (-Form.of({(0, 1): 3}, 1)).const == -1


def test_a_tie_separates_strict_from_not() -> None:
    tie = at([Fraction(1, 3), Fraction(1, 3)])
    for strict in (True, False):
        f = Dominance(0, (0,), (1,), 1, 1, strict)
        assert holds(f, tie) != strict
        assert holds(negate(f), tie) == strict


def test_equal_parts_count_each() -> None:
    """Three copies of an open atom under at-least-two are not one atom."""
    a = Atom(Form.of({(0, 0): 1}))
    lo, hi = {0: np.array([-1.0])}, {0: np.array([1.0])}
    left = simplify(AtLeast(2, (a, a, FALSE)), lo, hi)
    assert holds(left, at([Fraction(1)]))
    assert not holds(left, at([Fraction(-1)]))


def test_nodes_and_cells() -> None:
    f = And((Atom(Form.of({(3, 1): 1})), Or((Dominance(5, (0,), (1, 2), 1, 2),))))
    assert nodes(f) == {3, 5}
    assert cells(f) == {(3, 1), (5, 0), (5, 1), (5, 2)}
    assert nodes(TRUE) == set()
