"""Solvers that are wrong once, or always: no claim, no closed range, and their names are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction as F

import numpy as np
import pytest

from tests.soundness.lying import FALSE, TRUE, liar
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.falsify.seeker import Seeker
from verifex.engine.findings.reasons import (
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    sentence,
)
from verifex.engine.range_end import End, Left
from verifex.engine.ranges import find_range
from verifex.engine.run import node_bounds
from verifex.engine.search.handover import Rest
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, RangeEnd, RangeVerdict
from verifex.ir.formula import TRUE as ALWAYS
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.vjp import gradients
from verifex.settings import Settings

ALONE = Settings(seconds=20, solvers=("liar",), search=False, attack=False)


@pytest.fixture
def planted() -> Iterator[list[SolverPool]]:
    made: list[SolverPool] = []
    yield made
    for pool in made:
        pool.close()


def needle() -> tuple[Problem, Form]:
    """f = relu(x - 3/10) - relu(x - 3/10 - 2^-20) on [-1, 1], and its gradient: 1 on so small an
    interval that no sample meets it, 0 elsewhere."""
    b = Builder()
    x = b.input("x", (1,))
    z = b.affine(dense(np.ones((2, 1))), x, np.array([-0.3, -0.3 - 2.0**-20]))
    f = b.affine(dense(np.array([[1.0, -1.0]])), b.relu(z))
    (slope,) = gradients(b, f, [x])
    graph = b.build({"f": f, "slope": slope})
    form = Form.of({(slope, 0): 1})
    return Problem(graph, Region((F(-1),), (F(1),)), Atom(form)), form


NEEDLE, SLOPE = needle()


def high_of(found: RangeVerdict) -> RangeEnd:
    """The upper end, which must not be taken for known, nor what is false for a bound."""
    assert not found.settled
    assert found.high.claimed is None or found.high.claimed >= 1
    assert found.high.proven is not None
    assert found.high.proven >= 1
    return found.high


@pytest.mark.parametrize("lie", ["first_low", "then_low"])
def test_two_runs_that_disagree_claim_nothing(
    lie: str, planted: list[SolverPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed says that the slope is at most 0 (which is all that samples attain), one says 1."""
    # The local search would attain the 1, and so settle what the two runs disagree about.
    monkeypatch.setattr(Seeker, "exhausted", property(lambda _: True))
    found = find_range(NEEDLE, SLOPE, ALONE, liar(lie, "float", planted), "slope")
    assert high_of(found).claimed is None
    assert "liar: its bound" in found.reason
    assert "a second run, with another seed, says" in found.reason


def test_the_next_solver_contradicts_by_name(planted: list[SolverPool]) -> None:
    options = replace(ALONE, solvers=("liar", "z3"))
    found = find_range(NEEDLE, SLOPE, options, liar("first_low", "float", planted), "slope")
    assert found.high.claimed == pytest.approx(1)
    assert found.high.by == "z3"
    assert "liar: its bound 0 contradicts z3's 1: discarded" in found.reason


def test_the_better_point_of_two_runs_discards_the_other_bound(
    planted: list[SolverPool]
) -> None:
    """The honest run's point, attains what the other run denies."""
    found = find_range(NEEDLE, SLOPE, ALONE, liar("first_low_then_found", "float", planted), "s")
    assert high_of(found).attained == 1
    assert "contradicts a replayed value 1: discarded" in found.reason


def test_a_lie_told_twice_is_a_claim_with_its_author(planted: list[SolverPool]) -> None:
    """What nothing contradicts and two runs say is claimed: never proven, and signed."""
    found = find_range(NEEDLE, SLOPE, ALONE, liar("zero", "float", planted), "slope")
    assert found.high.claimed == 0
    assert found.high.by == "liar"
    assert found.high.proven is not None
    assert found.high.proven >= 1
    assert Evidence(EvidenceKind.AGREED_BOUND, "liar") in found.evidence


def test_a_replayed_value_discards_a_bound(planted: list[SolverPool]) -> None:
    """The slope of TRUE is 1 on an eighth of its box: samples attain what the liar denies."""
    form = Form.of({(TRUE.graph.outputs["attribution"], 0): 1})
    found = find_range(TRUE, form, ALONE, liar("half", "float", planted), "slope")
    assert high_of(found).attained == 1
    assert found.low.attained == 0
    assert found.low.claimed is None
    assert "liar: its bound 0.5 contradicts a replayed value 1: discarded" in found.reason
    assert "liar: its bound 0.5 contradicts a replayed value 0: discarded" in found.reason


@pytest.mark.parametrize("kind", ["float", "exact", "problem"])
def test_infeasible_is_contradicted_by_any_point(kind: str, planted: list[SolverPool]) -> None:
    found = find_range(NEEDLE, SLOPE, ALONE, liar("infeasible_always", kind, planted), "slope")
    if kind == "exact":  # it is not used, for it does not optimise
        assert "does not optimise" in found.reason
        return
    high_of(found)
    assert "liar: its answer 'infeasible' contradicts a replayed point" in found.reason


# --- beside a search ----------------------------------------------------------------------------


def end_of(lie: str, left: Left, known: RangeEnd, pools: list[SolverPool]) -> tuple[End, RangeEnd]:
    """The upper end of the needle's slope, as a liar is asked after a search."""
    bounds = node_bounds(NEEDLE)
    end = End(NEEDLE, Objective(SLOPE, True), bounds, replace(ALONE, search=True),
              liar(lie, "float", pools), Budget(20.0), left)
    return end, end.run(SLOPE.bounds(*bounds)[1], known)


def test_a_search_that_has_ended_is_not_overruled(planted: list[SolverPool]) -> None:
    """It found 1 at a point that does not replay: its bound stands, and the liar's is named."""
    known = RangeEnd(F(1), 1.0, F(0), (F(0),), by="search")
    end, told = end_of("zero", Left(-1.0, -1.0, None), known, planted)
    assert (told.claimed, told.by) == (1.0, "search")
    assert told.gap == 1
    assert Reason(ReasonKind.CONTRADICTED, "liar", "the search's 1", 0.0) in end.reasons


def test_a_search_that_has_ended_is_not_tightened(planted: list[SolverPool]) -> None:
    """Nor where the liar stays above what is attained: sound beats claimed."""
    known = RangeEnd(F(1), 1.0, F(0), (F(0),), by="search")
    _, told = end_of("half", Left(0.0, -1.0, None), known, planted)
    assert (told.claimed, told.by) == (1.0, "search")


class _Open(Rest):
    """An open rest: the whole region."""

    def bounds(self, given):  # type: ignore[no-untyped-def]
        return given


@pytest.mark.parametrize(("lie", "claimed", "word"), [
    ("infeasible_always", 0.0, ""),  # nothing better than 0, twice: claimed, by name
    ("half_then_infeasible", 1.0, "is not claimed"),
    ("first_infeasible", 1.0, "is not claimed"),
])
def test_what_a_search_leaves_is_closed_by_two_runs_only(
    lie: str, claimed: float, word: str, planted: list[SolverPool]
) -> None:
    known = RangeEnd(F(1), 1.0, F(0), (F(0),), by="search")
    left = Left(0.0, 0.0, _Open.__new__(_Open))
    end, told = end_of(lie, left, known, planted)
    assert told.claimed == claimed
    assert told.by == ("search" if word else "liar")
    assert word in sentence(end.reasons)


def test_a_searchs_bound_that_a_point_contradicts_goes_too() -> None:
    """Nobody is believed against a replayed value: not the search either."""
    from verifex.engine.falsify.attained import Best

    best = Best(NEEDLE, Objective(SLOPE, True))
    best.offer([F(3, 10) + F(1, 2**21)])
    reasons: list[Reason] = []
    told = best.result(F(2), (0.5, "search"), reasons)
    assert (told.attained, told.claimed, told.best_bound) == (1, None, 2.0)
    assert list(map(str, reasons)) == [
        "search: its bound 0.5 contradicts a replayed value 1: discarded"]


@pytest.mark.parametrize(("bound", "claimed", "by"), [
    (1 - 2**-30, 1 + 2**-30, "liar"),  # within tolerance: it may have missed others by as much
    (1.5, 1.5, "liar"),
    (7.0, 2.0, "interval bounds"),  # what is proven is tighter
])
def test_a_bound_lies_between_what_is_attained_and_what_is_proven(
    bound: float, claimed: float, by: str
) -> None:
    from verifex.engine.falsify.attained import Best

    best = Best(NEEDLE, Objective(SLOPE, True))
    best.offer([F(3, 10) + F(1, 2**21)])
    told = best.result(F(2), (bound, "liar"), [])
    assert (told.claimed, told.by) == (claimed, by)


@pytest.mark.parametrize("value", [F(1, 3), F(2, 3), F(-1, 10), F(1, 2)])
def test_a_value_is_made_a_bound_by_rounding_outward(value: F) -> None:
    from verifex.engine.falsify.attained import outward

    low, high = outward(value, -np.inf), outward(value, np.inf)
    assert F(low) <= value <= F(high)
    assert high <= np.nextafter(low, np.inf)


# --- claims -------------------------------------------------------------------------------------

NARROW = replace(NEEDLE, require=Atom(Form.of({SLOPE.terms[0][0]: -1}, F(1, 2))))
"""The slope is at most 1/2: false, where no sample looks; the margin of the violation is 1/2."""


def test_the_claim_is_what_it_should_be() -> None:
    assert decide(NARROW, replace(ALONE, solvers=("z3",))).outcome is Outcome.REFUTED
    assert NARROW.assume == ALWAYS


@pytest.mark.parametrize("lie", [
    "first_negative", "two_claims", "first_infeasible", "then_infeasible", "once",
])
def test_a_claim_needs_two_runs_that_agree(lie: str, planted: list[SolverPool]) -> None:
    problem = replace(NARROW, point=(F(0),))
    verdict = decide(problem, ALONE, liar(lie, "float", planted))
    assert verdict.outcome is Outcome.UNKNOWN, verdict
    assert "liar: its" in verdict.reason


def test_a_claim_that_the_first_run_denies_is_none(planted: list[SolverPool]) -> None:
    verdict = decide(NARROW, ALONE, liar("then_negative", "float", planted))
    assert verdict.outcome is Outcome.UNKNOWN


def test_the_users_seed_is_where_runs_begin(planted: list[SolverPool]) -> None:
    """From seed 1 on, `first_negative` says twice that a violation by 1 is possible."""
    pool = liar("first_negative", "float", planted)
    verdict = decide(NARROW, replace(ALONE, seed=1), pool)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "not claimed" not in verdict.reason
    echo = decide(NARROW, replace(ALONE, seed=7), liar("echo", "float", planted))
    assert "seed 7" in echo.reason


def test_what_is_said_is_compared_with_a_replayed_margin(planted: list[SolverPool]) -> None:
    """A worst margin of 5 where the attack has replayed a margin of 1/2 is none."""
    problem = replace(NARROW, point=(F(0),))
    for lie, word in (("two_claims", "bound -5"), ("infeasible_always", "infeasible")):
        pool = liar(lie, "float", planted)
        verdict = decide(problem, replace(ALONE, attack=True), pool)
        assert verdict.outcome is Outcome.UNKNOWN
        assert word in verdict.reason
        assert "contradicts a replayed margin 0.5: discarded" in verdict.reason
        assert verdict.margin_claimed is None


def test_a_solvers_own_point_testifies_against_it(planted: list[SolverPool]) -> None:
    """The bound says that the margin is 5 everywhere; at the point beside it it is 1/2."""
    verdict = decide(FALSE, ALONE, liar("low_bound", "float", planted))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "liar: its bound -5 contradicts a replayed margin 0.5: discarded" in verdict.reason


def test_doubts_are_notes_of_a_verdict_that_stands(planted: list[SolverPool]) -> None:
    options = replace(ALONE, solvers=("liar", "z3"))
    verdict = decide(NARROW, options, liar("two_claims", "float", planted))
    assert verdict.outcome is Outcome.REFUTED
    assert any(note.startswith("liar: its bound") for note in verdict.notes)


@pytest.mark.parametrize("kind", ["exact", "problem"])
def test_exact_solvers_are_contradicted_by_a_violation_on_a_kink(
    kind: str, planted: list[SolverPool]
) -> None:
    """x in {0} only: the slope of relu(x) is 0 or 1 there, and "at least 1/2" fails at gate 0."""
    b = Builder()
    x = b.input("x", (1,))
    f = b.relu(b.affine(dense(np.ones((1, 1))), x, np.zeros(1)))
    (slope,) = gradients(b, f, [x])
    graph = b.build({"f": f, "slope": slope})
    claim = Atom(Form.of({(slope, 0): 1}, F(-1, 2)))
    problem = Problem(graph, Region((F(0),), (F(0),)), claim, point=(F(0),))
    pool = liar("infeasible_always", kind, planted)
    verdict = decide(problem, replace(ALONE, attack=True), pool)
    assert verdict.outcome is not Outcome.CLAIMED
