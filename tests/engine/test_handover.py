"""What a search leaves to a solver: its bounds hold on the open domains, and answers stay right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.gradient_nets import network
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import EvidenceKind
from verifex.engine.ranges import find_range
from verifex.engine.run import node_bounds
from verifex.engine.search.claims import decide_search
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.policy import SearchOptions
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.ir.formula import Atom, Form
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import Answer, SolveLimits
from verifex.ir.problem import Objective, Problem
from verifex.semantics.evaluate import evaluate_float
from verifex.settings import Settings
from verifex.solvers import regions

SHORT = SearchOptions(width=2, max_domains=8, root_effort=Effort(0), effort=Effort(0))
"""A search that stops early."""


class Watched(SolverPool):
    """Notes the models it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.models: list[Model] = []

    def solve(self, name: str, model: Model, limits: SolveLimits) -> Answer:
        self.models.append(model)
        return super().solve(name, model, limits)


@pytest.fixture
def pool() -> Iterator[Watched]:
    with Watched() as opened:
        yield opened


def problem_of(seed: int) -> tuple[Problem, Form]:
    b, _, (logit, gradient), region = network(seed, (3, 6, 5, 1))
    form = Form.of({(gradient, seed % 3): 1 if seed % 2 else -1})
    return Problem(b.build({"f": logit, "g": gradient}), region, Atom(form)), form


@pytest.mark.parametrize("most", [0, 4096])
@pytest.mark.parametrize("refresh", [True, False])
def test_bounds_hold_at_points_of_open_domains(refresh: bool, most: int) -> None:
    checked = tighter = 0
    rng = np.random.default_rng(0)
    for seed in range(8):
        problem, form = problem_of(seed)
        budget = Budget(60.0, 1 << 30, 1)
        (found,), _, _, layout = minima(problem, [form], budget, replace(SHORT, refresh=refresh))
        if found.rest is None:
            continue
        given = node_bounds(problem)
        low, high = replace(found.rest, together=3, most=most).bounds(given)
        lo, hi = problem.region.float_box()
        x = rng.uniform(lo, hi, (3000, len(lo)))
        values = evaluate_float(problem.graph, x, list(low))
        pattern = np.concatenate([values[z].reshape(len(x), -1) > 0 for z in layout.offsets], 1)
        signs = found.rest.domains.signs
        fits = ((signs[None] == 0) | (pattern[:, None] == (signs[None] > 0))).all(2).any(1)
        value = values[form.terms[0][0][0]].reshape(len(x), -1)[:, form.terms[0][0][1]]
        # Outside the open domains nothing is less than what they say is closed.
        assert (float(form.terms[0][1]) * value[~fits] >= found.closed - 1e-7).all()
        for i, v in values.items():
            assert (v[fits] >= low[i] - 1e-9).all()
            assert (v[fits] <= high[i] + 1e-9).all()
            tighter += int((high[i] - low[i] < given[1][i] - given[0][i] - 1e-9).sum())
        checked += int(fits.sum())
    assert checked > 100
    assert tighter > 0


def test_ranges_are_completed(pool: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that stops early and a solver: together the exact range, by smaller models."""
    longer = replace(SHORT, width=4, max_domains=30)
    monkeypatch.setattr("verifex.engine.search.gates.search.SearchOptions", lambda **_: longer)
    handed = smaller = 0
    for seed in range(10):
        problem, form = problem_of(seed)
        exact = [regions.optimum(problem, Objective(form, m), 30.0).bound for m in (False, True)]
        pool.models.clear()
        settings = Settings(seconds=30, solvers=("highs",), search=True)
        told = find_range(problem, form, settings, pool)
        binaries = [sum(v.integer for v in m.variables) for m in pool.models]
        handed += bool(binaries)
        for end, wanted in zip((told.low, told.high), exact, strict=True):
            assert end.claimed == pytest.approx(float(wanted), abs=1e-6), seed
            assert end.attained is not None
            assert float(end.attained) == pytest.approx(float(wanted), abs=1e-5)
        if binaries:
            pool.models.clear()
            options = Settings(seconds=30, solvers=("highs",), search=False)
            find_range(problem, form, options, pool)
            alone = [sum(v.integer for v in m.variables) for m in pool.models]
            smaller += min(binaries) < min(alone)
    assert handed >= 3
    assert smaller >= 1


def test_claims_are_completed(pool: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds beside the worst case: what the search and HiGHS say together is true."""
    monkeypatch.setattr("verifex.engine.search.gates.search.SearchOptions", lambda **_: SHORT)
    # The search comes first, as it would once it has begun.
    monkeypatch.setattr("verifex.engine.portfolio.searches.BEFORE_GATES", 0.0)
    together = refuted = 0
    for seed in range(12):
        problem, form = problem_of(seed)
        worst = Fraction(regions.optimum(problem, Objective(form, False), 30.0).bound)
        for offset in (Fraction(-1, 1000), Fraction(1, 1000)):
            claim = replace(problem, require=Atom(Form(form.terms, -(worst + offset))))
            verdict = decide(claim, Settings(
                seconds=30, solvers=("highs",), search=True, attack=False), pool)
            wanted = Outcome.CLAIMED if offset < 0 else Outcome.REFUTED
            assert verdict.outcome is wanted, (seed, verdict.reason)
            rest = any(e.kind is EvidenceKind.PARTLY_CLOSED for e in verdict.evidence)
            together += rest
            refuted += offset > 0
            if rest:
                assert isinstance(verdict.proof, Closed)
                assert 0 < verdict.proof.proof.open <= verdict.proof.proof.leaves
                assert verdict.margin_claimed is None
                assert not decide_search(claim, Budget(30.0, 1 << 30, 1), SHORT).closed
    assert together >= 2
    assert refuted == 12


def test_a_closed_end_is_not_asked_again(pool: Watched) -> None:
    problem, form = problem_of(1)
    told = find_range(problem, form, Settings(seconds=30, solvers=("highs",), search=True), pool)
    assert told.settled
    assert not pool.models
