"""The range of a measure: both ends, one after the other."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction

from verifex.engine.by_threshold.end_search import EndSearch
from verifex.engine.findings.reasons import (
    BY_DEFINITION,
    Evidence,
    EvidenceKind,
    Reason,
    as_interrupted,
)
from verifex.engine.findings.undefined import region_notes
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.watch import Watch
from verifex.limits.checkpoint import CutOff
from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression
from verifex.settings import Settings


@dataclass(frozen=True)
class ThresholdQuestion:
    """A measure whose range is asked for, and who is told of its search."""

    asked: ThresholdExpression
    watch: Watch = field(default_factory=Watch)


class ThresholdRange:
    """The search for both ends of one measure, in `seconds` of the settings."""

    def __init__(
        self, question: ThresholdQuestion, settings: Settings, pool: SolverPool
    ) -> None:
        self.question, self.settings, self.pool = question, settings, pool
        self.started = time.monotonic()
        self.searches: dict[bool, EndSearch] = {}

    def find(self) -> RangeVerdict:
        """Both ends with their evidence. The maximum comes first: it is mostly attained at x0."""
        self.started = time.monotonic()
        # What is known of the ends is kept where the search for more is cut off.
        with suppress(CutOff), self.question.watch.budget(self.settings).enforced():
            self._both_ends()
        return self.unknown()

    def _both_ends(self) -> None:
        scale = Fraction(0)
        for maximum in (True, False):
            if self.question.watch.stop.is_set():
                break
            search = self._search(maximum, 0.5 if maximum else 1.0, scale)
            self.searches[maximum] = search
            search.run()
            scale = abs(search.end.attained or Fraction(0))

    def unknown(self) -> RangeVerdict:
        """What is known so far."""
        ends: dict[bool, RangeEnd] = {}
        evidence = [Evidence(EvidenceKind.DEFINITION, BY_DEFINITION)]
        reasons, notes = list[Reason](), list[str]()
        for maximum in (False, True):
            search = self.searches.get(maximum) or self._search(maximum, 1.0, Fraction(0))
            ends[maximum] = search.end
            evidence += search.evidence
            reasons += search.reasons
            notes += search.notes
        asked, seconds = self.question.asked, time.monotonic() - self.started
        told = tuple(dict.fromkeys(reasons))
        if self.question.watch.stop.is_set():
            told = as_interrupted(told, seconds)
        problem = asked.measured
        every = (*problem.graph.notes, *problem.notes, *region_notes(problem), *notes)
        found = RangeVerdict(
            asked.label, ends[False], ends[True], told, tuple(dict.fromkeys(evidence)), seconds,
            tuple(dict.fromkeys(every)))
        # What was left undecided on the way says nothing of a range that is closed.
        return replace(found, reasons=()) if found.settled else found

    def _search(self, maximum: bool, share: float, scale: Fraction) -> EndSearch:
        left = max(0.0, self.settings.seconds - (time.monotonic() - self.started))
        budget = self.question.watch.budget(self.settings, left * share)
        return EndSearch(self.question.asked, maximum, self.settings, budget, self.pool,
                         self.question.watch, scale)
