"""Work that somebody ends: it says what is known so far, and how near to a violation it came."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.helpers.questions import question
from verifex.engine.budget import Budget
from verifex.engine.by_solver import attain_some
from verifex.engine.decide import decide
from verifex.engine.falsify.witness import replay
from verifex.engine.findings.reasons import Reason, ReasonKind, as_interrupted
from verifex.engine.ranges import RangeQuestion, find_each
from verifex.engine.run import Run, node_bounds
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, RangeVerdict, Verdict
from verifex.engine.watch import StopRequest, Watch
from verifex.ir.formula import Atom, Form, atoms
from verifex.ir.problem import Problem
from verifex.settings import Settings

ALONE = Settings(seconds=600, solvers=(), attack=False, search=True)


def open_problem() -> Problem:
    """A problem that no bound decides at once: the first of many that takes a search of several
    batches."""
    for seed in range(3000, 3060):
        asked = question(seed).problem
        entries: list[dict[str, Any]] = []
        found = decide(asked, replace(ALONE, seconds=20), watch=Watch(entries.append))
        searched = [e for e in entries if e["event"] == "search"]
        if found.outcome is Outcome.CLAIMED and len(searched) > 2:
            return asked
    raise ValueError("no such problem")


@pytest.fixture(scope="module")
def problem() -> Problem:
    return open_problem()


def stopping(stop: StopRequest) -> Watch:
    """Stops at the first entry of a search."""

    def log(entry: dict[str, Any]) -> None:
        if entry["event"] == "search":
            stop.set()

    return Watch(log, stop=stop)


def test_no_budget_is_left_once_it_is_stopped() -> None:
    stop = StopRequest()
    whole = Watch(stop=stop).budget(Settings(seconds=50.0))
    part = whole.part(0.5)
    assert 0 < part.left <= 25.0
    stop.set()
    assert (whole.left, part.left, whole.spent, part.spent) == (0.0, 0.0, True, True)
    assert not Budget(1.0).spent


def test_a_stopped_search_tells_bounds_and_the_closest_point(problem: Problem) -> None:
    verdict = decide(problem, ALONE, watch=stopping(StopRequest()))
    assert verdict.outcome is Outcome.UNKNOWN
    kinds = [reason.kind for reason in verdict.reasons]
    assert kinds == [ReasonKind.INTERRUPTED, ReasonKind.SEARCH_STOPPED]
    assert "out of time" not in verdict.reason
    closest = verdict.closest
    assert closest is not None
    there = replay(problem, closest.point)
    assert (there.inside, there.assumed, there.violated) == (True, True, False)
    assert there.margin == closest.margin == verdict.margin_high
    told = verdict.reasons[1].bound
    if told is not None:
        assert told <= float(closest.margin or 0)
    again = Verdict.from_json(verdict.to_json())
    assert again.closest == closest


def test_what_is_known_so_far_can_be_asked_at_any_time(problem: Problem) -> None:
    stop, seen = StopRequest(), list[Verdict]()

    def log(entry: dict[str, Any]) -> None:
        if entry["event"] == "search" and not seen and stop.so_far is not None:
            seen.append(stop.so_far())

    decided = decide(problem, ALONE, watch=Watch(log, stop=stop))
    assert decided.outcome is Outcome.CLAIMED
    assert seen[0].outcome is Outcome.UNKNOWN
    assert seen[0].margin_low == decided.margin_low


def test_a_stopped_range_keeps_what_is_proven(problem: Problem) -> None:
    forms = [next(iter(atoms(problem.require))).form]
    forms.append(-forms[0])
    for count in (1, 2):
        stop = StopRequest()
        watch = stopping(stop)
        asked = [RangeQuestion(form, "f", Watch(watch.log, stop=stop)) for form in forms[:count]]
        found = find_each(problem, asked, ALONE, watch=watch)
        assert len(found) == count
        assert stop.so_far is not None
        known: list[RangeVerdict] = stop.so_far()
        assert len(known) == count
        for one in (*found, *known):
            assert one.reasons[0].kind is ReasonKind.INTERRUPTED
            low, high = one.low.proven, one.high.proven
            assert low is not None
            assert high is not None
            assert low <= high


def test_a_corner_that_violates_the_claim_is_a_witness(problem: Problem) -> None:
    """The points that a solver's statement is compared with may be counterexamples themselves."""
    form = next(iter(atoms(problem.require))).form
    for const, broken in ((-10**6, True), (10**6, False)):
        claim = replace(problem, require=Atom(Form(form.terms, Fraction(const))))
        with SolverPool() as pool:
            run = Run(claim, ALONE, Budget(60.0), pool, node_bounds(claim))
            witness = attain_some(run)
        assert (witness is not None) is broken
        assert witness is None or replay(claim, witness.point).refutes


def test_reasons_of_interrupted_work_name_no_time_limit() -> None:
    said = [Reason(ReasonKind.OUT_OF_TIME, seconds=9.0), Reason(ReasonKind.NOTHING),
            Reason(ReasonKind.NO_ANSWER, "z3", "interrupted"),
            Reason(ReasonKind.SEARCH_OUT_OF_TIME, "search", count=7, bound=-0.25),
            Reason(ReasonKind.TIE, "highs")]
    told = as_interrupted(said, 2.5)
    assert [str(reason) for reason in told] == [
        "interrupted after 2.5 s", "search: stopped after 7 domains, margin at least -0.25 so far",
        "highs: within its tolerance of a tie, or only on a kink"]


def test_a_note_is_told_once() -> None:
    verdict = Verdict(Outcome.CLAIMED, notes=("a", "b", "a"))
    assert verdict.notes == ("a", "b")
    assert replace(verdict, notes=(*verdict.notes, "b", "c")).notes == ("a", "b", "c")
