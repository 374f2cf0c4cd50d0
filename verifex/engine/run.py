"""One run: its settings, and what has been found so far while a problem is being decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

from verifex.engine.budget import Budget
from verifex.engine.falsify.witness import Point, make_witness, replay, snap
from verifex.engine.findings.reasons import (
    Evidence,
    Reason,
    ReasonKind,
    as_interrupted,
    out_of_memory,
)
from verifex.engine.findings.undefined import point_notes
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Closest, Outcome, StageRecord, Verdict, Witness
from verifex.engine.watch import Watch
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Univariate
from verifex.ir.problem import Problem
from verifex.limits.checkpoint import CutOff
from verifex.semantics.claim import NodeBounds
from verifex.semantics.interval import bound_box
from verifex.settings import Settings
from verifex.statement import ClaimStatement

Found = TypeVar("Found")


@dataclass(frozen=True)
class OpenPart:
    """What a search has left open: `bounds` of the nodes there. Elsewhere it has closed the claim.

    `source` is the search, `record` gives its record so far, with open leaves where it is open.
    `rounded`: what it closed, and the bounds, were rounded outward.
    """

    bounds: NodeBounds
    source: str
    record: Callable[[], Closed]
    rounded: bool


def tried(source: str, engine: Callable[[], Found], reasons: list[Reason]) -> Found | None:
    """What an engine returns; None where it is cut off, at the end of the time or since the memory
    is not enough, which is a reason. Nothing is concluded from its work then."""
    try:
        return engine()
    except CutOff:
        return None
    except (MemoryError, RuntimeError) as error:
        reason = out_of_memory(error, source)
        if reason is None:
            raise
        reasons.append(reason)
        return None


@dataclass
class Run:
    """What has been found so far while a problem is being decided."""

    problem: Problem
    settings: Settings
    budget: Budget
    pool: SolverPool
    bounds: NodeBounds
    watch: Watch = field(default_factory=Watch)
    """Who is told what happens."""
    steps: list[StageRecord] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trivial: list[str] = field(default_factory=list)
    """Why the claim cannot fail, as far as only the engine finds it."""
    doubts: list[Reason] = field(default_factory=list)
    """What solvers said that does not count, and why."""
    margin_low: Fraction | None = None
    margin_claimed: float | None = None
    margin_high: Fraction | None = None
    proof: Closed | None = None
    violated: bool = False
    """Whether a point on a kink was replayed that breaks the claim: then nothing can be claimed."""
    like: Closed | None = None
    """The record of a claim on another region of the same graph, whose splits are tried."""
    closest: Closest | None = None
    """The point that came closest to a violation; one that violates the claim on a kink before any
    other."""

    def tried(self, source: str, engine: Callable[[], Found]) -> Found | None:
        """See the function of this name; what an engine lacked memory for is one of the reasons."""
        return tried(source, engine, self.reasons)

    def stage(self, name: str, started: float, result: str) -> None:
        self.step(name, time.monotonic() - started, result)

    def step(self, name: str, seconds: float, result: str) -> None:
        """What took so many seconds, in one go or in many, and what came of it."""
        self.steps.append(StageRecord(name, seconds, result))
        self.watch.stage(name, seconds, result)

    def attain(self, point: Point) -> Witness | None:
        """Replay a point of the region: its margin is kept if no kink makes it doubtful, and a
        violation is a witness, whatever a search or a solver says."""
        at = replay(self.problem, point)
        if at.refutes:
            self._lower(at.margin)
            return make_witness(self.problem, point, at)
        if not (at.inside and at.assumed):
            return None
        if at.violated and not self.violated:
            self.violated, self.closest = True, Closest(point, at.margin, True)
        if at.margin is not None and not at.on_kink and self._lower(at.margin) and (
                not self.violated):
            self.closest = Closest(point, at.margin, False)
        return None

    def _lower(self, margin: Fraction | None) -> bool:
        """Keep the margin of a point off the kinks; whether it is the least so far."""
        known = self.margin_high
        if margin is None or (known is not None and known <= margin):
            return False
        self.margin_high = margin
        return True

    def attained(self, point: FloatArray | None) -> Witness | None:
        """The same of what a search saw come nearest, if it saw anything."""
        return None if point is None else self.attain(snap(self.problem.region, point.tolist()))

    def doubt(self, told: Sequence[Reason]) -> None:
        """Keep what a solver said in vain: reasons of an unknown verdict, notes of any other."""
        self.doubts += told
        self.reasons += told

    def verdict(
        self,
        outcome: Outcome,
        reasons: Sequence[Reason] = (),
        evidence: Sequence[Evidence] = (),
        witness: Witness | None = None,
    ) -> Verdict:
        if outcome is Outcome.CLAIMED and self.violated:
            said = "; ".join(map(str, evidence))
            reasons = [Reason(ReasonKind.CLAIM_CONTRADICTED, detail=said)]
            outcome, evidence = Outcome.UNKNOWN, ()
        unknown = outcome is Outcome.UNKNOWN
        if unknown and self.closest is not None and self.closest.on_kink:
            reasons = [*reasons, Reason(ReasonKind.CLOSEST_ON_KINK)]
        if unknown and self.watch.stop.is_set():
            reasons = as_interrupted(reasons, self.budget.elapsed)
        doubts = [] if unknown else map(str, self.doubts)
        told = () if witness is None else point_notes(self.problem, witness.point)
        return Verdict(
            outcome,
            tuple(dict.fromkeys(reasons)),
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
            statement=self.statement,
            closest=self.closest if unknown else None,
            proof=None if outcome is Outcome.REFUTED else self.proof,
        )


    @property
    def statement(self) -> ClaimStatement | None:
        """What the problem claims, with why it cannot fail as far as that was found."""
        stated = self.problem.statement
        if stated is None or not self.trivial:
            return stated
        return replace(stated, trivial=tuple(dict.fromkeys((*stated.trivial, *self.trivial))))


def node_bounds(problem: Problem) -> NodeBounds:
    """Outward-rounded interval bounds of every node that the claim needs, unbatched."""
    lo, hi = problem.region.float_box()
    return bound_box(problem.graph, lo, hi, problem.targets())


def has_smooth(problem: Problem) -> bool:
    """Whether the claim depends on a smooth function or a product that gates do not decide."""
    nodes = problem.graph.nodes
    needed = problem.graph.ancestors(problem.targets())
    return any(isinstance(nodes[i].op, Univariate) for i in needed)
