"""From a problem to a verdict: interval bounds, attack, exact solver, exact replay.

Nothing here believes a solver. A point is replayed exactly; `infeasible` makes the verdict
`claimed`. A floating-point solver's bound within `TOLERANCE` of zero decides nothing: ties go to
a solver in exact arithmetic.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from verifex.engine.attack import attack
from verifex.engine.boxes import Layout
from verifex.engine.budget import Budget
from verifex.engine.margin import dropped_margin, lower_margin
from verifex.engine.pool import SolverPool
from verifex.engine.proof import Closed, Proof
from verifex.engine.settle import interior_point
from verifex.engine.undefined import point_notes, region_notes
from verifex.engine.verdict import Outcome, Step, Verdict, Witness
from verifex.engine.watch import Log, Progress, Watch
from verifex.engine.witness import make_witness, refute, replay, snap
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import FALSE, TRUE, negate, simplify
from verifex.ir.lower import to_float
from verifex.ir.ops import Univariate
from verifex.ir.problem import Problem
from verifex.ir.solving import Answer, SolveLimits, Status
from verifex.ir.text import problem_to_json
from verifex.semantics.claim import NodeBounds, Question, ask
from verifex.semantics.interval import bound_nodes

TOLERANCE = 1e-6
"""A float solver's margin bound must clear zero by this much, relative to the model's scale."""


@dataclass(frozen=True)
class Options:
    """How to decide: the search first (`search`), then `solvers` in order for what it leaves open.

    `log` receives one dictionary for every batch of the search and for every stage (see `watch`).
    """

    seconds: float = 60.0
    memory: int = 4 << 30
    threads: int = 1
    solvers: tuple[str, ...] = ("highs", "z3")
    attack: bool = True
    search: bool = True
    device: str = "cpu"
    seed: int = 0
    progress: Progress | None = None
    log: Log | None = None

    def watch(self) -> Watch:
        """Who is told what happens."""
        return Watch(self.log, self.progress)


@dataclass
class _Run:
    """What has been found so far while a problem is being decided."""

    problem: Problem
    options: Options
    budget: Budget
    pool: SolverPool
    bounds: NodeBounds
    steps: list[Step] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    margin_low: Fraction | None = None
    margin_claimed: float | None = None
    margin_high: Fraction | None = None
    proof: Closed | None = None
    violated: bool = False
    """Whether a point on a kink was replayed that breaks the claim: then nothing can be claimed."""
    rest: NodeBounds | None = None
    """Bounds of the nodes where the search is not finished: elsewhere it has closed the claim."""

    def stage(self, name: str, started: float, result: str) -> None:
        seconds = time.monotonic() - started
        self.steps.append(Step(name, seconds, result))
        self.options.watch().stage(name, seconds, result)

    def attained(self, x: FloatArray | None) -> Witness | None:
        """Replay a point that came near: its margin is kept, and a violation is a witness,
        whatever a search or a solver says."""
        if x is None:
            return None
        point = snap(self.problem.region, x.tolist())
        at = replay(self.problem, point)
        if at.inside and at.assumed and at.margin is not None:
            known = self.margin_high
            self.margin_high = at.margin if known is None else min(known, at.margin)
        if at.refutes:
            return make_witness(self.problem, point, at)
        self.violated = self.violated or (at.inside and at.assumed and at.violated)
        return None

    def verdict(
        self,
        outcome: Outcome,
        reason: str = "",
        evidence: Sequence[str] = (),
        witness: Witness | None = None,
    ) -> Verdict:
        if outcome is Outcome.CLAIMED and self.violated:
            reason = f"{'; '.join(evidence)}: contradicted by a replayed point on a kink"
            outcome, evidence = Outcome.UNKNOWN, ()
        return Verdict(
            outcome,
            reason,
            tuple(evidence),
            witness,
            self.margin_low,
            self.margin_claimed,
            self.margin_high if witness is None else witness.margin,
            self.budget.elapsed,
            tuple(self.steps),
            (*self.problem.graph.notes, *self.problem.notes, *self.notes,
             *(() if witness is None else point_notes(self.problem, witness.point))),
            self.problem.name,
            proof=None if outcome is Outcome.REFUTED else self.proof,
        )


def node_bounds(problem: Problem) -> NodeBounds:
    """Outward-rounded interval bounds of every node that the claim needs, unbatched."""
    lo, hi = problem.region.float_box()
    boxes = bound_nodes(problem.graph, lo[None], hi[None], problem.targets())
    low: dict[int, FloatArray] = {i: b.lo[0] for i, b in boxes.items()}
    high: dict[int, FloatArray] = {i: b.hi[0] for i, b in boxes.items()}
    return low, high


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
    run = _Run(problem, options, budget, pool, node_bounds(problem), notes=region_notes(problem))
    run.margin_low = lower_margin(problem.require, *run.bounds)
    verdict = _by_bounds(run, started)
    if verdict is None and options.attack:
        verdict = _by_attack(run, quick=options.search)
    if verdict is None and options.search:
        verdict = _by_inputs(run) or _by_search(run)
    for name in options.solvers:
        if verdict is not None or budget.spent:
            break
        verdict = _by_solver(run, name)
    if verdict is not None:
        return verdict
    if budget.spent:
        run.reasons.append(f"out of time after {options.seconds:g} s")
    return run.verdict(
        Outcome.UNKNOWN, "; ".join(dict.fromkeys(run.reasons)) or "nothing decided it"
    )


def _by_bounds(run: _Run, started: float) -> Verdict | None:
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


def _by_attack(run: _Run, quick: bool) -> Verdict | None:
    """Points first: a few hundred before a search (which tries its own); with gradients where
    there is none, or the inputs are many, so that points tell little and torch is needed anyway."""
    from verifex.engine.inputs import MOST_INPUTS, free_inputs

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


def _by_inputs(run: _Run) -> Verdict | None:
    """Branch and bound over input boxes, for claims on outputs of networks with few inputs."""
    from verifex.engine.inputs import decide_inputs, free_inputs, share_of_time

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


def _by_search(run: _Run) -> Verdict | None:
    """Branch and bound over gates; it leaves a proof from which a certificate is written."""
    started = time.monotonic()  # loading torch counts
    from verifex.engine.formula_search import decide_search
    from verifex.engine.handover import SEARCH_SHARE
    from verifex.engine.search import SearchOptions

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


def has_smooth(problem: Problem) -> bool:
    """Whether the claim depends on a smooth function or a product that gates do not decide."""
    nodes = problem.graph.nodes
    needed = problem.graph.ancestors(problem.targets())
    return any(isinstance(nodes[i].op, Univariate) for i in needed)


def _by_solver(run: _Run, name: str) -> Verdict | None:
    """One solver's try; anything it cannot take becomes a reason, named."""
    capabilities, availability = run.pool.info(name)
    if not availability.ok:
        run.reasons.append(f"{name} is not available: {availability.reason}")
        return None
    started = time.monotonic()
    try:
        if capabilities.reads == "problem":
            verdict = _problem_solver(run, name)
        elif capabilities.exact:
            verdict = _exact_solver(run, name, capabilities.products)
        else:
            verdict = _float_solver(run, name, capabilities.products)
    except UnsupportedError as error:
        run.reasons.append(f"{name}: {error}")
        verdict = None
    run.stage(name, started, verdict.outcome.value if verdict else "open")
    return None if verdict is None else replace(verdict, steps=tuple(run.steps))


def _limits(run: _Run, share: float = 1.0) -> SolveLimits:
    return SolveLimits(run.budget.left * share, run.budget.memory, run.budget.threads)


def _ask(
    run: _Run, products: bool, margin: bool, off_kinks: bool = False,
    bounds: NodeBounds | None = None, steady: bool = False,
) -> Question:
    question = ask(
        run.problem, bounds or run.bounds, products=products, margin=margin, off_kinks=off_kinks,
        steady=steady,
    )
    run.notes.extend(n for n in question.relaxed if n not in run.notes)
    return question


# --- floating-point solvers --------------------------------------------------------------------


def _float_solver(run: _Run, name: str, products: bool) -> Verdict | None:
    """Maximise the violation's margin: clearly below zero is a claim, clearly above a candidate."""
    question = _ask(run, products, margin=True, off_kinks=False, bounds=run.rest)
    last = run.options.solvers[-1] == name
    answer = run.pool.solve(name, question.model, _limits(run, 1.0 if last else 0.8))
    scale = _scale(question)
    part = [] if run.rest is None or run.proof is None else [
        f"search: all closed but {run.proof.proof.open} of {run.proof.proof.leaves} leaves"]
    # A point that breaks the claim exactly beats whatever a solver states.
    witness = _exact_witness(run, question, answer)
    if witness is not None:
        return run.verdict(Outcome.REFUTED, evidence=[name, "exact replay"], witness=witness)
    if answer.status is Status.INFEASIBLE:
        return run.verdict(Outcome.CLAIMED, evidence=[*part, f"{name}: infeasible"])
    if answer.bound is not None:
        bound = to_float(answer.bound)  # refuses what no float holds: it claims nothing
        if run.rest is None:  # a bound over the rest says nothing of the whole margin
            run.margin_claimed = _claimed_margin(run, question, bound)
        known = run.margin_claimed is not None
        if (known or part) and bound < -TOLERANCE * scale:
            least = f"worst margin at least {run.margin_claimed:.6g}" if known else "the rest holds"
            return run.verdict(Outcome.CLAIMED, evidence=[*part, f"{name}: {least}"])
    if answer.point is not None:
        witness = _inner_witness(run, name, products, question, answer)
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=[name, "exact replay"], witness=witness)
        run.reasons.append(f"{name}: within its tolerance of a tie, or only on a kink")
    else:
        run.reasons.append(f"{name}: {answer.stop.value} {answer.note}".strip())
    return None


def _scale(question: Question) -> float:
    """The size of the numbers that the margin is made of, at least 1."""
    if question.margin is None:
        return 1.0
    return max(1.0, float(question.model.variables[question.margin].hi or 1.0))


def _claimed_margin(run: _Run, question: Question, bound: float) -> float | None:
    """The claim's worst margin that a bound of the model's margin implies; None: it says nothing.

    The model holds only the atoms that bounds leave open, and its margin variable ends where no
    open atom reaches: there (a violation that is certain) it bounds nothing.
    """
    top = question.model.variables[question.margin].hi if question.margin is not None else None
    if top is None or bound >= float(top) * (1 - TOLERANCE):
        return None
    dropped = dropped_margin(negate(run.problem.require), *run.bounds)
    return -max(bound, -math.inf if dropped is None else float(dropped))


def _inner_witness(
    run: _Run, name: str, products: bool, question: Question, answer: Answer
) -> Witness | None:
    """A witness inside the activation region that the solver's point lies in."""
    for steady in (False, True):  # more than a witness needs, which is simpler, then just that
        if run.budget.spent:
            break
        strict = _ask(run, products, margin=True, off_kinks=not steady, steady=steady)
        inner = interior_point(question, answer, strict, run.pool, name, _limits(run, 0.5))
        if inner is not None:
            return refute(run.problem, inner)
    return None


# --- exact solvers -----------------------------------------------------------------------------

_ON_KINKS = "violated only on a kink, where a gate has no value"


def _exact_solver(run: _Run, name: str, products: bool) -> Verdict | None:
    """First the closed question (kinks allowed): none means claimed. Then those whose answers
    refute: with no gate at zero, and with none at zero that a value of the claim depends on."""
    closed = _ask(run, products, margin=False, off_kinks=False)
    answer = run.pool.solve(name, closed.model, _limits(run))
    if answer.status is Status.INFEASIBLE:
        return run.verdict(Outcome.CLAIMED, evidence=[f"{name}: unsatisfiable in exact arithmetic"])
    witness = _exact_witness(run, closed, answer)
    for steady in () if answer.point is None else (False, True):
        if witness is not None or run.budget.spent:
            break
        strict = _ask(run, products, margin=False, off_kinks=not steady, steady=steady)
        answer = run.pool.solve(name, strict.model, _limits(run))
        witness = _exact_witness(run, strict, answer)
        if answer.status is not Status.INFEASIBLE:
            break
        if steady:
            run.reasons.append(_ON_KINKS if strict.whole else f"{name}: no violation off the kinks")
            return None
    if witness is not None:
        return run.verdict(Outcome.REFUTED, evidence=[name, "exact replay"], witness=witness)
    run.reasons.append(f"{name}: {answer.stop.value} {answer.note}".strip())
    return None


def _exact_witness(run: _Run, question: Question, answer: Answer) -> Witness | None:
    if answer.point is None:
        return None
    region, point = run.problem.region, answer.point
    return refute(run.problem, [point.get(v, region.lo[i]) for i, v in enumerate(question.inputs)])


def _problem_solver(run: _Run, name: str) -> Verdict | None:
    """A decider that reads the problem itself (region enumeration)."""
    data: dict[str, Any] = problem_to_json(run.problem)
    answer = run.pool.solve_problem(name, data, _limits(run))
    if answer.status is Status.INFEASIBLE:
        return run.verdict(Outcome.CLAIMED, evidence=[f"{name}: no region violates it, exactly"])
    if answer.point is not None:
        region = run.problem.region
        witness = refute(run.problem, [answer.point.get(i, v) for i, v in enumerate(region.lo)])
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=[name, "exact replay"], witness=witness)
    run.reasons.append(f"{name}: {answer.note or answer.stop.value}")
    return None


__all__ = ["TOLERANCE", "TRUE", "Options", "decide", "node_bounds"]
