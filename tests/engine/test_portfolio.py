"""Engines that share the time of one question: who gets how much, and that answers are the same."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.helpers.questions import question
from tests.helpers.small_nets import relu_net
from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget, PausableClock
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import Evidence, EvidenceKind, Reason, ReasonKind
from verifex.engine.portfolio.portfolio import Portfolio
from verifex.engine.portfolio.progress import Progress
from verifex.engine.portfolio.shares import HOPELESS, LEAST, shares_of
from verifex.engine.ranges import find_range
from verifex.engine.run import OpenPart, Run, node_bounds
from verifex.engine.search.claims import ClaimSearch, decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.inputs.search import InputSearch, decide_inputs
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.engine.watch import Watch
from verifex.ir.formula import Atom, Form
from verifex.ir.model.solving import Status
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_float
from verifex.settings import Settings
from verifex.solvers import regions

F = Fraction


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


class Clock:
    """A clock that goes on when somebody works."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Worker:
    """An engine that decides a claim after `needs` seconds of work, and tells what is left if it
    `knows`; one that stands still never does."""

    name: str
    clock: Clock
    needs: float
    knows: bool = True
    proves: bool = True
    ended: bool = False
    closed: bool = False
    had: float = 0.0
    slices: list[float] = field(default_factory=list)

    @property
    def stage(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        return self.name

    def go_on(self, seconds: float) -> Verdict | None:
        passed = min(seconds, self.needs - self.had)
        self.clock.now += passed
        self.had += passed
        self.slices.append(passed)
        if self.had < self.needs:
            return None
        self.ended = True
        kind = EvidenceKind.BOXES_CLOSED if self.proves else EvidenceKind.INFEASIBLE
        return Verdict(Outcome.CLAIMED, evidence=(Evidence(kind, self.name, count=1),))

    @property
    def left(self) -> float | None:
        return 1.0 - self.had / self.needs if self.knows else None

    def remaining(self, used: float) -> float:
        if math.isinf(self.needs):
            return math.inf
        return self.needs - self.had if self.knows else max(1.0, 2 * used)

    def result(self) -> str:
        return "worked"

    def reasons(self) -> list[Reason]:
        return [Reason(ReasonKind.NO_ANSWER, self.name, "time")]

    def rest(self) -> OpenPart | None:
        return None

    def close(self) -> None:
        self.closed = True


def shared(
    clock: Clock, *workers: Worker, seconds: float = 100.0, proof: bool = True
) -> tuple[Verdict | None, Run, list[dict[str, Any]]]:
    """What workers make of a question, the run, and the log."""
    entries: list[dict[str, Any]] = []
    problem = question(1).problem
    run = Run(problem, Settings(), Budget(seconds, clock=clock), SolverPool(),
              node_bounds(problem), Watch(entries.append))
    portfolio = Portfolio(run, list(workers), proof_wanted=proof)
    return portfolio.decide(), run, entries


def test_the_engine_that_is_nearest_to_its_end_gets_most_of_the_time() -> None:
    clock = Clock()
    good, bad = Worker("good", clock, 10.0), Worker("bad", clock, 1000.0)
    verdict, _, entries = shared(clock, bad, good)
    assert verdict is not None
    assert verdict.evidence[0].source == "good"
    assert good.had == pytest.approx(10.0)
    assert bad.had <= 0.3 + 10.0 * 0.2
    steps = {step.stage: step.seconds for step in verdict.steps}
    assert steps == {"good": pytest.approx(good.had), "bad": pytest.approx(bad.had)}
    slices = [e for e in entries if e["event"] == "slice"]
    assert sum(e["seconds"] for e in slices) == pytest.approx(clock.now, abs=1e-2)
    assert {e["engine"] for e in slices} == {"good", "bad"}
    assert all(0 <= e["left"] <= 1 for e in slices)
    assert good.closed
    assert bad.closed


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_one_that_stands_still_starves_nobody(order: tuple[int, ...]) -> None:
    """Whatever the others say of themselves, an engine that would take 5 s has them within the
    bound that a tenth of the time gives, and within a few times that where the others stagnate."""
    clock = Clock()
    workers = [Worker("still", clock, math.inf), Worker("none", clock, math.inf, knows=False),
               Worker("quiet", clock, 5.0, knows=False)]
    verdict, _, _ = shared(clock, *(workers[k] for k in order))
    assert verdict is not None
    assert verdict.evidence[0].source == "quiet"
    assert clock.now <= 5.0 * 1.5


def test_a_tenth_of_the_time_is_for_whoever_may_end() -> None:
    clock = Clock()
    boaster = Worker("boaster", clock, 1e6)
    boaster.remaining = lambda used: 0.01  # type: ignore[method-assign]
    modest = Worker("modest", clock, 4.0, knows=False)
    verdict, _, _ = shared(clock, boaster, modest)
    assert verdict is not None
    assert verdict.evidence[0].source == "modest"
    assert clock.now <= 4.0 / LEAST + 12.0  # and the slice that the other had last


def test_when_the_time_is_over_all_tell_why() -> None:
    clock = Clock()
    workers = [Worker("one", clock, 1e3), Worker("other", clock, math.inf)]
    verdict, run, _ = shared(clock, *workers, seconds=20.0)
    assert verdict is None
    assert [r.source for r in run.reasons] == ["one", "other"]
    assert clock.now == pytest.approx(20.0)
    assert all(w.closed for w in workers)


def test_a_claim_without_a_proof_waits_for_one_as_long_as_one_may_come() -> None:
    clock = Clock()
    sure, prover = Worker("sure", clock, 1.0, proves=False), Worker("prover", clock, 30.0)
    verdict, _, _ = shared(clock, sure, prover)
    assert verdict is not None
    assert verdict.evidence[0].source == "prover"
    clock = Clock()
    sure, prover = Worker("sure", clock, 1.0, proves=False), Worker("prover", clock, math.inf)
    verdict, _, _ = shared(clock, sure, prover)
    assert verdict is not None
    assert verdict.evidence[0].source == "sure"
    assert clock.now <= 10.0
    clock = Clock()
    sure, prover = Worker("sure", clock, 1.0, proves=False), Worker("prover", clock, 30.0)
    verdict, _, _ = shared(clock, sure, prover, proof=False)
    assert verdict is not None
    assert verdict.evidence[0].source == "sure"


@dataclass
class Knower(Worker):
    """One that says all of the time that nothing is undecided in what it has left open, and runs
    out of memory after `most` slices."""

    run: Run | None = None
    most: int = 0

    def go_on(self, seconds: float) -> Verdict | None:
        if len(self.slices) >= self.most:
            raise MemoryError
        return super().go_on(seconds)

    def rest(self) -> OpenPart | None:
        assert self.run is not None
        low, high = self.run.bounds
        middle = {i: (low[i] + high[i]) / 2 for i in low}
        return OpenPart(
            (middle, middle), self.name, lambda: pytest.fail("not asked"), rounded=False)


def test_nobody_is_asked_about_the_rest_of_one_that_was_cut_off() -> None:
    """It may be in the middle of something that is missing from what it says."""
    clock = Clock()
    problem = question(1).problem
    run = Run(problem, Settings(), Budget(100.0, clock=clock), SolverPool(),
              node_bounds(problem))
    knower = Knower("knower", clock, 50.0, run=run, most=2)
    portfolio = Portfolio(run, [knower])
    assert portfolio.rest() is not None
    assert portfolio.decide() is None
    assert knower.ended
    assert len(knower.slices) == 2
    assert portfolio.rest() is None


def test_shares_add_up_and_nobody_has_less_than_the_least() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = "abcde"[: rng.integers(1, 6)]
        remaining = {n: float(rng.choice([0.0, 0.01, 1.0, 50.0, 1e4, math.inf])) for n in names}
        shares = shares_of(remaining, 100.0)
        assert sum(shares.values()) == pytest.approx(1.0)
        for n, r in remaining.items():
            assert shares[n] >= (LEAST if r <= 100 else HOPELESS) - 1e-9
        order = sorted(names, key=lambda n: remaining[n])
        assert all(shares[a] >= shares[b] - 1e-9 for a, b in itertools.pairwise(order))


def test_progress_is_reckoned_from_the_latter_half() -> None:
    falling = Progress()
    for k in range(1, 11):
        falling.note(float(k), 1.0 - k / 20, 1000 - 50 * k, 500 * k, -1.0)
    assert falling.remaining() == pytest.approx(10.0)
    growing = Progress()
    for k in range(1, 11):
        growing.note(float(k), 0.5**k, 100 * k, 500 * k, -1.0)
    assert growing.remaining() == pytest.approx(10.0)
    still = Progress()
    for k in range(1, 11):
        still.note(float(k), 0.7, 100, 500 * k, -1.0 + 1e-9 * k)
    assert still.remaining() == math.inf


def test_a_search_that_has_hardly_begun_does_not_stagnate() -> None:
    begun = Progress()
    for k in range(1, 11):
        begun.note(float(k), 1.0, k + 1, 2 * k + 1, -1.0)
    assert begun.remaining() == pytest.approx(20.0)


def test_a_bound_that_moves_is_progress() -> None:
    """Of 2 it has come 1 nearer in the latter half of its 10 s, so it needs 5 s more for the rest;
    as the number of open domains grows, it is reckoned as half way."""
    moving = Progress()
    for k in range(1, 11):
        moving.note(float(k), 1.0, 100 * k, 200 * k, -2.0 + 0.1 * k)
    assert moving.remaining() == pytest.approx(10.0)
    slow = Progress()
    for k in range(1, 11):
        slow.note(float(k), 1.0, 100 * k, 200 * k, -2.0 + 0.02 * k)
    assert slow.remaining() == pytest.approx(1.8 * 5 / 0.1)


def test_what_is_loaded_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Clock()
    monkeypatch.setattr("time.monotonic", wall)
    budget = Budget(10.0, clock=PausableClock())
    part = budget.part(0.5)
    wall.now += 1.0
    with budget.loading():
        wall.now += 100.0
    wall.now += 2.0
    assert (budget.elapsed, budget.left, part.left) == (3.0, 7.0, 2.0)


def test_what_a_search_loads_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing else takes time, a claim and a range are settled after a long import."""
    wall, waits = Clock(), list[float]()
    monkeypatch.setattr("time.monotonic", wall)

    def load(layout: Layout, device: str) -> None:
        wall.now += waits.pop() if waits else 0.0  # the second time all of it is there

    for place in ("claims", "start"):
        monkeypatch.setattr(f"verifex.engine.search.{place}.load_bounder", load)
    problem = net(3, (2, 4, 1), 2.0)
    waits.append(100.0)
    budget = Budget(50.0, clock=PausableClock())
    assert decide_search(problem, budget, SearchOptions()).closed is not None
    assert isinstance(problem.require, Atom)
    waits.append(100.0)
    settings = Settings(seconds=50.0, engine="search")
    found = find_range(problem, problem.require.form, settings)
    assert (wall.now, waits) == (200.0, [])
    assert found.settled


# --- searches that are interrupted ---------------------------------------------------------------


def net(seed: int, widths: tuple[int, ...], slack: float) -> Problem:
    """A random network over a box, with a claim that its least value is above that of samples, less
    `slack`."""
    rng = np.random.default_rng(seed)
    pairs = [(rng.normal(size=(b, a)), rng.normal(size=b) / 2)
             for a, b in itertools.pairwise(widths)]
    builder, _, out = relu_net(pairs)
    graph = builder.build({"y": out})
    region = Region((F(-1),) * widths[0], (F(1),) * widths[0])
    claim = Problem(graph, region, Atom(Form.of({(out, 0): 1}, 0)))
    x = rng.uniform(-1, 1, size=(20_000, widths[0]))
    least = float(evaluate_float(graph, x, [out])[out].min())
    return replace(claim, require=Atom(Form.of({(out, 0): 1}, F(slack - least))))


class Slices:
    """Stops after so many questions whether to stop, again and again."""

    def __init__(self, most: int) -> None:
        self.most, self.asked = most, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.most


@pytest.mark.parametrize(("seed", "slack"), [(0, 0.3), (2, 0.3), (7, 0.3), (6, 0.05), (5, 0.05)])
def test_a_search_over_inputs_in_slices_finds_what_it_finds_in_one_go(
    seed: int, slack: float
) -> None:
    problem = net(seed, (3, 12, 12, 1), slack)
    whole = decide_inputs(problem, Budget(60.0))
    over = Slices(1)
    search = InputSearch(problem, Budget(600.0, stopped=over), whole_time=Budget(600.0))
    rounds, left = 0, [1.0]
    while not search.finished and search.witness is None and rounds < 5000:
        over.asked, rounds = 0, rounds + 1
        search.go_on()
        left.append(search.left)
        assert search.open or search.finished or search.witness or search.stuck
    assert rounds > 2
    assert all(a >= b for a, b in itertools.pairwise(left))
    assert (search.witness is None) == (whole.witness is None)
    if whole.closed is not None:
        assert search.finished
        assert search.left == 0.0
        assert (search.tree.count, len(search.tree.closed)) == (whole.boxes, whole.leaves)


@pytest.mark.parametrize("seed", [0, 2, 7])
def test_what_is_open_is_in_the_hull_and_in_the_record(seed: int) -> None:
    problem = net(seed, (3, 12, 12, 1), 0.3)
    search = InputSearch(
        problem, Budget(600.0, stopped=Slices(3)), whole_time=Budget(600.0))
    search.go_on()
    assert search.open
    record = search.record()
    assert record.proof.open == search.open + search.stuck
    low, high = search.rest(node_bounds(problem))
    (at,) = problem.graph.inputs
    for box in (search._open.lower, search._open.upper):
        assert (low[at] <= box).all()
        assert (box <= high[at]).all()
    rng = np.random.default_rng(seed)
    inside = low[at] + (high[at] - low[at]) * rng.random((2000, 3))
    values = evaluate_float(problem.graph, inside, list(low))
    for node, value in values.items():
        assert (value >= low[node] - 1e-9).all()
        assert (value <= high[node] + 1e-9).all()


@pytest.mark.parametrize("seed", [0, 2, 7])
def test_a_search_over_gates_in_slices_comes_to_the_same_end(seed: int) -> None:
    problem = net(seed, (3, 12, 12, 1), 0.3)
    options = SearchOptions(width=8)
    over = Slices(10)
    search = ClaimSearch(
        problem, Budget(600.0, stopped=over), options, whole=Budget(600.0))
    rounds = 0
    while not search.ended and rounds < 5000:
        over.asked, rounds = 0, rounds + 1
        search.go_on()
    whole = ClaimSearch(problem, Budget(600.0), options)
    whole.go_on()
    assert search.ended
    found, wanted = search.result(), whole.result()
    assert (found.closed is None) == (wanted.closed is None)
    assert (found.witness is None) == (wanted.witness is None)
    assert found.closed is None or not found.closed.proof.open


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "gates", "inputs", "programs", "search"])
def test_answers_are_those_of_region_enumeration(engine: str, pool: SolverPool) -> None:
    """On random small networks no engine says what is not so, and together they decide most."""
    decided = tried = 0
    for seed in range(400, 424):
        asked = question(seed)
        if asked.products:
            continue
        tried += 1
        truth = regions.decide(asked.problem, 30.0).status
        said = decide(asked.problem, Settings(
            seconds=3.0, engine=engine, attack=engine == "auto"), pool)
        decided += said.outcome is not Outcome.UNKNOWN
        if said.outcome is Outcome.CLAIMED:
            assert truth is Status.INFEASIBLE, seed
        if said.outcome is Outcome.REFUTED:
            assert truth is Status.OPTIMAL, seed
    assert tried >= 8
    assert decided >= (1 if engine in ("inputs", "programs") else 0.4 * tried)
