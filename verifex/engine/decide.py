"""From a problem to a verdict: interval bounds, attack, exact solver, exact replay.

Nothing here believes a solver. A point is replayed exactly; `infeasible` makes the verdict
`claimed`, and where a floating-point solver says so two of its runs must (`testimony`). Its bound
within `TOLERANCE` of zero decides nothing: ties go to a solver in exact arithmetic.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from verifex.engine.bounds.layout import Layout
from verifex.engine.by_solver import by_solver
from verifex.engine.falsify.attack import attack
from verifex.engine.falsify.witness import replay
from verifex.engine.findings.reasons import (
    ATTACK,
    BOUNDS,
    INPUT_SEARCH,
    SEARCH,
    TREE_SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    replayed,
)
from verifex.engine.findings.undefined import region_notes
from verifex.engine.margin import lower_margin
from verifex.engine.run import Run, node_bounds
from verifex.engine.search.record import Closed, Proof
from verifex.engine.search.trees.ground import depends_on_trees
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError
from verifex.ir.formula import FALSE, TRUE, Atom, fold, negate, simplify
from verifex.ir.problem import Problem
from verifex.ir.region import LARGEST
from verifex.settings import Settings

if TYPE_CHECKING:
    from verifex.engine.portfolio.engine import Engine
    from verifex.engine.portfolio.portfolio import Portfolio


def decide(
    problem: Problem, settings: Settings | None = None, pool: SolverPool | None = None,
    watch: Watch | None = None, *, like: Closed | None = None,
) -> Verdict:
    """Decide a problem by these settings (those of the certificate do not matter here).

    A `pool` of warm solver processes may be shared; `watch` is told what happens. `like` is the
    record of a claim that was closed on another region of the same graph: its splits are tried.
    """
    settings, watch = settings or Settings(), watch or Watch()
    if pool is not None:
        return _decide(problem, settings, pool, watch, like)
    with SolverPool(stopped=watch.stop.is_set) as own:
        return _decide(problem, settings, own, watch, like)


def _decide(
    problem: Problem, settings: Settings, pool: SolverPool, watch: Watch, like: Closed | None
) -> Verdict:
    budget = watch.budget(settings)
    run = Run(problem, settings, budget, pool, ({}, {}), watch, like=like)
    if watch.stop.so_far is None:  # else this is part of a greater question
        watch.stop.so_far = lambda: run.verdict(Outcome.UNKNOWN, run.reasons)
    with budget.enforced():
        found = run.tried(BOUNDS, lambda: _in_order(run))
    if found is not None:
        return found
    if budget.spent:
        run.reasons.append(Reason(ReasonKind.OUT_OF_TIME, seconds=settings.seconds))
    return run.verdict(Outcome.UNKNOWN, run.reasons)


def _in_order(run: Run) -> Verdict:
    """Bounds of all nodes, then everything else; may be cut off."""
    problem, started = run.problem, time.monotonic()
    run.bounds = node_bounds(problem)
    run.notes += region_notes(problem)
    run.margin_low = lower_margin(problem.require, *run.bounds)
    verdict = _by_bounds(run, started)
    found = _found(run, verdict)
    return _told_vacuous(run, found) if found.outcome is Outcome.CLAIMED else found


def _found(run: Run, verdict: Verdict | None) -> Verdict:
    """What attack, searches and solvers make of a problem that bounds leave open."""
    problem, settings, budget = run.problem, run.settings, run.budget
    if verdict is None and _beyond_floats(problem):
        why = "the claim has a number beyond 1e300"
        return run.verdict(Outcome.UNKNOWN, [Reason(ReasonKind.UNSUPPORTED, SEARCH, why)])
    if verdict is None and settings.searches and depends_on_trees(problem):
        verdict = run.tried(TREE_SEARCH, lambda: _by_trees(run))
    portfolio = None
    if verdict is None and settings.searches and not run.watch.stop.is_set():
        portfolio = _searches(run)
        verdict = portfolio.at_root()
    if verdict is None and settings.attack:
        verdict = run.tried(ATTACK, lambda: _by_attack(run, quick=settings.searches))
    stopped = run.watch.stop.is_set()
    if verdict is None and portfolio is not None and (portfolio.begun or not stopped):
        verdict = _by_portfolio(run, portfolio)
    for name in () if settings.searches else settings.asked:
        if verdict is not None or budget.spent:
            break
        verdict = run.tried(name, partial(by_solver, run, name))
    if verdict is not None:
        return verdict
    if budget.spent:
        run.reasons.append(Reason(ReasonKind.OUT_OF_TIME, seconds=settings.seconds))
    return run.verdict(Outcome.UNKNOWN, run.reasons or [Reason(ReasonKind.NOTHING)])


VACUOUS = "the assumption holds nowhere in the region: the claim is vacuous"
UNMET = "no input was found at which the assumption holds: the claim may be vacuous"
_LOOK_FOR_INPUT = 5.0
"""Seconds for the question whether an assumption has any input."""


def _told_vacuous(run: Run, verdict: Verdict) -> Verdict:
    """The verdict of a claim, saying so where no input of the region fulfils its assumption."""
    problem, point = run.problem, run.problem.point
    if problem.assume == TRUE or VACUOUS in run.trivial:
        return verdict
    if point is not None:
        there = replay(problem, point)
        if there.inside and there.assumed:
            return verdict
    outcome, started = Outcome.UNKNOWN, time.monotonic()
    if not run.budget.spent:
        nowhere = replace(problem, require=negate(problem.assume), assume=TRUE, defined=(),
                          refutation=None)
        limits = replace(run.settings, seconds=min(_LOOK_FOR_INPUT, run.budget.left),
                         check=False, certificate=None)  # nobody wants a proof of it
        outcome = decide(nowhere, limits, run.pool, Watch(stop=run.watch.stop)).outcome
    run.stage("assumption", started, "met" if outcome is Outcome.REFUTED else "not met so far")
    if outcome is Outcome.CLAIMED:
        run.trivial.append(VACUOUS)
    notes = () if outcome is Outcome.REFUTED else (VACUOUS if run.trivial else UNMET,)
    return replace(verdict, notes=(*verdict.notes, *notes), statement=run.statement,
                   steps=tuple(run.steps), seconds=run.budget.elapsed)


def _by_bounds(run: Run, started: float) -> Verdict | None:
    """Interval bounds alone: they prove when the violation is impossible everywhere."""
    violation = simplify(negate(run.problem.require), *run.bounds)
    assumed = simplify(run.problem.assume, *run.bounds)
    run.stage("bounds", started, "closed" if FALSE in (violation, assumed) else "open")
    run.watch.slice(run.budget.elapsed, "bounds", run.steps[-1].seconds, None)
    if assumed == FALSE:
        run.notes.append(VACUOUS)
        run.trivial.append(VACUOUS)
    if FALSE in (violation, assumed):
        layout = Layout(run.problem.graph, tuple(run.problem.targets()))
        run.proof = Closed(layout, [], Proof(), [])
        return run.verdict(Outcome.CLAIMED, evidence=[Evidence(EvidenceKind.INTERVALS, BOUNDS)])
    return None


def _beyond_floats(problem: Problem) -> bool:
    """Whether some number of the claim is beyond what searches and solvers compute with."""

    def far(atom: Atom) -> bool:
        return any(abs(number) > LARGEST
                   for number in (atom.form.const, *(c for _, c in atom.form.terms)))

    return fold(problem.violation(), far, lambda _, parts: any(parts), lambda _: False)


def _by_attack(run: Run, quick: bool) -> Verdict | None:
    """Points first: a few hundred before a search (which tries its own); with gradients where
    there is none, or the inputs are many, so that points tell little and torch is needed anyway."""
    from verifex.engine.search.inputs.search import MOST_INPUTS, free_inputs

    started = time.monotonic()
    share, rounds = run.budget.part(0.2, at_least=1.0), 2 if quick else 8
    climb = not quick or free_inputs(run.problem) > MOST_INPUTS
    result = attack(
        run.problem, share, run.bounds, seed=run.settings.seed, rounds=rounds, gradient=climb)
    witness = result.witness or run.attained(result.best_point)
    run.stage("attack", started, "witness" if witness else f"{result.tried} points tried")
    run.watch.slice(run.budget.elapsed, "attack", run.steps[-1].seconds, None)
    if witness is None:
        return None
    return run.verdict(Outcome.REFUTED, evidence=replayed(ATTACK), witness=witness)


def _by_trees(run: Run) -> Verdict | None:
    """Branch and bound between the thresholds of decision trees. Where it takes a claim, nothing
    else is tried: no other search splits there, and solvers know no trees."""
    from verifex.engine.search.trees.search import decide_trees

    started = time.monotonic()
    try:
        found = decide_trees(run.problem, run.budget.part(1.0), run.watch.search())
    except UnsupportedError as error:
        run.reasons.append(Reason(ReasonKind.UNSUPPORTED, TREE_SEARCH, str(error)))
        return None
    run.stage("trees", started, f"{found.boxes} boxes, {found.leaves} leaves")
    witness = found.witness or run.attained(found.nearest)
    if witness is not None:
        return run.verdict(Outcome.REFUTED, evidence=replayed(TREE_SEARCH), witness=witness)
    if found.closed is not None:
        run.proof = found.closed
        closed = Evidence(EvidenceKind.BOXES_CLOSED, TREE_SEARCH, count=found.leaves)
        return run.verdict(Outcome.CLAIMED, evidence=[closed])
    open_ = Reason(ReasonKind.SEARCH_OUT_OF_TIME, TREE_SEARCH)
    if found.stuck:
        open_ = Reason(ReasonKind.LEAVES_UNDECIDED, TREE_SEARCH, count=found.stuck)
    return run.verdict(Outcome.UNKNOWN, [open_])


def _searches(run: Run) -> Portfolio:
    """A portfolio of the searches that take the claim, none of which has begun."""
    from verifex.engine.portfolio.portfolio import Portfolio
    from verifex.engine.portfolio.programs import ProgramsEngine
    from verifex.engine.portfolio.searches import GatesEngine, InputsEngine

    engines: list[Engine] = []
    alone = run.settings.engine if run.settings.engine in ("inputs", "gates", "programs") else ""
    if alone in ("", "inputs"):
        try:
            engines.append(InputsEngine(run))
        except UnsupportedError as error:  # the search over gates takes every claim
            if alone:
                run.reasons.append(Reason(ReasonKind.UNSUPPORTED, INPUT_SEARCH, str(error)))
    if alone in ("", "programs"):
        engines.append(ProgramsEngine(run))
    if alone in ("", "gates"):
        engines.append(GatesEngine(run))
    wanted = run.settings.check or run.settings.certificate is not None
    return Portfolio(run, engines, proof_wanted=wanted)


def _by_portfolio(run: Run, portfolio: Portfolio) -> Verdict | None:
    """The searches, and the solvers that are asked, in turns (`portfolio/`)."""
    from verifex.engine.portfolio.others import AttackEngine, SolverEngine

    settings = run.settings
    for name in settings.asked:
        _, availability = run.pool.info(name)
        if availability.ok:
            portfolio.engines.append(SolverEngine(run, name, portfolio.rest))
        else:
            run.reasons.append(Reason(ReasonKind.NOT_AVAILABLE, name, availability.reason))
    if settings.attack:
        portfolio.engines.append(AttackEngine(run))
    return portfolio.decide()
