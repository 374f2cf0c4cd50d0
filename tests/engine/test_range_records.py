"""What searches for ranges record, ends narrowed by claims, and values on kinks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.gradient_nets import small_network
from verifex.engine.budget import Budget
from verifex.engine.by_threshold.narrowing import DIGITS, VACUOUS, outside
from verifex.engine.falsify.kink_points import onto_kinks
from verifex.engine.falsify.open_gates import best_on_kinks, evaluate_with
from verifex.engine.ranges import find_range
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.record import AtomBound, Proof, ProofNode, shown, tree_of_row
from verifex.ir.formula import TRUE, Atom, Form, Or
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_exact, evaluate_float
from verifex.semantics.vjp import gradients
from verifex.settings import Settings

F = Fraction


def asked(seed: int) -> tuple[Problem, list[Form]]:
    """Input times gradient of a small network over a box, component by component."""
    graph, centre = small_network(np.random.default_rng(seed))
    lo, hi = (tuple(c + s * F(3, 4) for c in centre) for s in (-1, 1))
    forms = [Form.of({(graph.outputs["g"], i): 1}) for i in range(len(centre))]
    return Problem(graph, Region(lo, hi), Or(tuple(Atom(f) for f in forms))), forms


@pytest.mark.parametrize("domains", [2, 2_000])
def test_every_form_has_a_record_of_its_own(domains: int) -> None:
    """It shows the bound of a search that ended, and something true where one did not."""
    for seed in range(4):
        problem, forms = asked(seed)
        options = SearchOptions(max_domains=domains)
        found, _, _, _ = minima(problem, forms, Budget(20.0, 1 << 30, 1), options, record=True)
        rng = np.random.default_rng(seed)
        lo, hi = problem.region.float_box()
        points = lo + (hi - lo) * rng.random((2000, len(lo)))
        node = problem.graph.outputs["g"]
        values = evaluate_float(problem.graph, points, [node])[node].reshape(2000, -1)
        for i, one in enumerate(found):
            assert one.record is not None
            assert one.record.proof.open == 0
            assert one.shown <= values[:, i].min() + 1e-9
            if one.rest is None:
                assert one.shown == pytest.approx(one.bound, rel=1e-5, abs=1e-6)
            rows = {bound.row for n in one.record.proof.nodes for bound in n.bounds}
            assert rows <= {0, -1}


def test_nothing_is_recorded_unless_it_is_asked_for() -> None:
    problem, forms = asked(0)
    found, _, proof, _ = minima(problem, forms, Budget(20.0, 1 << 30, 1), SearchOptions())
    assert all(one.record is None for one in found)
    assert not any(node.bounds for node in proof.nodes)


def test_the_tree_of_one_row() -> None:
    """Two trees in one proof: that of the second row, with what is about it."""
    proof = Proof([
        ProofNode(-1, closed="bounds", bounds=[AtomBound(0, 9.0, {})]),
        ProofNode(-1, children=(3, 2), bounds=[AtomBound(1, 1.0, {}), AtomBound(0, 7.0, {})]),
        ProofNode(1, gate=4, sign=-1, closed="bounds", bounds=[AtomBound(1, 2.0, {})]),
        ProofNode(1, gate=4, sign=1, children=(4, 5)),
        ProofNode(3, gate=5, sign=1, closed="empty"),
        ProofNode(3, gate=5, sign=-1, closed="bounds", bounds=[AtomBound(-1, 3.0, {})]),
    ])
    tree = tree_of_row(proof, 1, 1)
    assert [(n.parent, n.gate, n.sign, n.closed) for n in tree.nodes] == [
        (-1, None, 0, None), (0, 4, 1, None), (1, 5, 1, "empty"), (1, 5, -1, "bounds"),
        (0, 4, -1, "bounds")]
    assert [n.children for n in tree.nodes] == [(1, 4), (2, 3), None, None, None]
    assert [[b.row for b in n.bounds] for n in tree.nodes] == [[0], [], [], [-1], [0]]
    assert shown(tree) == 2.0
    tree.nodes[4].bounds.clear()
    assert shown(tree) == 1.0
    tree.nodes[0].bounds.clear()
    assert shown(tree) == -np.inf
    assert shown(Proof()) == -np.inf


@pytest.mark.parametrize("maximise", [False, True])
def test_bounds_are_rounded_outward(maximise: bool) -> None:
    rng, sign = np.random.default_rng(2), 1 if maximise else -1
    for _ in range(200):
        value = F(float(rng.normal())) * F(10) ** int(rng.integers(-30, 30))
        near = outside(value, F(0), maximise)
        assert sign * near >= sign * value
        assert abs(near - value) <= abs(value) / 10 ** (DIGITS - 1)
        assert sign * outside(value, F(1, 10**6), maximise) > sign * value
    assert outside(F(1, 2), F(0), maximise) == F(1, 2)


# --- kinks ----------------------------------------------------------------------------------


def opposite() -> Graph:
    """f = relu(z) - relu(-z) with z = 3 x - y: its gradient by x is 3 s(z) + 3 s(-z)."""
    b = Builder()
    x = b.input("x", (2,))
    z = b.affine(dense([[3.0, -1.0], [-3.0, 1.0]]), x)
    f = b.affine(dense([[1.0, -1.0]]), b.relu(z))
    (a,) = gradients(b, f, [x])
    return b.build({"f": f, "A": a})


def test_gates_on_kinks_are_chosen_each_by_itself() -> None:
    graph = opposite()
    node, box = graph.outputs["A"], Region((F(-1), F(-1)), (F(1), F(1)))
    form = Form.of({(node, 0): 1})
    problem = Problem(graph, box, Atom(form))
    point = (F(1, 9), F(1, 3))
    for maximise, value, count in ((True, 6, 2), (False, 0, 0)):
        best = best_on_kinks(problem, Objective(form, maximise), point)
        assert best is not None
        assert (best.value, len(best.open_gates)) == (value, count)
        again = evaluate_with(graph, point, [node], best.open_gates)
        assert form.value(again) == value
    # An assumption is one about the chosen gates too.
    assumed = Problem(graph, box, Atom(form), Atom(-form, strict=False))
    best = best_on_kinks(assumed, Objective(form, True), point)
    assert best is not None
    assert best.value == 0
    nowhere = Problem(graph, box, Atom(form), Atom(Form.of({(node, 0): 1}, -7)))
    assert best_on_kinks(nowhere, Objective(form, True), point) is None
    # Off its kink a gate has one value, whatever is chosen.
    off, kinks = (F(1, 2), F(0)), [(z, i) for z in problem.kinks() for i in range(2)]
    plain = evaluate_exact(graph, off, [node])[node].fractions()
    assert evaluate_with(graph, off, [node], kinks)[node].fractions() == plain


def test_points_are_put_onto_the_kinks_beside_them() -> None:
    graph = opposite()
    problem = Problem(
        graph, Region((F(-1), F(-1)), (F(1), F(1))), Atom(Form.of({(graph.outputs["A"], 0): 1})))
    point = onto_kinks(problem, [0.1 / 3, 0.1])
    assert point is not None
    assert 3 * point[0] == point[1]
    assert abs(point[0] - F(0.1 / 3)) < F(1, 10**9)
    assert onto_kinks(problem, [0.5, 0.5]) is None


def test_an_assumption_that_holds_nowhere_is_told_of_without_files() -> None:
    graph = opposite()
    form = Form.of({(graph.outputs["f"], 0): 1})
    nowhere = Atom(Form.of({(graph.outputs["f"], 0): 1}, -99))
    box = Region((F(-1), F(-1)), (F(1), F(1)))
    settings = Settings(seconds=60, engine="search")
    found = find_range(Problem(graph, box, TRUE, nowhere), form, settings)
    assert VACUOUS in found.notes
    assert found.low.attained is None
    somewhere = Atom(Form.of({(graph.outputs["f"], 0): 1}, -1))
    found = find_range(Problem(graph, box, TRUE, somewhere), form, settings)
    assert found.low.attained is not None
    assert found.high.attained is not None
    assert 1 <= found.low.attained < 1 + F(1, 10**3)
    assert found.high.attained == 4
    assert found.low.claimed is not None
    assert found.low.claimed == pytest.approx(1, abs=1e-3)
