"""An end of a range by claims (is the form everywhere at least so much?): each answer narrows it.

For what the search for ranges does not take: assumptions, and whatever only the search for claims
knows. A claim that holds is a bound, with the record that shows it; a witness against it attains a
better value. The first claim is that the best value known is the extremum; after a witness the gap
is halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.falsify.attained import Best
from verifex.engine.findings.reasons import SEARCH, Evidence, EvidenceKind, Reason
from verifex.engine.range_end import EndProof
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, RangeEnd, Verdict
from verifex.engine.watch import Watch
from verifex.ir.formula import Atom, Form, Or
from verifex.ir.problem import Objective, Problem
from verifex.settings import Settings

MARGIN = Fraction(5, 10**8)
"""How far from the best value known the first claim stays (relative, or of 1): a search ends only
where a bound clears its claim."""

CLOSED = Fraction(8, 10**7)
"""The next claim, where that is left undecided: nearly all that a closed end may miss."""

_ENOUGH = Fraction(1, 10**5)
"""Gaps that are not halved any more (relative, or of 1)."""

DIGITS = 13
"""Digits of the bounds that are claimed."""

VACUOUS = "the assumption holds nowhere in the region: the range is empty"


def end_claim(problem: Problem, objective: Objective, bound: Fraction) -> Problem:
    """The problem whose claim is that the form keeps a bound: at least it, or at most."""
    above = Form(objective.form.terms, objective.form.const - bound)
    return replace(problem, require=Atom(-above if objective.maximise else above))


def outside(bound: Fraction, by: Fraction, maximise: bool) -> Fraction:
    """A bound that gives way by so much (relative, or of 1), rounded outward to a few digits."""
    given = bound + (1 if maximise else -1) * by * max(Fraction(1), abs(bound))
    how = ROUND_CEILING if maximise else ROUND_FLOOR
    # Sound: numerator and denominator are whole numbers, so only the quotient is rounded.
    digits = Context(prec=DIGITS, rounding=how, Emax=10**6, Emin=-(10**6))
    return Fraction(digits.divide(Decimal(given.numerator), Decimal(given.denominator)))


@dataclass
class Narrowing:
    """Narrows one end by claims, in a budget."""

    problem: Problem
    objective: Objective
    settings: Settings
    pool: SolverPool
    budget: Budget
    watch: Watch
    evidence: list[Evidence] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, end: RangeEnd) -> RangeEnd:
        """The end as it is known after as many claims as the budget allows."""
        best = Best(self.problem, self.objective)
        if end.point is not None:
            best.offer(list(end.point))
        if best.best is None and not self._some_point(best):
            return end
        sign = -1 if self.objective.maximise else 1
        bound, proof, unsure = self._known(end), end.proof, list[Fraction]()
        asked = self._first(best, unsure)
        while asked is not None and not self.budget.spent:
            verdict = self._decide(end_claim(self.problem, self.objective, asked))
            held = verdict.outcome is Outcome.CLAIMED
            if held:
                bound, proof = asked, self._proof(asked, verdict)
            elif verdict.witness is not None:
                best.offer(list(verdict.witness.point))
            else:
                self.reasons += verdict.reasons
                unsure.append(asked)
            asked = self._next(best, bound, unsure, held)
        stated = None if end.claimed is None else (end.claimed, end.by)
        if bound is not None and (stated is None or sign * bound > sign * Fraction(stated[0])):
            stated = (float(bound), SEARCH)
            self.evidence.append(Evidence(EvidenceKind.SEARCH_BOUND, SEARCH))
        return replace(best.result(end.proven, stated, self.reasons), proof=proof)

    def _some_point(self, best: Best) -> bool:
        """Find a point of the range, if there is any."""
        verdict = self._decide(replace(self.problem, require=Or(())))
        if verdict.witness is not None:
            best.offer(list(verdict.witness.point))
        elif verdict.outcome is Outcome.CLAIMED:
            self.notes.append(VACUOUS)
        return best.best is not None

    def _known(self, end: RangeEnd) -> Fraction | None:
        """The bound to begin with. What a solver claims is asked again: no record shows it."""
        if end.proof is not None:
            return Fraction(end.proof.bound)
        return end.proven

    def _first(self, best: Best, unsure: Sequence[Fraction]) -> Fraction | None:
        """The claim that the best value is the extremum, or the next weaker one; None where both
        were left undecided."""
        sign, value = -1 if self.objective.maximise else 1, best.extreme
        if value is None:
            return None
        claims = [outside(value, by, self.objective.maximise) for by in (MARGIN, CLOSED)]
        weaker = [c for c in claims if not unsure or sign * c < sign * unsure[-1]]
        return weaker[0] if weaker else None

    def _next(
        self, best: Best, bound: Fraction | None, unsure: Sequence[Fraction], held: bool
    ) -> Fraction | None:
        """The next claim: none once the gap is closed; after a claim that holds, that the best
        value is the extremum; else the middle of the gap between the bound and the best value, or
        the last claim that was left undecided."""
        sign, first = -1 if self.objective.maximise else 1, self._first(best, unsure)
        edge = unsure[-1] if unsure else best.extreme
        if edge is None or (first is not None and bound is not None
                            and sign * bound >= sign * first):
            return None
        enough = _ENOUGH * max(Fraction(1), abs(edge))
        near = bound is not None and abs(edge - bound) <= enough
        if first is not None and (held or unsure or bound is None or near):
            return first
        if bound is None or near:
            return None
        return outside((edge + bound) / 2, Fraction(0), self.objective.maximise)

    def _decide(self, claim: Problem) -> Verdict:
        """What a search for a claim finds in the time that is left."""
        alone = replace(self.settings, seconds=max(0.01, self.budget.left), search=True, solvers=(),
                        engine="search", attack=True)
        return decide(claim, alone, self.pool, self.watch)

    @staticmethod
    def _proof(bound: Fraction, verdict: Verdict) -> EndProof | None:
        record = verdict.proof
        return EndProof(float(bound), record, bound) if isinstance(record, Closed) else None
