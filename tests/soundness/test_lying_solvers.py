"""Whatever a solver answers: never `proved`; `refuted` only by exact replay; `claimed` by name."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest

from tests.soundness.liars import LIES
from tests.soundness.lying import FALSE, KINDS, TRUE, liar
from verifex.engine.decide import decide
from verifex.engine.ranges import find_range
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.ir.formula import Form
from verifex.ir.problem import Problem
from verifex.settings import Settings

MISBEHAVIOUR = ("abort", "leave", "throw", "nothing", "garbage", "wrong_id", "bad_status",
                "flood_channel", "flood_stderr", "closes", "gone")


def violated_by_hand(point: tuple[Fraction, ...]) -> bool:
    """Whether a point really breaks FALSE: inside, off both kinks, on the slope."""
    inside = all(-1 <= v <= 1 for v in point)
    return inside and 0 < sum(point) < 1


@pytest.fixture
def planted() -> Iterator[list[SolverPool]]:
    """Pools made by a test, closed at its end."""
    made: list[SolverPool] = []
    yield made
    for pool in made:
        pool.close()


def check(problem: Problem, verdict: Verdict) -> None:
    """What must be so of any verdict, whoever answered."""
    assert verdict.outcome is not Outcome.PROVED
    assert verdict.exit_code != 0
    if verdict.outcome is Outcome.REFUTED:
        assert problem is FALSE
        assert verdict.witness is not None
        assert violated_by_hand(verdict.witness.point)
    if verdict.outcome is Outcome.CLAIMED:
        assert any(e.source == "liar" for e in verdict.evidence)
        assert verdict.exit_code == 2


def test_the_questions_are_what_they_should_be() -> None:
    """Honest solvers: one claim holds, the other does not, and bounds alone decide neither."""
    for problem, outcome in ((TRUE, Outcome.CLAIMED), (FALSE, Outcome.REFUTED)):
        for name in ("highs", "z3", "regions"):
            verdict = decide(problem, Settings(solvers=(name,), attack=False, search=False))
            assert verdict.outcome is outcome, (name, verdict)
            assert verdict.steps[0].result == "open"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", LIES)
def test_lies(lie: str, kind: str, planted: list[SolverPool]) -> None:
    pool = liar(lie, kind, planted)
    for problem in (TRUE, FALSE):
        options = Settings(seconds=20, solvers=("liar",), attack=False, search=False)
        check(problem, decide(problem, options, pool))


def test_a_lie_that_is_believed_is_only_claimed(planted: list[SolverPool]) -> None:
    """`infeasible` on a violated claim cannot be seen through, and carries the liar's name."""
    options = Settings(solvers=("liar",), attack=False, search=False)
    for lie, kind in (("infeasible", "exact"), ("bound_alone", "float"), ("infeasible", "problem")):
        verdict = decide(FALSE, options, liar(lie, kind, planted))
        assert verdict.outcome is Outcome.CLAIMED
        assert all(e.source == "liar" for e in verdict.evidence)


def test_a_bound_within_tolerance_of_zero_claims_nothing(planted: list[SolverPool]) -> None:
    pool = liar("bound_just_below", "float", planted)
    verdict = decide(FALSE, Settings(solvers=("liar",), attack=False, search=False), pool)
    assert verdict.outcome is Outcome.UNKNOWN


def test_a_true_witness_is_taken_from_anyone(planted: list[SolverPool]) -> None:
    """x = y = 1/2 has x + y = 1, a kink; the next solver in line finds a point beside it."""
    pool = liar("centre", "exact", planted)
    verdict = decide(FALSE, Settings(solvers=("liar", "z3"), attack=False, search=False), pool)
    assert verdict.outcome is Outcome.REFUTED
    check(FALSE, verdict)
    assert any(e.source == "z3" for e in verdict.evidence)


@pytest.mark.parametrize("mode", MISBEHAVIOUR)
def test_misbehaviour_is_unknown_and_the_next_solver_decides(
    mode: str, planted: list[SolverPool]
) -> None:
    pool = liar(mode, "float", planted)
    both = Settings(seconds=20, solvers=("liar", "highs"), attack=False, search=False)
    verdict = decide(FALSE, both, pool)
    assert verdict.outcome is Outcome.REFUTED
    check(FALSE, verdict)
    one = Settings(seconds=5, solvers=("liar",), attack=False, search=False)
    alone = decide(TRUE, one, pool)
    assert alone.outcome is Outcome.UNKNOWN
    assert any(r.source == "liar" for r in alone.reasons)


@pytest.mark.parametrize("mode", ["hang", "silent_half", "never_reads"])
def test_a_silent_solver_ends_at_the_deadline(mode: str, planted: list[SolverPool]) -> None:
    """It is silent for longer than a test may take."""
    pool = liar(mode, "exact", planted)
    options = Settings(seconds=1.5, solvers=("liar",), attack=False, search=False)
    verdict = decide(TRUE, options, pool)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "liar: time" in verdict.reason


@pytest.mark.parametrize("lie", ["low_bound", "high_bound", "corner", "outside", "huge_bound"])
def test_ranges_keep_proven_and_attained_apart_from_claims(
    lie: str, planted: list[SolverPool]
) -> None:
    """The truth is [0, 1]: what is proven contains it, what is attained lies in it."""
    node = TRUE.graph.outputs["attribution"]
    form = Form.of({(node, 0): 1})
    pool = liar(lie, "float", planted)
    options = Settings(seconds=10, solvers=("liar",), search=False)
    found = find_range(TRUE, form, options, pool, "slope")
    assert found.low.proven is not None
    assert found.high.proven is not None
    assert found.low.proven <= 0
    assert found.high.proven >= 1
    for end in (found.low, found.high):
        assert end.attained in (None, 0, 1)
    assert found.exit_code == 2
