"""From a problem to a verdict: interval bounds, attack, exact solver, exact replay.

Nothing here believes a solver. A point is replayed exactly; `infeasible` makes the verdict
`claimed`, and where a floating-point solver says so two of its runs must (`testimony`). Its bound
within `TOLERANCE` of zero decides nothing: ties go to a solver in exact arithmetic.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from verifex.engine.attack import attack
from verifex.engine.boxes import Layout
from verifex.engine.budget import Budget
from verifex.engine.by_solver import by_solver
from verifex.engine.float_margin import TOLERANCE
from verifex.engine.margin import lower_margin
from verifex.engine.pool import SolverPool
from verifex.engine.proof import Closed, Proof
from verifex.engine.undefined import point_notes, region_notes
from verifex.engine.verdict import Outcome, Step, Verdict, Witness
from verifex.engine.watch import Log, Progress, Watch
from verifex.engine.witness import Point, make_witness, replay, snap
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import FALSE, TRUE, negate, simplify
from verifex.ir.ops import Univariate
from verifex.ir.problem import Problem
from verifex.semantics.claim import NodeBounds
from verifex.semantics.interval import bound_box


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
    doubts: list[str] = field(default_factory=list)
    """What solvers said that does not count, and why."""
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

    def attain(self, point: Point) -> Witness | None:
        """Replay a point of the region: its margin is kept if no kink makes it doubtful, and a
        violation is a witness, whatever a search or a solver says."""
        at = replay(self.problem, point)
        if at.inside and at.assumed and at.margin is not None and not at.on_kink:
            known = self.margin_high
            self.margin_high = at.margin if known is None else min(known, at.margin)
        if at.refutes:
            return make_witness(self.problem, point, at)
        self.violated = self.violated or (at.inside and at.assumed and at.violated)
        return None

    def attained(self, x: FloatArray | None) -> Witness | None:
        """The same of what a search saw come nearest, if it saw anything."""
        return None if x is None else self.attain(snap(self.problem.region, x.tolist()))

    def doubt(self, told: Sequence[str]) -> None:
        """Keep what a solver said in vain: reasons of an unknown verdict, notes of any other."""
        self.doubts += told
        self.reasons += told

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
        doubts = [] if outcome is Outcome.UNKNOWN else self.doubts
        told = () if witness is None else point_notes(self.problem, witness.point)
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
            tuple(dict.fromkeys(
                (*self.problem.graph.notes, *self.problem.notes, *self.notes, *doubts, *told))),
            self.problem.name,
            proof=None if outcome is Outcome.REFUTED else self.proof,
        )


def node_bounds(problem: Problem) -> NodeBounds:
    """Outward-rounded interval bounds of every node that the claim needs, unbatched."""
    lo, hi = problem.region.float_box()
    return bound_box(problem.graph, lo, hi, problem.targets())


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
        verdict = by_solver(run, name)
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



__all__ = ["TOLERANCE", "TRUE", "Options", "decide", "node_bounds"]
