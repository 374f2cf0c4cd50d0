"""The exact worst-case range of an expression over a region: both ends, each with its gap.

The range is over the closed question (both gate values at a kink), which is what a proof covers;
`attained` is the exact value at a point strictly off the kinks where one was found.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from verifex.engine.by_threshold.narrowing import Narrowing
from verifex.engine.by_threshold.threshold_range import ThresholdQuestion, ThresholdRange
from verifex.engine.falsify.attained import tighter
from verifex.engine.falsify.seeker import Seeker
from verifex.engine.findings.reasons import (
    BOUNDS,
    SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    as_interrupted,
)
from verifex.engine.findings.undefined import region_notes
from verifex.engine.range_end import End
from verifex.engine.range_search import (
    SIDES,
    SearchedEnds,
    Seekers,
    about,
    loaded,
    search_ends,
    searchable,
)
from verifex.engine.run import has_smooth, node_bounds, tried
from verifex.engine.search.handover import SEARCH_SHARE
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.watch import Watch
from verifex.ir.formula import Form
from verifex.ir.problem import Objective, Problem
from verifex.settings import Settings

_SLICE = 0.25
"""Seconds of the first turn of the local search for attained values; every turn is twice as long.
"""

_LATE = {ReasonKind.SEARCH_OUT_OF_TIME, ReasonKind.OUT_OF_TIME}

TOGETHER = 0.25
"""Of the time of several forms, what one search for all of them gets. It closes most of them at a
fraction of the cost; the rest of the time is for each form that it leaves open, alone."""


@dataclass(frozen=True)
class RangeQuestion:
    """A form whose range is asked for, what it is called, and who is told of its search."""

    form: Form
    name: str = ""
    watch: Watch = field(default_factory=Watch)


def find_range(
    problem: Problem,
    form: Form,
    settings: Settings | None = None,
    pool: SolverPool | None = None,
    name: str = "",
    watch: Watch | None = None,
) -> RangeVerdict:
    """Minimum and maximum of `form` over the problem's region and assumption."""
    question = RangeQuestion(form, name, watch or Watch())
    return find_each(problem, [question], settings, pool)[0]


def find_each(
    problem: Problem,
    questions: Sequence[RangeQuestion | ThresholdQuestion],
    settings: Settings | None = None,
    pool: SolverPool | None = None,
    watch: Watch | None = None,
    *,
    record: bool = False,
) -> list[RangeVerdict]:
    """The range of every form, in `seconds` for each: several are searched together first, then
    what that leaves open one by one, with solvers; what is no form, by claims alone. `watch` is
    told of the search for all.

    With `record`, ends keep what the search recorded of them, from which certificates are written.
    """
    settings = settings or Settings()
    stop = (watch or (questions[0].watch if questions else Watch())).stop
    own = pool or SolverPool(stopped=stop.is_set)
    done: list[RangeVerdict] = []
    known: dict[int, SearchedEnds] = {}

    by_claims = {k: ThresholdRange(question, settings, own) for k, question in enumerate(questions)
                 if isinstance(question, ThresholdQuestion)}

    def one(place: int) -> _OneRange | ThresholdRange:
        question = questions[place]
        if isinstance(question, ThresholdQuestion):
            return by_claims[place]
        return _OneRange(problem, question, settings, own, known.get(place), record)

    stop.so_far = lambda: [
        *done, *(one(k).unknown() for k in range(len(done), len(questions)))]
    try:
        known |= _together(problem, questions, settings, watch or Watch(stop=stop), record)
        for k in range(len(questions)):
            done.append(one(k).find())
        return done
    finally:
        if pool is None:
            own.close()


def _together(
    problem: Problem, questions: Sequence[RangeQuestion | ThresholdQuestion], settings: Settings,
    watch: Watch, record: bool,
) -> dict[int, SearchedEnds]:
    """What one search finds out about forms that it takes together, by their places."""
    found: dict[int, SearchedEnds] = {}
    asked = {k: question.form for k, question in enumerate(questions)
             if isinstance(question, RangeQuestion)}
    if len(asked) < 2 or not settings.searches or not searchable(problem):
        return found
    for smooth in (False, True):
        places = [k for k, form in asked.items()
                  if has_smooth(about(problem, [form])) is smooth]
        if len(places) < 2:
            continue
        forms = [asked[k] for k in places]
        mine, seconds = about(problem, forms), settings.seconds * len(places) * TOGETHER
        loaded(mine, settings)
        started = time.monotonic()
        # What kept it from its end is asked, and told, again of each form that is left open.
        ends = search_ends(mine, forms, seconds, settings, [], watch, record)
        each = (time.monotonic() - started) / len(places)
        found |= {k: replace(e, seconds=each) for k, e in zip(places, ends, strict=True)}
    return found


class _OneRange:
    """The search for one form's range. `known` is what a search for several forms found out."""

    def __init__(
        self, problem: Problem, question: RangeQuestion, settings: Settings, pool: SolverPool,
        known: SearchedEnds | None, record: bool = False,
    ) -> None:
        self.problem, self.question = about(problem, [question.form]), question
        self.known, self.pool = known, pool
        self.settings, self.record, self.stop = settings, record, question.watch.stop
        self.proofs = {} if known is None else dict(known.proofs)
        self.started = time.monotonic() - (0.0 if known is None else known.seconds)
        self.evidence = [Evidence(EvidenceKind.INTERVALS, BOUNDS)]
        self.reasons: list[Reason] = [] if known is None else list(known.reasons)
        self.notes: list[str] = []

    def find(self) -> RangeVerdict:
        """Both ends with their evidence; what is known of them where that is cut off."""
        if self.settings.searches:
            self.started += loaded(self.problem, self.settings)
        budget = self.question.watch.budget(self.settings, self._left())
        with budget.enforced():
            found = tried(SEARCH, self._found, self.reasons)
        if found is not None:
            return found
        if not self.stop.is_set():
            self.reasons.append(Reason(ReasonKind.OUT_OF_TIME, seconds=self.settings.seconds))
        return self.unknown()

    def _found(self) -> RangeVerdict:
        """Both ends with their evidence; may be cut off."""
        found = self.known
        ended = found is not None and (found.closed or found.ended)
        if self.settings.searches and not ended and not (found and self.stop.is_set()):
            found = self.known = self._searched()
        if found is None:
            return self._verdict(self._sought(self._solved(SearchedEnds({})), {}))
        if any(end.claimed is not None for end in found.ends.values()):
            self.evidence.append(Evidence(EvidenceKind.SEARCH_BOUND, SEARCH))
        ends = found.ends if found.closed or self.stop.is_set() else self._solved(found)
        if not searchable(self.problem):
            ends = self._narrowed(ends)
        return self._verdict(self._sought(ends, found.seekers))

    def unknown(self) -> RangeVerdict:
        """What is known of the range without a search, or by one for several forms."""
        if self.known is not None:
            return self._verdict(dict(self.known.ends))
        proven = self.question.form.bounds(*node_bounds(self.problem))
        return self._verdict({s: RangeEnd(proven[s], None, None, None) for s in SIDES})

    def _narrowed(self, ends: dict[bool, RangeEnd]) -> dict[bool, RangeEnd]:
        """The ends that are still open after claims about them: a search for a claim takes what a
        search for a range does not."""
        out = dict(ends)
        for side in SIDES:
            seconds = self._left() * (1.0 if side else 0.5)
            if SearchedEnds({one: out[side] for one in SIDES}).closed or seconds <= 0:
                continue
            budget = self.question.watch.budget(self.settings, seconds)
            narrowing = Narrowing(
                self.problem, Objective(self.question.form, side), self.settings, self.pool, budget,
                self.question.watch)
            out[side] = narrowing.run(out[side])
            if out[side].proof is not None:
                self.proofs[side] = out[side].proof
            self.evidence += narrowing.evidence
            self.reasons += narrowing.reasons
            self.notes += narrowing.notes
        return out

    def _sought(self, ends: dict[bool, RangeEnd], seekers: Seekers) -> dict[bool, RangeEnd]:
        """The ends with what a local search attains in the time that is left, where they are open.
        Both have their turn until they are attained, or the search knows no more pieces."""
        if SearchedEnds(ends).closed or self._left() <= 0:
            return ends
        form, out, slice_ = self.question.form, dict(ends), _SLICE
        known = {side: seekers.get(side) or Seeker(
            self.problem, Objective(form, side), self.settings.seed) for side in SIDES}
        for side, seeker in known.items():
            if (point := ends[side].point) is not None:
                seeker.offer(point)
                seeker.start_at([float(v) for v in point])
        while not SearchedEnds(out).closed and self._left() > 0:
            open_ = [side for side in SIDES if not (
                known[side].exhausted or known[side].meets(out[side].best_bound))]
            for side in open_:
                seconds = min(slice_, self._left() / len(open_))
                known[side].run(
                    self.question.watch.budget(self.settings, seconds), out[side].best_bound)
                out[side] = self._told(out[side], known[side])
            slice_ *= 2
            if not open_:
                break
        return out

    def _told(self, end: RangeEnd, seeker: Seeker) -> RangeEnd:
        """An end with the best value that a local search attained."""
        stated = None if end.claimed is None else (end.claimed, end.by)
        found = seeker.best.result(end.proven, stated, self.reasons)
        return replace(found, proven_by=end.proven_by, proof=end.proof)

    def _searched(self) -> SearchedEnds:
        """What a search for this form alone finds out, with what was known before."""
        settings, form = self.settings, self.question.form
        share = SEARCH_SHARE if settings.asked else 1.0
        (found,) = search_ends(
            self.problem, [form], self._left() * share, settings, self.reasons,
            self.question.watch, self.record)
        self.reasons += found.reasons
        for side, proof in found.proofs.items():
            known = self.proofs.get(side)
            sign = -1 if side else 1
            if known is None or sign * proof.bound >= sign * known.bound:
                self.proofs[side] = proof
        if self.known is None:
            return found
        ends = {
            side: tighter(self.problem, Objective(form, side), end, self.known.ends[side],
                          self.reasons)
            for side, end in found.ends.items()
        }
        return SearchedEnds(ends, found.left, found.reasons, seekers=found.seekers)

    def _solved(self, found: SearchedEnds) -> dict[bool, RangeEnd]:
        """The ends with what solvers say of those that the search has not closed."""
        ends, form = dict(found.ends), self.question.form
        bounds = node_bounds(self.problem)
        proven = form.bounds(*bounds)
        for side in (False, True):
            left = found.left.get(side)
            both = SearchedEnds({s: ends[side] for s in SIDES if side in ends})
            if left and left.domains is None and both.closed:
                continue  # the search has closed this end
            budget = self.question.watch.budget(
                self.settings, self._left() * (1.0 if side else 0.5))
            end = End(self.problem, Objective(form, side), bounds, self.settings, self.pool, budget,
                      left, self.question.watch)
            ends[side] = end.run(proven[side], ends.get(side))
            self.evidence += end.evidence
            self.reasons += end.reasons
        return ends

    def _left(self) -> float:
        """Seconds that are left."""
        if self.stop.is_set():
            return 0.0
        return max(0.0, self.settings.seconds - (time.monotonic() - self.started))

    def _verdict(self, ends: dict[bool, RangeEnd]) -> RangeVerdict:
        low, high = (replace(ends[side], proof=self.proofs.get(side)) for side in SIDES)
        seconds = time.monotonic() - self.started
        reasons = tuple(dict.fromkeys([*self.reasons, *self._why_open(low, high)]))
        if self.stop.is_set():
            reasons = as_interrupted(reasons, seconds)
        return RangeVerdict(
            self.question.name, low, high, reasons, tuple(dict.fromkeys(self.evidence)), seconds,
            tuple(dict.fromkeys((*_notes(self.problem), *self.notes))),
        )

    def _why_open(self, low: RangeEnd, high: RangeEnd) -> list[Reason]:
        """What keeps the ends from being attained, where nothing else was said of it."""
        if RangeVerdict("", low, high).settled or any(r.kind in _LATE for r in self.reasons):
            return []
        told = []
        for name, end in (("minimum", low), ("maximum", high)):
            if SearchedEnds({False: end, True: end}).closed or end.best_bound is None:
                continue
            kind = ReasonKind.NO_EXACT_VALUES if has_smooth(self.problem) else (
                ReasonKind.NOT_ATTAINED)
            told.append(Reason(kind, name, bound=end.best_bound))
        return told


def _notes(problem: Problem) -> tuple[str, ...]:
    return (*problem.graph.notes, *problem.notes, *region_notes(problem))


def find_ranges(
    problem: Problem, forms: list[Form], names: list[str], settings: Settings | None = None,
    watch: Watch | None = None,
) -> list[RangeVerdict]:
    """Ranges of many forms by one search (see `find_range` for what a range is), in `seconds`.

    Forms share their bounds and advance in one batch; nothing is left for other solvers here.
    """
    settings = settings or Settings()
    started, problem = time.monotonic(), about(problem, forms)
    reasons: list[Reason] = []
    share = SEARCH_SHARE if settings.asked else 1.0
    found = search_ends(
        problem, forms, settings.seconds * share, settings, reasons, watch or Watch())
    evidence = (Evidence(EvidenceKind.SEARCH_BOUND, SEARCH),)
    notes, seconds = _notes(problem), time.monotonic() - started
    return [
        RangeVerdict(
            name, one.ends[False], one.ends[True], tuple(dict.fromkeys([*reasons, *one.reasons])),
            evidence, seconds, notes,
        )
        for name, one in zip(names, found, strict=True)
    ]
