"""From a problem to a verdict: interval bounds, attack, exact solver, exact replay.

Nothing here believes a solver. A point is replayed exactly; `infeasible` makes the verdict
`claimed`, and where a floating-point solver says so two of its runs must (`testimony`). Its bound
within `TOLERANCE` of zero decides nothing: ties go to a solver in exact arithmetic.
"""

from __future__ import annotations

import math
import time
from fractions import Fraction

from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget
from verifex.engine.by_solver import by_solver
from verifex.engine.falsify.attack import attack
from verifex.engine.margin import lower_margin
from verifex.engine.run import Options, Run, has_smooth, node_bounds
from verifex.engine.search.record import Closed, Proof
from verifex.engine.solve.pool import SolverPool
from verifex.engine.undefined import region_notes
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import UnsupportedError
from verifex.ir.formula import FALSE, TRUE, negate, simplify
from verifex.ir.problem import Problem


def decide(
    problem: Problem, options: Options | None = None, pool: SolverPool | None = None
) -> Verdict:
    """Decide a problem within the limits. A `pool` of warm solver processes may be shared."""
    options = options or Options()
    if pool is not None:
        return _decide(problem, options, pool)
    with SolverPool() as own:
        return _decide(problem, options, own)


def _decide(problem: Problem, options: Options, pool: SolverPool) -> Verdict:
    budget = Budget(options.seconds, options.memory, options.threads)
    started = time.monotonic()
    run = Run(problem, options, budget, pool, node_bounds(problem), notes=region_notes(problem))
    run.margin_low = lower_margin(problem.require, *run.bounds)
    verdict = _by_bounds(run, started)
    if verdict is None and options.attack:
        verdict = _by_attack(run, quick=options.search)
    if verdict is None and options.search:
        verdict = _by_inputs(run) or _by_search(run)
    for name in options.solvers:
        if verdict is not None or budget.spent:
            break
        verdict = by_solver(run, name)
    if verdict is not None:
        return verdict
    if budget.spent:
        run.reasons.append(f"out of time after {options.seconds:g} s")
    return run.verdict(
        Outcome.UNKNOWN, "; ".join(dict.fromkeys(run.reasons)) or "nothing decided it"
    )


def _by_bounds(run: Run, started: float) -> Verdict | None:
    """Interval bounds alone: they prove when the violation is impossible everywhere."""
    broken = simplify(negate(run.problem.require), *run.bounds)
    assumed = simplify(run.problem.assume, *run.bounds)
    run.stage("bounds", started, "closed" if FALSE in (broken, assumed) else "open")
    if assumed == FALSE:
        run.notes.append("the assumption holds nowhere in the region: the claim is vacuous")
    if FALSE in (broken, assumed):
        layout = Layout(run.problem.graph, tuple(run.problem.targets()))
        run.proof = Closed(layout, [], Proof(), [])
        return run.verdict(Outcome.CLAIMED, evidence=["interval bounds, outward rounded"])
    return None


def _by_attack(run: Run, quick: bool) -> Verdict | None:
    """Points first: a few hundred before a search (which tries its own); with gradients where
    there is none, or the inputs are many, so that points tell little and torch is needed anyway."""
    from verifex.engine.search.inputs.search import MOST_INPUTS, free_inputs

    started = time.monotonic()
    share, rounds = run.budget.part(0.2, at_least=1.0), 2 if quick else 8
    climb = not quick or free_inputs(run.problem) > MOST_INPUTS
    result = attack(
        run.problem, share, run.bounds, seed=run.options.seed, rounds=rounds, gradient=climb)
    witness = result.witness or run.attained(result.best_point)
    run.stage("attack", started, "witness" if witness else f"{result.tried} points tried")
    if witness is None:
        return None
    return run.verdict(Outcome.REFUTED, evidence=["attack", "exact replay"], witness=witness)


def _by_inputs(run: Run) -> Verdict | None:
    """Branch and bound over input boxes, for claims on outputs of networks with few inputs."""
    from verifex.engine.search.inputs.search import decide_inputs, free_inputs, share_of_time

    started = time.monotonic()
    share = run.budget.part(share_of_time(free_inputs(run.problem)))
    try:
        found = decide_inputs(run.problem, share, run.options.watch().search())
    except UnsupportedError:
        return None  # the search over gates takes every claim
    run.stage("inputs", started, f"{found.boxes} boxes, {found.leaves} closed")
    witness = found.witness or run.attained(found.nearest)
    if witness is not None:
        evidence = ["search over inputs", "exact replay"]
        return run.verdict(Outcome.REFUTED, evidence=evidence, witness=witness)
    if found.closed is not None:
        run.proof = found.closed
        evidence = [f"search over inputs: {found.leaves} boxes closed"]
        return run.verdict(Outcome.CLAIMED, evidence=evidence)
    if run.problem.assume == TRUE and math.isfinite(found.lower):
        # Sound: bounds are rounded outward, and closed boxes have a margin above zero.
        low = Fraction(found.lower)
        run.margin_low = low if run.margin_low is None else max(low, run.margin_low)
    run.reasons.append(f"search over inputs: {found.boxes - 2 * found.leaves + 1} boxes open")
    return None


def _by_search(run: Run) -> Verdict | None:
    """Branch and bound over gates; it leaves a proof from which a certificate is written."""
    started = time.monotonic()  # loading torch counts
    from verifex.engine.search.claims import decide_search
    from verifex.engine.search.gates.search import SearchOptions
    from verifex.engine.search.handover import SEARCH_SHARE

    share = run.budget.part(SEARCH_SHARE if run.options.solvers else 1.0)
    options = SearchOptions(device=run.options.device, inputs=has_smooth(run.problem))
    try:
        found = decide_search(run.problem, share, options, run.options.watch().search())
    except UnsupportedError as error:
        run.reasons.append(f"search: {error}")
        run.stage("search", started, "unsupported")
        return None
    stats = found.stats
    run.stage("search", started, f"{stats.domains} domains, {stats.lps} leaf programs")
    witness = found.witness or run.attained(found.nearest)
    if witness is not None:
        evidence = ["search", "exact replay"]
        return run.verdict(Outcome.REFUTED, evidence=evidence, witness=witness)
    run.proof = found.closed or found.unfinished
    if found.closed is not None and not stats.ties:
        evidence = [f"search: {max(1, stats.leaves)} leaves closed"]
        return run.verdict(Outcome.CLAIMED, evidence=evidence)
    if found.rest is not None and not stats.ties and run.options.solvers:
        run.rest = found.rest.bounds(run.bounds)
    run.reasons += [f"search: {why}, with what it held" for why in stats.lost]
    undecided = f"{stats.unresolved + stats.ties} leaves undecided"
    run.reasons.append(f"search: {'out of time' if share.spent else undecided}")
    return None
