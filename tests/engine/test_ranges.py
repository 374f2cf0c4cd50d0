"""Ranges with known ends: values, gaps, kinks and what each solver adds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.helpers.gradient_nets import small_network
from verifex.engine import ranges
from verifex.engine.falsify.attained import Best, tighter
from verifex.engine.findings.reasons import Reason, ReasonKind
from verifex.engine.ranges import RangeQuestion, find_each, find_range
from verifex.engine.search import extrema
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.watch import Watch
from verifex.ir.formula import TRUE, Atom, Form
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Ball, Region
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients
from verifex.settings import Settings

F = Fraction
DECIDERS = {
    **{n: Settings(seconds=20, solvers=(n,), search=False) for n in (
        "highs", "scip", "z3", "regions")},
    "search": Settings(seconds=20, solvers=()),
    "default": Settings(seconds=20),
}

CUT = [name for name in DECIDERS if name != "search"]
"""Deciders of regions that are no boxes."""


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


def hat() -> Graph:
    """f(x) = relu(x) - 3 relu(x - 1): up to 1 at x = 1, then down; its gradient A is 0, 1, -2."""
    b = Builder()
    x = b.input("x", (1,))
    z = b.affine(dense([[1.0], [1.0]]), x, np.array([0.0, -1.0]))
    f = b.affine(dense([[1.0, -3.0]]), b.relu(z))
    (a,) = gradients(b, f, [x])
    return b.build({"f": f, "A": a, "xA": b.mul(x, a)})


GRAPH = hat()
BOX = Region((F(-1),), (F(2),))


def form(name: str, coef: int | Fraction = 1, const: int | Fraction = 0) -> Form:
    return Form.of({(GRAPH.outputs[name], 0): coef}, const)


def ask(
    name: str, asked: Form, pool: SolverPool, problem: Problem | None = None
) -> RangeVerdict:
    problem = problem or Problem(GRAPH, BOX, TRUE)
    return find_range(problem, asked, DECIDERS[name], pool, "a name")


def check(verdict: RangeVerdict, low: Fraction, high: Fraction) -> None:
    """Both ends closed, at these values; what is proven lies outside of them."""
    assert verdict.settled, verdict
    for end, wanted in ((verdict.low, low), (verdict.high, high)):
        assert end.claimed == pytest.approx(float(wanted), abs=1e-6)
        assert end.attained is not None
        assert float(end.attained) == pytest.approx(float(wanted), abs=1e-6)
        assert end.point is not None
    assert verdict.low.proven is None or verdict.low.proven <= low
    assert verdict.high.proven is None or verdict.high.proven >= high


@pytest.mark.parametrize("name", DECIDERS)
def test_values(name: str, pool: SolverPool) -> None:
    verdict = ask(name, form("f"), pool)
    check(verdict, F(-1), F(1))
    assert verdict.expression == "a name"


@pytest.mark.parametrize("name", DECIDERS)
def test_scaled_and_shifted_forms(name: str, pool: SolverPool) -> None:
    check(ask(name, form("f", F(-1, 3), 5), pool), F(14, 3), F(16, 3))


@pytest.mark.parametrize("name", DECIDERS)
def test_gradients_with_points_off_the_kinks(name: str, pool: SolverPool) -> None:
    verdict = ask(name, form("A"), pool)
    check(verdict, F(-2), F(1))
    assert not verdict.low.on_kink
    assert not verdict.high.on_kink


@pytest.mark.parametrize("name", DECIDERS)
def test_input_times_gradient(name: str, pool: SolverPool) -> None:
    """x A is 0 for x < 0, x below 1 and -2x above: in [-4, 1], the upper end being a limit."""
    verdict = ask(name, form("xA"), pool)
    assert verdict.low.claimed == pytest.approx(-4, abs=1e-6)
    assert verdict.high.claimed == pytest.approx(1, abs=1e-6)
    assert verdict.low.attained == -4
    assert verdict.high.attained is not None
    assert verdict.high.attained <= 1


@pytest.mark.parametrize("name", CUT)
def test_an_assumption_narrows_the_range(name: str, pool: SolverPool) -> None:
    right = Atom(Form.of({(GRAPH.inputs[0], 0): 1}, F(-3, 2)))
    check(ask(name, form("f"), pool, Problem(GRAPH, BOX, TRUE, right)), F(-1), F(0))


@pytest.mark.parametrize("name", CUT)
def test_a_ball_narrows_the_range(name: str, pool: SolverPool) -> None:
    region = replace(BOX, balls=(Ball("l1", (0,), (F(0),), F(1, 2)),))
    check(ask(name, form("f"), pool, Problem(GRAPH, region, TRUE)), F(0), F(1, 2))


def test_claims_narrow_what_the_search_for_ranges_does_not_take(pool: SolverPool) -> None:
    """It is named that it was not used; claims about thresholds close in on the ends."""
    right = Atom(Form.of({(GRAPH.inputs[0], 0): 1}, F(-3, 2)))
    verdict = ask("search", form("f"), pool, Problem(GRAPH, BOX, TRUE, right))
    check(verdict, F(-1), F(0))
    assert "takes no assumption" in verdict.reason


def test_the_search_alone_finds_ranges_over_l1_balls(pool: SolverPool) -> None:
    """Both ends close, and no point of the ball lies beyond them."""
    rng = np.random.default_rng(7)
    for _ in range(6):
        graph, centre = small_network(rng)
        n, radius = len(centre), F(int(rng.integers(8, 40)), 32)
        ball = Ball("l1", tuple(range(n)), centre, radius)
        lo, hi = (tuple(c + s * radius for c in centre) for s in (-1, 1))
        node = graph.outputs["g"]
        problem = Problem(graph, Region(lo, hi, balls=(ball,)), TRUE)
        for i in range(n):
            verdict = ask("search", Form.of({(node, i): 1}), pool, problem)
            assert verdict.settled, verdict
            away = rng.normal(size=(3000, n))
            away /= np.linalg.norm(away, ord=1, axis=1, keepdims=True)
            length = float(radius) * rng.random((3000, 1)) ** (1 / n)
            x = np.array([float(c) for c in centre]) + length * away
            values = evaluate_float(graph, x, [node])[node].reshape(len(x), -1)[:, i]
            assert verdict.low.claimed is not None
            assert verdict.high.claimed is not None
            assert verdict.low.claimed <= values.min() + 1e-9
            assert verdict.high.claimed >= values.max() - 1e-9


def test_a_point_has_a_range_of_one_value(pool: SolverPool) -> None:
    region = Region((F(1, 3),), (F(1, 3),))
    verdict = ask("default", form("f"), pool, Problem(GRAPH, region, TRUE))
    check(verdict, F(1, 3), F(1, 3))


def test_a_value_on_a_kink_alone_is_marked_so(pool: SolverPool) -> None:
    """At x = 0 the closed question allows A = 0 and A = 1: attained, on a kink only."""
    region = Region((F(0),), (F(0),))
    verdict = ask("z3", form("A"), pool, Problem(GRAPH, region, TRUE))
    assert verdict.low.claimed == pytest.approx(0, abs=1e-9)
    assert verdict.high.claimed == pytest.approx(1, abs=1e-9)
    assert verdict.high.on_kink
    assert (verdict.low.attained, verdict.high.attained) == (0, 1)
    assert len(verdict.high.open_gates) == 1
    assert not verdict.low.open_gates
    assert verdict.settled


def test_an_end_that_nothing_attains_says_so(
    pool: SolverPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps points from being found, an open end has a reason."""
    monkeypatch.setattr(Best, "offer", lambda self, vector: None)
    b = Builder()
    x = b.input("x", (2,))
    y = b.affine(dense([[1.0, 2.0]]), b.relu(x))
    region = Region((F(-1),) * 2, (F(1),) * 2)
    verdict = find_range(Problem(b.build({"y": y}), region, TRUE), Form.of({(y, 0): 1}),
                         Settings(seconds=20, solvers=()), pool)
    assert not verdict.settled
    assert [(r.kind, r.source, r.bound) for r in verdict.reasons] == [
        (ReasonKind.NOT_ATTAINED, "minimum", pytest.approx(0.0)),
        (ReasonKind.NOT_ATTAINED, "maximum", pytest.approx(3.0))]


def test_smooth_functions_have_no_exact_values_and_the_range_says_so(pool: SolverPool) -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.univariate("tanh", x)
    verdict = find_range(Problem(b.build({"y": y}), Region((F(-1),), (F(1),)), TRUE),
                         Form.of({(y, 0): 1}), Settings(seconds=5, solvers=()), pool)
    assert verdict.high.attained is None
    assert [r.kind for r in verdict.reasons] == [ReasonKind.NO_EXACT_VALUES] * 2


def test_no_time_leaves_the_bounds_and_a_sample(pool: SolverPool) -> None:
    options = Settings(seconds=0)
    verdict = find_range(Problem(GRAPH, BOX, TRUE), form("f"), options, pool)
    assert not verdict.settled
    assert verdict.low.proven is not None
    assert verdict.low.proven <= -1
    assert verdict.high.attained is not None
    assert verdict.high.attained <= 1
    assert "out of time" in verdict.reason


def test_a_solver_that_cannot_optimise_is_named(pool: SolverPool) -> None:
    options = Settings(seconds=10, solvers=("cvc5",), search=False)
    verdict = find_range(Problem(GRAPH, BOX, TRUE), form("f"), options, pool)
    assert "cvc5 is not used: it does not optimise" in verdict.reason


def test_ranges_as_json(pool: SolverPool) -> None:
    verdict = ask("highs", form("A"), pool)
    data = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert data["settled"] is True
    assert data["closed"] is False  # no certificate: it was built in memory
    assert data["low"]["claimed"] == pytest.approx(-2)
    assert data["high"]["attained"] == 1.0
    assert data["low"]["point"][0] > 1
    assert verdict.exit_code == 2


# --- several forms --------------------------------------------------------------------------


def several() -> tuple[Problem, list[RangeQuestion]]:
    """Components and outputs of one network, over a box."""
    graph, centre = small_network(np.random.default_rng(11))
    lo, hi = (tuple(c + s * F(1, 2) for c in centre) for s in (-1, 1))
    node = graph.outputs["g"]
    forms = [Form.of({(node, i): 1}) for i in range(len(centre))]
    forms.append(Form.of({(node, 0): 2, (node, 1): -1}, F(1, 3)))
    questions = [RangeQuestion(one, f"form {k}") for k, one in enumerate(forms)]
    return Problem(graph, Region(lo, hi), TRUE), questions


@pytest.mark.parametrize("share", [ranges.TOGETHER, 0.0])
def test_several_forms_have_the_ranges_that_each_has_alone(
    share: float, pool: SolverPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most end in the search for all; where that has no time, each is searched alone as before."""
    monkeypatch.setattr(ranges, "TOGETHER", share)
    problem, questions = several()
    settings = Settings(seconds=20.0)
    found = find_each(problem, questions, settings, pool)
    assert [one.expression for one in found] == [question.name for question in questions]
    for question, one in zip(questions, found, strict=True):
        alone = find_range(problem, question.form, settings, pool, question.name)
        assert alone.settled
        assert one.settled
        assert (one.evidence, one.reasons, one.notes) == (
            alone.evidence, alone.reasons, alone.notes)
        for mine, other in ((one.low, alone.low), (one.high, alone.high)):
            assert mine.proven == other.proven
            assert mine.attained == pytest.approx(other.attained, rel=1e-6, abs=1e-9)
            assert mine.claimed == pytest.approx(other.claimed, rel=1e-5, abs=1e-8)


def test_one_search_serves_several_forms(
    pool: SolverPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    honest = extrema.minima

    def counted(problem: Problem, forms: list[Form], *rest: Any) -> Any:
        counts.append(len(forms))
        return honest(problem, forms, *rest)

    monkeypatch.setattr(extrema, "minima", counted)
    problem, questions = several()
    told: list[str] = []
    watch = Watch(progress=lambda stage, text: told.append(stage))
    found = find_each(problem, questions, Settings(seconds=20.0), pool, watch)
    assert all(one.settled for one in found)
    assert counts == [2 * len(questions)]
    assert told[-1] == "search"
    counts.clear()
    find_each(problem, questions[:1], Settings(seconds=20.0), pool)
    find_each(problem, questions, Settings(seconds=20.0, engine="milp"), pool)
    assert counts == [2]  # solvers answer one question at a time


def test_an_assumption_keeps_forms_apart(pool: SolverPool) -> None:
    """The search takes none: solvers are asked for each form, as for one alone."""
    problem, questions = several()
    node = problem.graph.outputs["g"]
    assumed = replace(problem, assume=Atom(Form.of({(node, 0): 1}, 100)))
    found = find_each(assumed, questions[:2], Settings(seconds=20.0), pool)
    for question, one in zip(questions, found, strict=False):
        alone = find_range(assumed, question.form, Settings(seconds=20.0), pool, question.name)
        assert one.reasons == alone.reasons
        assert one.evidence == alone.evidence
        assert one.high.attained == pytest.approx(alone.high.attained, rel=1e-6, abs=1e-9)


def test_the_better_of_two_accounts_of_an_end() -> None:
    problem = Problem(GRAPH, BOX, Atom(form("f")))
    objective = Objective(form("f"), True)
    region = problem.region
    weak = RangeEnd(F(3), 2.5, None, None, by="search")
    strong = RangeEnd(F(3), 2.0, None, region.lo, by="search")
    reasons: list[Reason] = []
    for one, other in ((weak, strong), (strong, weak)):
        end = tighter(problem, objective, one, other, reasons)
        assert (end.claimed, end.by, end.proven) == (2.0, "search", F(3))
        assert end.point == region.lo
    least = Objective(form("f"), False)
    low = [RangeEnd(F(-9), value, None, None, by="search") for value in (-2.0, -3.0)]
    assert tighter(problem, least, low[0], low[1], reasons).claimed == -2.0
    assert not reasons
