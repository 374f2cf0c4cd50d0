"""One end of a measure's range by claims about thresholds: each answer narrows it.

A claim that holds is a bound, with the record that a certificate is written from; a witness against
it attains a better value. What splits one claim needed, the next one tries first. Nothing here is
`proved`: a certificate says so later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from verifex.engine.budget import Budget
from verifex.engine.by_threshold.best_value import BestValue
from verifex.engine.by_threshold.narrowing import CLOSED, VACUOUS, outside
from verifex.engine.decide import decide
from verifex.engine.falsify.attained import outward
from verifex.engine.findings.reasons import (
    BY_DEFINITION,
    SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
)
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, RangeEnd, Verdict
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError
from verifex.ir.formula import TRUE
from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression
from verifex.settings import Settings

_SHARE = 0.25
"""Of the time that is left, what one threshold may take; more, once all others are decided."""


@dataclass(frozen=True)
class HeldClaim:
    """A bound that a claim states, and the verdict that has the record of it."""

    bound: Fraction
    verdict: Verdict


@dataclass
class EndSearch:
    """The search for one end, in a budget. `scale` is the size of the range, as far as it is known.

    `held` are the claims that hold, the last one the best. All is reckoned as of a minimum: `u` is
    a value, or the negative of one where the maximum is asked for.
    """

    asked: ThresholdExpression
    maximum: bool
    settings: Settings
    budget: Budget
    pool: SolverPool
    watch: Watch
    scale: Fraction = Fraction(0)
    held: list[HeldClaim] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _unsure: list[Fraction] = field(default_factory=list)
    _share: float = _SHARE
    _hasty: bool = True

    def __post_init__(self) -> None:
        self.sign = -1 if self.maximum else 1
        self.best = BestValue(self.asked, self.maximum)
        measure = self.asked.measure
        self._floor = min(self.sign * measure.least, self.sign * measure.greatest)
        self._top = max(self.sign * measure.least, self.sign * measure.greatest)

    @property
    def end(self) -> RangeEnd:
        """The end as it is known by now. What holds of every attribution bounds it at least."""
        best, proven = self.best.best, self.sign * self._floor
        end = RangeEnd(
            proven, None, None if best is None else best.value,
            None if best is None else best.point, proven_by=BY_DEFINITION,
            attained_square=None if best is None else best.square)
        if not self.held:
            return end
        towards = float("inf") if self.maximum else float("-inf")
        return replace(end, claimed=outward(self.held[-1].bound, towards), by=SEARCH,
                       proof=tuple(self.held))

    @property
    def evidence(self) -> list[Evidence]:
        return [Evidence(EvidenceKind.SEARCH_BOUND, SEARCH)] if self.held else []

    def run(self) -> None:
        """Ask about one threshold after the other, until the gap is closed or the time is over."""
        try:
            self.best.look(self.settings.seed)
        except UnsupportedError as error:
            self.reasons.append(Reason(ReasonKind.UNSUPPORTED, SEARCH, str(error)))
            return
        threshold = self._next()
        while threshold is not None and not self.budget.spent:
            self._ask(threshold)
            threshold = self._next()
        if self.budget.spent and not self._closed(self._bound(), self._edge()):
            self.reasons.append(Reason(ReasonKind.OUT_OF_TIME, seconds=self.settings.seconds))

    # --- which threshold next -------------------------------------------------------------------

    def _bound(self) -> Fraction:
        return self.sign * self.held[-1].bound if self.held else self._floor

    def _edge(self) -> Fraction:
        """The best value; the worst one that there can be, where none is attained."""
        best = self.best.best
        return self._top if best is None else self.sign * best.value

    def _closed(self, bound: Fraction, edge: Fraction) -> bool:
        size = max(abs(edge), abs(self.scale))
        return edge <= bound or (not self.asked.measure.whole and edge - bound <= CLOSED * size)

    def _next(self) -> Fraction | None:
        """The next threshold: first that the best value is the extremum, or nearly; after a witness
        against it the middle of the gap, and so in turn. One that was left undecided is the edge
        from then on; once nothing is left below, it gets all the time that is left."""
        bound, edge = self._bound(), self._edge()
        if self._closed(bound, edge):
            return None
        if self._unsure:
            edge = min(edge, *self._unsure)
            if self._closed(bound, edge) or self._near(bound, edge):
                if self._share >= 1.0:
                    return None
                self._share, self._unsure = 1.0, []
                return self._just_below(self._edge())
            return self._between(bound, edge)
        if self._hasty or self._near(bound, edge):
            self._hasty = False
            return self._just_below(edge)
        self._hasty = True
        return self._between(bound, edge)

    def _near(self, bound: Fraction, edge: Fraction) -> bool:
        """Whether no threshold between the two is worth a claim."""
        if self.asked.measure.whole:
            return edge - bound <= 1
        return edge - bound <= Fraction(1, 10**4) * max(abs(edge), abs(self.scale))

    def _just_below(self, edge: Fraction) -> Fraction:
        """So near to the best value that the end is closed; a whole one itself."""
        if self.asked.measure.whole:
            return edge
        size = max(abs(edge), abs(self.scale))
        return max(self._floor, self._short(edge - CLOSED / 2 * size))

    def _between(self, bound: Fraction, edge: Fraction) -> Fraction:
        middle = (bound + edge) / 2
        if self.asked.measure.whole:
            return Fraction(middle.__ceil__())
        return self._short(middle)

    def _short(self, value: Fraction) -> Fraction:
        """A decimal of few digits, at or below."""
        return outside(value, Fraction(0), maximise=False)

    # --- one threshold --------------------------------------------------------------------------

    def _ask(self, threshold: Fraction) -> None:
        """Decide the claim that the end keeps a threshold."""
        bound, started = self.sign * threshold, self.budget.elapsed
        seconds = min(self.budget.left, max(1.0, self.budget.left * self._share))
        alone = replace(self.settings, seconds=max(0.01, seconds), search=True, solvers=(),
                        engine="search", attack=True, certificate=None)
        last = self.held[-1].verdict.proof if self.held else None
        verdict = decide(self.asked.at(bound, self.maximum), alone, self.pool, self.watch,
                         like=last if isinstance(last, Closed) else None)
        self.watch.stage("threshold", self.budget.elapsed - started,
                         f"{float(bound):.9g} {verdict.outcome.value}")
        if verdict.outcome is Outcome.CLAIMED:
            self._hold(bound, verdict)
        elif verdict.witness is None or not self._better(threshold, verdict.witness.point):
            # What the last one met says enough; how much time each had is nobody's concern.
            self.reasons = [r for r in verdict.reasons if r.kind is not ReasonKind.OUT_OF_TIME]
            self._unsure.append(threshold)

    def _hold(self, bound: Fraction, verdict: Verdict) -> None:
        best = self.best.best
        self.held.append(HeldClaim(bound, verdict))
        self._unsure = [u for u in self._unsure if u > self.sign * bound]
        self._hasty = True
        if best is None and self.asked.problem.assume != TRUE:
            self.notes += [note for note in verdict.notes if VACUOUS.split(":")[0] in note]

    def _better(self, threshold: Fraction, point: Sequence[Fraction]) -> bool:
        """Whether a witness against a threshold attains less; claims that it contradicts go."""
        self.best.offer(tuple(point), off_kinks=True)
        edge = self._edge()
        # Sound: the replay is exact; a claim beyond it was wrong, whoever made it.
        self.held = [one for one in self.held if self.sign * one.bound <= edge]
        self._unsure = [u for u in self._unsure if u < edge]
        return self.best.best is not None and edge < threshold
