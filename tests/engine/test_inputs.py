"""The search over input boxes: bounds hold exactly, nothing false is closed, proofs check."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import verifex
from tests.helpers.marks import first_quick
from tests.helpers.questions import Question, question
from tests.helpers.small_nets import relu_net
from tests.helpers.strategies import boxes as drawn_boxes
from tests.helpers.strategies import formulas, graphs, points_in
from tests.helpers.waiting import Ticks
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import INPUT_SEARCH
from verifex.engine.margin import batch_margin
from verifex.engine.search.counts import Counts
from verifex.engine.search.inputs.box_claim import BoxClaim
from verifex.engine.search.inputs.box_thresholds import Thresholds
from verifex.engine.search.inputs.dense import MOST_WEIGHTS, DenseNet
from verifex.engine.search.inputs.dense_bounds import DenseBounds, relax
from verifex.engine.search.inputs.dense_splits import best_factors, least, shorten
from verifex.engine.search.inputs.search import InputSearch, decide_inputs
from verifex.engine.verdict import Outcome
from verifex.errors import UnsupportedError
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.formula import And, Atom, Form, Or, holds, negate
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_exact
from verifex.settings import Settings
from verifex.solvers import regions

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ask = cache(question)


# --- bounds -----------------------------------------------------------------------------------


@SLOW
@given(st.data())
def test_bounds_contain_exact_values(data: st.DataObject) -> None:
    drawn = data.draw(graphs("Relu", ("Affine", "Relu", "Concat")))
    graph, n = drawn.graph, drawn.graph.input_size
    targets = sorted(graph.outputs.values())
    try:
        net = DenseNet(graph, targets)
    except UnsupportedError:
        assume(False)
    lo, hi = data.draw(drawn_boxes(n))
    bounds = DenseBounds(net)
    found = bounds.boxes(lo[None], hi[None])
    for _ in range(3):
        x = data.draw(points_in(lo, hi))
        exact = evaluate_exact(graph, x, net.order)
        for i in net.order:
            for k, v in enumerate(exact[i].fractions()):
                assert Fraction(float(found.lo[i][0, k])) <= v <= Fraction(float(found.hi[i][0, k]))
        out = targets[-1]
        c = np.array([float(data.draw(st.integers(-8, 8))) for _ in range(net.stages[out].size)])
        row = bounds.lower(found, {out: c[None]}, np.array([0.5]), np.array([0]))
        terms = zip(c.tolist(), exact[out].fractions(), strict=True)
        value = sum((Fraction(a) * v for a, v in terms), Fraction(1, 2))
        assert Fraction(float(row.value[0])) <= value


def _net(seed: int, widths: tuple[int, ...] = (3, 8, 8, 2)) -> tuple[Problem, np.random.Generator]:
    """A random network over a box, with a claim on its first output that is sometimes true."""
    rng = np.random.default_rng(seed)
    steps = itertools.pairwise(widths)
    pairs = [(rng.normal(size=(b, a)), rng.normal(size=b) / 2) for a, b in steps]
    builder, _, out = relu_net(pairs)
    graph = builder.build({"y": out})
    region = Region(tuple([Fraction(-1)] * widths[0]), tuple([Fraction(1)] * widths[0]))
    return Problem(graph, region, Atom(Form.of({(out, 0): 1}, 100))), rng


@pytest.mark.parametrize("count", [1, 2, 3, 32])
def test_batched_bounds_equal_single_ones(count: int) -> None:
    problem, rng = _net(5)
    net = DenseNet(problem.graph, problem.targets())
    bounds = DenseBounds(net)
    lo = rng.uniform(-1, 0.5, size=(count, 3))
    hi = lo + rng.uniform(0, 0.5, size=(count, 3))
    together = bounds.boxes(lo, hi)
    for k in range(count):
        alone = bounds.boxes(lo[k : k + 1], hi[k : k + 1])
        for i in net.order:
            assert np.allclose(together.lo[i][k], alone.lo[i][0], rtol=0, atol=1e-10)
            assert np.allclose(together.hi[i][k], alone.hi[i][0], rtol=0, atol=1e-10)


def test_relaxations_hold_at_the_ends_in_exact_arithmetic() -> None:
    rng = np.random.default_rng(0)
    lo = -(10.0 ** rng.uniform(-12, 6, size=4000))
    hi = 10.0 ** rng.uniform(-12, 6, size=4000)
    r = relax(lo[None], hi[None])
    for k in range(4000):
        a, b = Fraction(float(lo[k])), Fraction(float(hi[k]))
        slope, shift = Fraction(float(r.chord[0, k])), Fraction(float(r.shift[0, k]))
        assert slope * a + shift >= 0
        assert slope * b + shift >= b
        assert r.slope[0, k] in (0.0, 1.0)


def test_multipliers_are_never_worse_than_none_and_reach_the_optimum() -> None:
    from scipy.optimize import linprog

    rng = np.random.default_rng(1)
    reached = 0
    for _ in range(200):
        c, k = rng.normal(size=(1, 3)), rng.normal(size=1)
        a, h = rng.normal(size=(1, 1, 3)), rng.normal(size=(1, 1)) / 2
        lo, hi = -np.ones((1, 3)), np.ones((1, 3))
        found = best_factors(c, k, a, h, lo, hi)
        value = least(c + (found[:, :, None] * a).sum(1), k + (found * h).sum(1), lo, hi)[0]
        assert value >= least(c, k, lo, hi)[0] - 1e-9
        best = linprog(c[0], A_ub=a[0], b_ub=-h[0], bounds=[(-1, 1)] * 3)
        if best.status == 2:
            assert value > 0
        else:
            assert value <= best.fun + k[0] + 1e-7
            reached += value >= best.fun + k[0] - 1e-6
    assert reached > 100


def test_short_multipliers_have_few_bits() -> None:
    values = shorten(np.array([0.0, 1 / 3, 1e-9, 12345.678]))
    assert all(v.as_integer_ratio()[0].bit_length() <= 25 for v in values.tolist())


# --- claims on boxes --------------------------------------------------------------------------


@SLOW
@given(st.data())
def test_a_closed_box_satisfies_no_values_below_its_bounds(data: st.DataObject) -> None:
    f = data.draw(formulas(0, 4))
    claim = BoxClaim(f, {0: 4}, ())
    values = data.draw(st.lists(st.integers(-4, 4), min_size=4, max_size=4))
    exact = evaluate_values(values)
    upper = np.array([[float(a.form.value(exact)) for a in claim.atoms]])
    for raised in (0.0, 0.5):
        judged = claim.judge(upper + raised, np.zeros(1, dtype=bool))
        if judged.closed[0]:
            assert not holds(f, exact)
    if claim.atoms:  # with the values themselves as bounds nothing is lost
        assert bool(claim.judge(upper, np.zeros(1, dtype=bool)).closed[0]) == (not holds(f, exact))


@SLOW
@given(st.data())
def test_a_formula_on_arrays_is_the_formula(data: st.DataObject) -> None:
    """What is open, and how far points are from violating it, as two other walks say."""
    f = data.draw(formulas(0, 4))
    claim = BoxClaim(f, {0: 4}, ())
    count, boxes = len(claim.atoms), 3
    assume(count)
    flags = data.draw(st.lists(st.booleans(), min_size=boxes * count, max_size=boxes * count))
    false = np.array(flags, dtype=bool).reshape(boxes, count)
    assert (claim.formula.open(false) == Counts.of(f, claim.place).open(false)).all()
    values = data.draw(st.lists(st.integers(-4, 4), min_size=8, max_size=8))
    points = {0: np.array(values, dtype=np.float64).reshape(2, 4)}
    assert (claim.margin(points) == batch_margin(f, points, np)).all()


def evaluate_values(values: list[int]) -> dict[int, object]:
    """Node 0 with these values."""
    from verifex.ir.exact import ExactArray

    return {0: ExactArray.from_numbers([Fraction(v) for v in values])}


def test_thresholds_lie_where_the_atom_is_false() -> None:
    tenth = Fraction(1, 10)
    low, high = Form.of({(0, 1): 1}, -tenth), Form.of({(0, 1): -1}, tenth)
    found = Thresholds([low, high], {0: 2})
    assert found.side.tolist() == [3, 3]
    assert {int(k): int(sign) for k, sign in zip(found.atom, found.sign, strict=True)} == {
        0: 1, 1: -1}
    first, second = (int(np.flatnonzero(found.atom == k)[0]) for k in (0, 1))
    assert Fraction(found.at[first]) < tenth < Fraction(found.at[second])
    box = np.zeros((1, 4))
    assert found.false_on(box, box + found.at[first])[0, first]
    assert not found.false_on(box, box + 0.1)[0, first]
    assert found.false_on(box + found.at[second], box + 1)[0, second]


# --- verdicts ---------------------------------------------------------------------------------


def _on_outputs(q: Question) -> bool:
    try:
        InputSearch(q.problem, Budget(1.0))
    except UnsupportedError:
        return False
    return True


@pytest.mark.parametrize("block", first_quick(range(6)))
def test_the_search_over_inputs_never_contradicts_enumeration(block: int) -> None:
    settled = 0
    for seed in range(5000 + block * 50, 5000 + block * 50 + 50):
        asked = ask(seed)
        if not _on_outputs(asked):
            continue
        found = decide_inputs(asked.problem, Budget(5.0))
        truth = regions.decide(asked.problem, 20.0).status
        if found.closed is not None:
            assert truth is Status.INFEASIBLE, asked.description
            settled += 1
        if found.witness is not None:
            assert truth is Status.OPTIMAL, asked.description
            settled += 1
    assert settled > 1


@pytest.mark.parametrize("seed", range(12))
def test_a_threshold_beside_the_least_output(seed: int) -> None:
    """The least value is found by enumeration; a claim just above it is refuted, one just below is
    proved, one exactly at it (a tie) is never refuted."""
    problem, _ = _net(seed, (2, 5, 4, 1))
    node = problem.graph.outputs["y"]
    least_ = _least(problem, node)
    for shift, wanted in ((Fraction(1, 1000), "true"), (-Fraction(1, 1000), "false"), (0, "tie")):
        form = Form.of({(node, 0): 1}, shift - least_)
        claim = Problem(problem.graph, problem.region, Atom(form))
        # No deadline comes on a clock at rest: a tie is given up all the same.
        found = decide_inputs(claim, Budget(30.0, clock=Ticks(0.0)))
        if wanted == "true":
            assert found.closed is not None
        elif wanted == "false":
            assert found.witness is not None
        else:
            assert found.witness is None


def _least(problem: Problem, node: int) -> Fraction:
    """The least value of the first output, by enumeration of all regions."""
    answer = regions.optimum(problem, Objective(Form.of({(node, 0): 1}), False))
    assert answer.objective is not None
    return Fraction(answer.objective)


def test_several_regions_in_one_claim() -> None:
    """Disjuncts over inputs: only x in [-1, -1/2] or [1/2, 1] counts; |x| < 1/2 would break it."""
    b = Builder()
    x = b.input("x", (1,))
    z = b.affine(dense([[1.0], [-1.0]]), x)
    out = b.affine(dense([[1.0, 1.0]]), b.relu(z))  # |x|
    graph = b.build({"y": out})
    far = Atom(Form.of({(out, 0): -1}, Fraction(2, 5)))  # |x| <= 2/5 is the violation
    left = And((Atom(Form.of({(x, 0): -1}, Fraction(-1, 2))), far))
    right = And((Atom(Form.of({(x, 0): 1}, Fraction(-1, 2))), far))
    region = Region((Fraction(-1),), (Fraction(1),))
    found = decide_inputs(Problem(graph, region, negate(Or((left, right)))), Budget(10.0))
    assert found.closed is not None
    near = And((Atom(Form.of({(x, 0): 1}, Fraction(-3, 10))), far))
    broken = decide_inputs(Problem(graph, region, negate(Or((left, near)))), Budget(10.0))
    assert broken.witness is not None


@pytest.mark.parametrize("seed", range(4))
def test_threads_change_no_verdict(seed: int) -> None:
    problem, rng = _net(seed + 40, (4, 24, 24, 1))
    node = problem.graph.outputs["y"]
    x = rng.uniform(-1, 1, size=(100_000, 4))
    y = DenseNet(problem.graph, [node]).values(x)[node]
    seen, spread = float(y.min()), float(np.ptp(y))
    for shift, true in ((0.3 * spread, True), (-0.01 * spread, False)):
        form = Form.of({(node, 0): 1}, Fraction(shift - seen))
        claim = Problem(problem.graph, problem.region, Atom(form))
        one = decide_inputs(claim, Budget(30.0))
        two = decide_inputs(claim, Budget(30.0, threads=2))
        assert (one.closed is not None) == (two.closed is not None)
        assert (one.witness is not None) == (two.witness is not None)
        assert one.closed is not None or not true
        assert one.witness is not None or true


def test_units_on_an_input_itself() -> None:
    """max(x, 0) + max(max(x, 0) - 1/2, 0) without any affine step before the first ReLU."""
    b = Builder()
    x = b.input("x", (2,))
    first = b.relu(x)
    second = b.relu(b.affine(dense(np.eye(2)), first, np.array([-0.5, -0.5])))
    out = b.affine(dense([[1.0, -1.0]]), b.sum([first, second]))
    graph = b.build({"y": out})
    region = Region((Fraction(-1), Fraction(-1)), (Fraction(1), Fraction(1)))
    for least_, true in ((Fraction(-151, 100), True), (Fraction(-149, 100), False)):
        claim = Problem(graph, region, Atom(Form.of({(out, 0): 1}, -least_)))
        found = decide_inputs(claim, Budget(10.0))
        assert (found.closed is not None) == true
        assert (found.witness is not None) == (not true)


def test_too_many_inputs_and_gates_are_refused() -> None:
    problem, _ = _net(0, (30, 4, 1))
    with pytest.raises(UnsupportedError, match="too many inputs"):
        decide_inputs(problem, Budget(1.0))
    b = Builder()
    x = b.input("x", (2,))
    gate = b.step(b.affine(dense(np.eye(2)), x))
    with pytest.raises(UnsupportedError, match="not piecewise linear"):
        DenseNet(b.build({"y": gate}), [gate])
    assert MOST_WEIGHTS >= 1_000_000


def test_large_layers_of_few_inputs_are_searched() -> None:
    """What halving costs grows with the layers; whether it pays is said by the inputs."""
    builder, rng, shapes = Builder(), np.random.default_rng(4), ((2, 2100), (2100, 2100), (2100, 1))
    layers = [(rng.normal(size=(n, m)) / m, rng.normal(size=n) / 8) for m, n in shapes]
    h = builder.input("x", (2,))
    for k, (weight, bias) in enumerate(layers):
        h = builder.affine(dense(weight), builder.relu(h) if k else h, bias)
    lo, hi = np.full((1, 2), -0.01), np.full((1, 2), 0.01)
    bounds = DenseBounds(DenseNet(builder.build({"y": h}), [h])).boxes(lo, hi)
    values = rng.uniform(-0.01, 0.01, size=(50, 2))
    for k, (weight, bias) in enumerate(layers):
        values = (np.maximum(values, 0) if k else values) @ weight.T + bias
    assert (bounds.lo[h][0] - 1e-12 <= values).all()
    assert (values <= bounds.hi[h][0] + 1e-12).all()


def test_the_deadline_is_obeyed_and_the_bound_of_what_is_open_holds() -> None:
    problem, rng = _net(3, (6, 40, 40, 40, 1))
    node = problem.graph.outputs["y"]
    x = rng.uniform(-1, 1, size=(20_000, 6))
    net = DenseNet(problem.graph, [node])
    seen = float(net.values(x)[node].min())
    claim = Problem(problem.graph, problem.region, Atom(Form.of({(node, 0): 1}, Fraction(-seen))))
    clock = Ticks(0.01)
    search = InputSearch(claim, Budget(0.5, clock=clock))
    search.go_on()
    assert clock.readings < 100  # 50 of them until the deadline
    if search.witness is None:
        assert not search.finished
        assert -search.highest <= 0


def test_a_proof_over_boxes_and_units_is_accepted(tmp_path: Path) -> None:
    problem, rng = _net(11, (3, 12, 12, 1))
    node = problem.graph.outputs["y"]
    x = rng.uniform(-1, 1, size=(200_000, 3))
    least_ = float(DenseNet(problem.graph, [node]).values(x)[node].min())
    (tmp_path / "net.onnx").write_bytes(to_onnx(problem.graph))
    (tmp_path / "prop.vnnlib").write_text(_query(3, least_ - 0.02))
    verdict = verifex.verify(tmp_path / "net.onnx", tmp_path / "prop.vnnlib", seconds=60)
    assert verdict.outcome is Outcome.PROVED, verdict
    assert any(e.source == INPUT_SEARCH for e in verdict.evidence)
    assert verdict.extra["certificate"]["leaves"] > 10


def _query(inputs: int, at_most: float) -> str:
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)] + ["(declare-const Y_0 Real)"]
    lines += [f"(assert (>= X_{i} -1.0))\n(assert (<= X_{i} 1.0))" for i in range(inputs)]
    return "\n".join([*lines, f"(assert (<= Y_0 {at_most:.6f}))"])


def test_the_whole_pipeline_uses_it() -> None:
    problem, _ = _net(2)
    node = problem.graph.outputs["y"]
    claim = Problem(problem.graph, problem.region, Atom(Form.of({(node, 0): 1}, 1000)))
    verdict = decide(claim, Settings(seconds=20.0))
    assert verdict.outcome is Outcome.CLAIMED
