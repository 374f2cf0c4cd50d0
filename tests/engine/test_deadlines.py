"""Work that is cut off, by time or by memory: it ends soon, leaves open what it has not done, and
never claims anything. No clock of the wall: checkpoints and ticks are counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.questions import question
from tests.helpers.small_nets import relu_net
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.cost import rows_at_once
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.plain_bounder import PlainBounder
from verifex.engine.bounds.root import Root, root_facts
from verifex.engine.bounds.single_lp import LeafSolver
from verifex.engine.budget import GRACE, Budget, Pace
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import ReasonKind
from verifex.engine.ranges import find_range
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.inputs.search import decide_inputs
from verifex.engine.search.record import Closed
from verifex.engine.verdict import Outcome
from verifex.engine.watch import StopRequest, Watch
from verifex.ir.exact import PIECE, ExactArray, FloatArray
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Graph
from verifex.ir.linmap import apply_exact, dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.limits.checkpoint import CutOff, checkpoint, looking
from verifex.semantics.evaluate import evaluate_float
from verifex.settings import Settings

LONG = 1e9


class Counted:
    """Cuts off at a checkpoint, by its number; counts them."""

    def __init__(self, at: float = float("inf")) -> None:
        self.at, self.seen = at, 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen >= self.at:
            raise CutOff


class Clock:
    """A clock that goes on by `tick` whenever somebody looks."""

    def __init__(self, tick: float = 1.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def network(seed: int, widths: tuple[int, ...]) -> tuple[Graph, int, Region]:
    """A random network, its output node, and a box."""
    rng = np.random.default_rng(seed)
    pairs = [(rng.normal(size=(b, a)) / a**0.5, rng.normal(size=b) / 4)
             for a, b in itertools.pairwise(widths)]
    builder, _, out = relu_net(pairs)
    region = Region((Fraction(-1),) * widths[0], (Fraction(1),) * widths[0])
    return builder.build({"y": out}), out, region


def claim(seed: int, holds: bool, widths: tuple[int, ...] = (3, 8, 8, 1)) -> Problem:
    """That the output is above its least sampled value less .2, which needs a search and holds, or
    above that value and .05, which does not."""
    graph, out, region = network(seed, widths)
    rng = np.random.default_rng(seed)
    least = evaluate_float(graph, rng.uniform(-1, 1, (20000, widths[0])), [out])[out].min()
    bound = Fraction(float(least)) + (Fraction(-1, 5) if holds else Fraction(1, 20))
    return Problem(graph, region, Atom(Form.of({(out, 0): 1}, -bound)))


Engine = Callable[[Problem], Closed | None]


def endless() -> Budget:
    """No end, on a clock at rest: the same steps on any machine."""
    return Budget(LONG, clock=Clock(0.0))


def by_inputs(problem: Problem) -> Closed | None:
    return decide_inputs(problem, endless()).closed


def by_gates(problem: Problem) -> Closed | None:
    return decide_search(problem, endless(), SearchOptions(width=8)).closed


# --- cut off at any place -------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [by_inputs, by_gates])
def test_a_search_that_is_cut_off_anywhere_has_closed_nothing(engine: Engine) -> None:
    problem = claim(3, holds=True, widths=(3, 6, 6, 1))
    engine(problem)  # what is worked out once is there from now on
    whole = Counted()
    with looking(whole):
        assert engine(problem) is not None
    assert whole.seen > 20
    # The last checkpoints too: what a lost batch would leave looks finished there.
    last = range(max(1, whole.seen - 4), whole.seen + 1)
    for at in {*np.linspace(1, whole.seen, 5).astype(int).tolist(), *last}:
        cut = Counted(at)
        with looking(cut):
            try:
                found = engine(problem)
            except CutOff:
                continue  # before there was anything to keep
        assert cut.seen >= at
        assert found is None, at


def test_boxes_that_are_cut_off_are_as_open_as_what_they_are_parts_of() -> None:
    """The bound that a search ends with holds, wherever it is cut off."""
    problem = claim(5, holds=False)
    whole = Counted()
    with looking(whole):
        decide_inputs(problem, endless())
    rng = np.random.default_rng(1)
    values = evaluate_float(problem.graph, rng.uniform(-1, 1, (5000, 3)), problem.targets())
    form = problem.require.form  # type: ignore[union-attr]
    ((node, _), _), = form.terms
    margin = float(values[node].min()) + float(form.const)
    for at in range(1, whole.seen, max(1, whole.seen // 15)):
        with looking(Counted(at)):
            try:
                found = decide_inputs(problem, endless())
            except CutOff:
                continue  # before there was anything to keep
        assert found.closed is None
        assert found.lower <= margin


# --- budgets --------------------------------------------------------------------------------------


def test_a_checkpoint_does_nothing_outside_of_a_question() -> None:
    checkpoint()
    with pytest.raises(CutOff), looking(Counted(1)):
        checkpoint()
    checkpoint()


def test_work_is_cut_off_a_moment_after_its_time() -> None:
    clock = Clock(0.0)
    budget = Budget(10.0, clock=clock)
    with budget.enforced():
        clock.now = 10.0 + GRACE / 2
        assert budget.spent
        checkpoint()  # time for a last replay
        clock.now = 10.0 + 2 * GRACE
        with pytest.raises(CutOff):
            checkpoint()


def test_work_is_cut_off_a_moment_after_it_is_stopped() -> None:
    stop, clock = StopRequest(), Clock(0.0)
    with Budget(1000.0, clock=clock, stopped=stop.is_set).enforced():
        checkpoint()
        stop.set()
        checkpoint()
        clock.now = 2 * GRACE
        with pytest.raises(CutOff):
            checkpoint()


def test_more_memory_than_allowed_ends_work() -> None:
    with Budget(1000.0, memory=1 << 20).enforced():
        held = np.ones(16 << 20, dtype=np.uint8)
        with pytest.raises(MemoryError, match="more than 1 MiB"):
            checkpoint()
        assert held.any()


def test_pieces_follow_what_the_last_one_took() -> None:
    clock = Clock(0.0)
    pace = Pace(Budget(1000.0, clock=clock), first=8, most=100, step=1.0)
    sizes = []
    for took in (0.0, 0.0, 4.0, 80.0, 1.0, 1.0):
        with pace.piece(pace.size):
            clock.now += took
        sizes.append(pace.size)
    # At once: twice as many. 32 in 4 s: 8 in one. 8 in 80 s: one at least. Then twice as many.
    assert sizes == [16, 32, 8, 1, 1, 1]
    with pace.piece(1):
        clock.now += 0.01
    assert pace.size == 2


# --- single loops ---------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [0, 3, 10, 30, 100])
def test_bounds_at_the_root_end_with_the_budget_and_hold(looks: int) -> None:
    graph, out, region = network(0, (4, 20, 20, 2))
    lo, hi = region.float_box()
    whole = root(graph, out, endless())
    clock = Clock()
    found = root(graph, out, Budget(float(looks), clock=clock))
    assert len(found.facts) <= len(whole.facts)
    assert looks or not found.facts
    # A few looks from the end on: every batch, and every iteration of one, asks.
    assert clock.now <= looks + 12
    values = evaluate_float(graph, np.random.default_rng(2).uniform(lo, hi, (2000, 4)), [out])[out]
    assert (found.boxes.lo[out][0] <= values.min(axis=0)).all()
    assert (found.boxes.hi[out][0] >= values.max(axis=0)).all()


def root(graph: Graph, out: int, budget: Budget) -> Root:
    lo, hi = graph_box(graph)
    layout, effort = Layout(graph, (out,)), Effort(3, 0.2, 0.97)
    return root_facts(layout, PlainBounder(graph), lo, hi, budget, effort)


def graph_box(graph: Graph) -> tuple[FloatArray, FloatArray]:
    return -np.ones(graph.input_size), np.ones(graph.input_size)


def test_a_node_of_several_batches_keeps_the_facts_of_all_of_them() -> None:
    graph, out, _ = network(1, (5, 40, 700, 1))
    found = root(graph, out, endless())
    (z, size), = [(i, n.size) for i, n in enumerate(graph.nodes)
                  if n.size == 700 and i in found.layout.facts]
    improved = {(f.index, f.sign): f.bound for f in found.facts if f.node == z}
    assert len(improved) > 600
    low, high = found.layout.facts[z]
    for (element, sign), bound in improved.items():
        assert (low[element] if sign > 0 else -high[element]) == bound
    assert size == len(low)


def test_exact_products_are_made_in_pieces() -> None:
    rng = np.random.default_rng(3)
    weight = rng.integers(-9, 9, (300, 2 * PIECE // 300)).astype(float)
    x = ExactArray.from_float(rng.integers(-9, 9, (1, weight.shape[1])).astype(float))
    counted = Counted()
    with looking(counted):
        image = apply_exact(dense(weight), x)
    assert counted.seen >= 4  # two pieces of the conversion, two of the product
    assert (image.num == (x.num.astype(int) @ weight.T.astype(int))).all()
    with pytest.raises(CutOff), looking(Counted(counted.seen)):
        apply_exact(dense(weight), x)


def test_points_of_a_large_network_are_evaluated_some_at_a_time() -> None:
    graph, out, _ = network(4, (50, 3000, 3000, 1))
    points = np.random.default_rng(5).uniform(-1, 1, (130, 50))
    counted, alone = Counted(), Counted()
    with looking(counted):
        together = evaluate_float(graph, points, [out])[out]
    with looking(alone):
        first = evaluate_float(graph, points[:1], [out])[out]
    assert counted.seen >= 3 * alone.seen
    assert together.shape == (130, 1)
    assert np.allclose(together[:1], first)


@pytest.mark.parametrize("entry", [1e300, np.inf, np.nan, -1e16])
def test_no_program_with_huge_entries_is_solved(entry: float) -> None:
    lo, hi = np.zeros(2), np.ones(2)
    left, right = np.array([[1.0, 1.0]]), np.array([0.5])
    solver = LeafSolver()
    assert solver.minimise(np.ones(2), 0.0, left, right, lo, hi).value == pytest.approx(0.5)
    for cost, a in ((np.array([entry, 1.0]), left), (np.ones(2), np.array([[entry, 1.0]]))):
        assert not solver.minimise(cost, 0.0, a, right, lo, hi).solved
    # A bound that is next to nothing is no number to be afraid of.
    tiny = solver.minimise(np.ones(2), 0.0, left, right, lo, np.array([1.0, 5e-324]))
    assert tiny.value == pytest.approx(0.5)


# --- questions ------------------------------------------------------------------------------------


def test_a_question_without_time_is_unknown() -> None:
    problem = claim(3, holds=True)
    verdict = decide(problem, Settings(seconds=1e-9))
    assert verdict.outcome is Outcome.UNKNOWN
    assert ReasonKind.OUT_OF_TIME in {reason.kind for reason in verdict.reasons}


def test_a_question_that_is_stopped_before_it_begins_is_unknown() -> None:
    stop = StopRequest()
    stop.set()
    verdict = decide(claim(3, holds=True), Settings(seconds=60), watch=Watch(stop=stop))
    assert verdict.outcome is Outcome.UNKNOWN


def test_an_engine_without_memory_says_so() -> None:
    """A network of which a single bound does not fit: a reason, and no process that is killed."""
    graph, out, region = network(0, (40, 1500, 1500, 1))
    problem = Problem(graph, region, Atom(Form.of({(out, 0): 1}, 3)))
    with pytest.raises(MemoryError, match="more than 1 MiB"):
        rows_at_once(problem.graph, problem.targets(), 1 << 20)
    small = Settings(seconds=20, memory=1 << 20, solvers=(), search=True, attack=False)
    verdict = decide(problem, small)
    assert verdict.outcome is Outcome.UNKNOWN
    assert ReasonKind.OUT_OF_MEMORY in {reason.kind for reason in verdict.reasons}
    assert "out of memory: " in verdict.reason


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_a_range_without_time_is_that_of_intervals(seconds: float) -> None:
    graph, out, region = network(7, (3, 10, 10, 1))
    form = Form.of({(out, 0): 1})
    found = find_range(Problem(graph, region, Atom(form)), form,
                       Settings(seconds=seconds, solvers=(), search=True))
    values = evaluate_float(graph, np.random.default_rng(8).uniform(-1, 1, (5000, 3)), [out])[out]
    for end, extreme, sign in ((found.low, values.min(), -1), (found.high, values.max(), 1)):
        assert end.proven is not None
        assert sign * end.proven >= sign * Fraction(float(extreme))


@pytest.mark.parametrize("seed", range(3000, 3006))
def test_questions_under_a_counting_clock_are_never_claimed_wrongly(seed: int) -> None:
    """The same question with more and more time: what is claimed is so with all of the time."""
    asked = question(seed).problem
    alone = SearchOptions(width=16, root_effort=Effort(3, 0.2, 0.97))
    truth = decide_search(asked, endless(), alone)
    for looks in (1, 5, 20, 80, 320):
        budget = Budget(float(looks), clock=Clock())
        with budget.enforced():
            try:
                found = decide_search(replace(asked), budget, alone)
            except CutOff:
                continue
        if found.closed is not None:
            assert truth.witness is None
        if found.witness is not None:
            assert truth.closed is None
