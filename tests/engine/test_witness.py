"""Replay: only a point inside, off the kinks, that really breaks the claim becomes a witness."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import fractions
from verifex.engine.falsify.witness import candidates, refute, replay, snap
from verifex.ir.formula import TRUE, Atom, Form, Formula
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense, gather
from verifex.ir.problem import Problem
from verifex.ir.region import Ball, LinearRow, Region
from verifex.semantics.vjp import gradients

F = Fraction


def modulus() -> Graph:
    """f = relu(x0) + relu(-x0) and its gradient A, of two inputs."""
    b = Builder()
    x = b.input("x", (2,))
    z = b.affine(dense([[1.0, 0.0], [-1.0, 0.0]]), x)
    f = b.affine(dense([[1.0, 1.0]]), b.relu(z))
    (a,) = gradients(b, f, [x])
    return b.build({"f": f, "A": a})


GRAPH = modulus()


def at_least(name: str, const: int | Fraction) -> Atom:
    return Atom(Form.of({(GRAPH.outputs[name], 0): 1}, const))


def problem(require: Formula, assume: Formula = TRUE, **cuts: object) -> Problem:
    region = Region((F(-1), F(-1)), (F(1), F(1)), **cuts)  # type: ignore[arg-type]
    return Problem(GRAPH, region, require, assume, (F(1, 4), F(0)))


def test_a_point_outside_refutes_nothing() -> None:
    broken = problem(at_least("f", -5))
    assert replay(broken, (F(1), F(1))).refutes
    outside = replay(broken, (1 + F(1, 10**50), F(0)))
    assert outside.violated
    assert not outside.inside
    assert not outside.refutes


def test_a_point_on_a_kink_refutes_nothing_that_reads_the_gate() -> None:
    gradient = problem(at_least("A", -5))
    on = replay(gradient, (F(0), F(1)))
    assert on.violated
    assert on.on_kink
    assert not on.refutes
    assert replay(gradient, (F(1, 10**50), F(1))).refutes
    value = replay(problem(at_least("f", -5)), (F(0), F(1)))
    assert not value.on_kink
    assert value.refutes


def test_a_point_without_the_assumption_refutes_nothing() -> None:
    right = Atom(Form.of({(GRAPH.inputs[0], 0): 1}, F(-1, 2)), strict=True)
    broken = problem(at_least("f", -5), right)
    assert not replay(broken, (F(1, 2), F(0))).refutes
    assert replay(broken, (F(3, 4), F(0))).refutes


def test_a_tie_is_exact() -> None:
    tie = problem(at_least("f", F(-1, 3)))
    assert not replay(tie, (F(1, 3), F(0))).violated
    assert replay(tie, (F(1, 3) - F(1, 10**40), F(0))).violated
    assert replay(tie, (F(1, 3), F(0))).margin == 0


def test_smooth_claims_are_replayed_with_intervals() -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.univariate("exp", x)
    graph = b.build({"y": y})
    region = Region((F(0),), (F(1),))

    def claim(const: Fraction) -> Problem:
        return Problem(graph, region, Atom(Form.of({(y, 0): -1}, const)))

    assert replay(claim(F(27, 10)), (F(1),)).refutes
    assert not replay(claim(F(28, 10)), (F(1),)).refutes
    # e within a rounding error of the threshold: not known to be broken, so it is not.
    assert not replay(claim(F(float(np.e))), (F(1),)).refutes


def test_a_tie_in_a_smooth_network_is_a_kink_only_where_it_matters() -> None:
    """f = max(relu(x0), relu(2 x0)) + tanh(x1): below 0 both units are dead and tie."""
    b = Builder()
    x = b.input("x", (2,))
    y = b.relu(b.affine(dense([[1.0, 0.0], [2.0, 0.0]]), x))
    first, second = (b.affine(gather((2,), [k]), y) for k in (0, 1))
    largest = b.sum([second, b.relu(b.sum([first, second], [1, -1]))])
    f = b.sum([largest, b.univariate("tanh", b.affine(gather((2,), [1]), x))])
    (a,) = gradients(b, f, [x])
    graph = b.build({"f": f, "A": a})

    def at(component: int, point: tuple[Fraction, ...]) -> bool:
        claim = Atom(Form.of({(a, component): 1}, -5))
        found = replay(Problem(graph, Region((F(-1), F(-1)), (F(1), F(1))), claim), point)
        assert found.violated
        assert found.refutes != found.on_kink
        return found.on_kink

    assert not at(0, (F(-1, 2), F(1, 2)))
    assert not at(1, (F(-1, 2), F(1, 2)))
    assert at(0, (F(0), F(1, 2)))
    assert not at(1, (F(0), F(1, 2)))  # the gates at 0 are of the other component
    assert not at(0, (F(1, 2), F(1, 2)))


@given(x=st.lists(fractions, min_size=2, max_size=2))
def test_snapped_points_lie_in_the_box(x: list[Fraction]) -> None:
    region = Region((F(-1, 3), F(-2)), (F(1, 3), F(2)), integers=frozenset({1}))
    point = snap(region, x)
    assert region.contains(point)
    assert snap(region, point) == point


@given(x=st.lists(fractions, min_size=3, max_size=3))
def test_snapped_groups_have_one_one(x: list[Fraction]) -> None:
    region = Region((F(0),) * 3, (F(1),) * 3, one_hot=((0, 1, 2),))
    assert region.contains(snap(region, x))


def test_a_one_hot_group_keeps_what_the_box_allows() -> None:
    """A frozen member of a group is not switched on: such a point is just not inside."""
    region = Region((F(0), F(1)), (F(0), F(1)), one_hot=((0, 1),))
    assert region.contains(snap(region, [F(1), F(0)]))


def test_candidates_are_drawn_inward_where_rows_or_balls_cut() -> None:
    row = LinearRow({0: F(1)}, F(1, 2))
    broken = problem(at_least("f", -5), rows=(row,))
    just_out = [F(1, 2) + F(1, 10**8), F(0)]
    points = list(candidates(broken, just_out))
    assert (just_out[0], just_out[1]) in points
    assert any(broken.region.contains(p) for p in points)
    witness = refute(broken, just_out)
    assert witness is not None
    assert broken.region.contains(witness.point)
    ball = Ball("l2", (0, 1), (F(0), F(0)), F(1))
    assert refute(problem(at_least("f", -5), balls=(ball,)), [0.6 + 1e-8, 0.8]) is not None
    assert refute(problem(at_least("f", -5), balls=(ball,)), [1.0, 1.0]) is None


def test_a_witness_records_values_and_replays() -> None:
    witness = refute(problem(at_least("f", -5)), [0.5, 0.0])
    assert witness is not None
    assert witness.margin == F(1, 2) - 5
    assert witness.values["f"] == (F(1, 2),)
    assert witness.replays["exact"] == "violated"
    data = witness.to_json()
    assert data["point_exact"] == ["1/2", "0"]
    assert data["margin"] == -4.5


@pytest.mark.parametrize("point", [(F(1),), (F(1), F(0), F(0))])
def test_points_of_the_wrong_length_are_not_evaluated(point: tuple[Fraction, ...]) -> None:
    with pytest.raises(ValueError, match="values for 2 inputs"):
        replay(problem(at_least("f", -5)), point)


@pytest.mark.parametrize(("lo", "hi", "wanted"), [
    ((0, 0), (0, 1), (0, 1)), ((0, 0), (1, 0), (1, 0)), ((0, 1), (1, 1), (0, 1)),
    ((0, 0, 0), (0, 0, 1), (0, 0, 1)), ((0, 0), (1, 1), (1, 0)),
])
def test_groups_of_which_members_are_pinned(
    lo: tuple[int, ...], hi: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    """The 1 goes where the box allows it, and points near it are found in finite time."""
    n = len(lo)
    b = Builder()
    graph = b.build({"x": b.input("x", (n,))})
    region = Region(tuple(map(F, lo)), tuple(map(F, hi)), integers=frozenset(range(n)),
                    one_hot=(tuple(range(n)),))
    assert snap(region, [F(1)] + [F(0)] * (n - 1)) == wanted
    claim = Atom(Form.of({(0, 0): 1}, -2))  # x[0] >= 2 fails everywhere
    asked = Problem(graph, region, claim)
    assert [p for p in candidates(asked, [F(1)] + [F(0)] * (n - 1))]
    found = refute(asked, [F(1)] + [F(0)] * (n - 1))
    assert found is not None
    assert found.point == wanted
