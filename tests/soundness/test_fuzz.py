"""A seeded part of the fuzz (see fuzz.py), and proof that the fuzz itself sees contradictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.helpers.marks import first_quick
from tests.helpers.questions import question
from tests.soundness.fuzz import DECIDERS, Answer, Case, Summary, ask, conflicts, document, read
from verifex.engine.findings.reasons import Reason, ReasonKind
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict

FIRST, COUNT, CHUNK = 40_000, 200, 20
SECONDS = 1.0
"""For one answer: what takes longer here is left to `make fuzz`."""


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


@pytest.mark.parametrize("first", first_quick(range(FIRST, FIRST + COUNT, CHUNK)))
def test_no_two_deciders_disagree(first: int, pool: SolverPool) -> None:
    summary = Summary()
    for seed in range(first, first + CHUNK):
        case = ask(question(seed), DECIDERS, pool, seconds=SECONDS)
        assert case.conflicts == (), case.description
        assert case.undecided == (), case.description
        summary.add(case)
    assert summary.truth["open"] == 0
    assert summary.truth["true"] >= CHUNK // 6
    assert summary.truth["false"] >= CHUNK // 6
    assert summary.near >= CHUNK // 5


# --- the fuzz itself ------------------------------------------------------------------------


def says(decider: str, said: str, **more: object) -> Answer:
    return replace(Answer(decider, said, "", 0.1), **more)  # type: ignore[arg-type]


def test_contradictions_are_seen() -> None:
    assert list(conflicts([says("a", "true"), says("b", "false")])) == ["a says true, b says false"]
    assert list(conflicts([says("a", "kink"), says("b", "true")]))
    assert list(conflicts([says("a", "kink"), says("b", "false")]))
    assert not list(conflicts([says("a", "open"), says("b", "false"), says("c", "false")]))


def test_bounds_that_a_point_breaks_are_seen() -> None:
    at = says("a", "false", attained=Fraction(-1))
    assert list(conflicts([at, says("b", "open", proven=Fraction(-1, 2))]))
    assert list(conflicts([at, says("b", "open", claimed=-0.5)]))
    fine = [at, says("b", "open", proven=Fraction(-1)), says("c", "open", claimed=-1 + 1e-9)]
    assert not list(conflicts(fine))


def test_verdicts_are_read_for_what_they_are() -> None:
    assert read("a", Verdict(Outcome.PROVED)).said == "true"
    assert read("a", Verdict(Outcome.CLAIMED)).said == "true"
    assert read("a", Verdict(Outcome.REFUTED)).said == "false"
    on_kink = Verdict(Outcome.UNKNOWN, (Reason(ReasonKind.ON_KINK),))
    assert read("a", on_kink).said == "kink"
    spent = (Reason(ReasonKind.OUT_OF_TIME, seconds=10.0),)
    late = read("a", Verdict(Outcome.UNKNOWN, spent, seconds=9.9), 10.0)
    assert (late.said, late.timed_out) == ("open", True)


def test_a_failure_fails_the_run_and_is_on_the_page() -> None:
    answers = (says("z3", "true"), says("cvc5", "false"))
    case = Case(7, "order", "2 inputs", True, 0.0, answers, tuple(conflicts(answers)), ())
    summary = Summary()
    summary.add(case)
    assert summary.failed
    page = document(summary, "python fuzz.py", 1.0)
    assert "question 7 (2 inputs): z3 says true, cvc5 says false" in page
    assert "Disagreements: 1." in page
    clean = Summary()
    clean.add(replace(case, conflicts=(), answers=answers[:1]))
    assert not clean.failed
