"""The exact worst-case range of an expression over a region: both ends, each with its gap.

The range is over the closed question (both gate values at a kink), which is what a proof covers;
`attained` is the exact value at a point strictly off the kinks where one was found.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from verifex.engine.by_threshold.threshold_range import ThresholdQuestion, ThresholdRange
from verifex.engine.falsify.attained import Best, tighter
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
from verifex.engine.range_end import End, EndProof, Left
from verifex.engine.run import has_smooth, node_bounds
from verifex.engine.search.handover import SEARCH_SHARE
from verifex.engine.solve.pool import SolverPool
from verifex.engine.thresholds import Narrowing
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError
from verifex.ir.formula import TRUE, Atom, Form, Or
from verifex.ir.problem import Objective, Problem
from verifex.settings import Settings

if TYPE_CHECKING:
    from verifex.engine.search.extrema import Minimum

SIDES = (False, True)
"""The minimum and the maximum."""

TOGETHER = 0.25
"""Of the time of several forms, what one search for all of them gets. It closes most of them at a
fraction of the cost; the rest of the time is for each form that it leaves open, alone."""


@dataclass(frozen=True)
class RangeQuestion:
    """A form whose range is asked for, what it is called, and who is told of its search."""

    form: Form
    name: str = ""
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True)
class SearchedEnds:
    """What a search knows of a form's minimum (False) and maximum (True): the ends, what it leaves
    open at each, why bounds of it were discarded, the seconds that it took, and its records, where
    they were asked for."""

    ends: dict[bool, RangeEnd]
    left: dict[bool, Left] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    seconds: float = 0.0
    proofs: dict[bool, EndProof] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether no domain is open: what is not attained then, no search will find."""
        return bool(self.left) and all(left.domains is None for left in self.left.values())

    @property
    def closed(self) -> bool:
        """Whether both gaps are closed, if the bounds are right."""
        return RangeVerdict("", self.ends[False], self.ends[True]).settled


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
    if len(asked) < 2 or not settings.searches or not _searchable(problem):
        return found
    for smooth in (False, True):
        places = [k for k, form in asked.items()
                  if has_smooth(_about(problem, [form])) is smooth]
        if len(places) < 2:
            continue
        forms, started = [asked[k] for k in places], time.monotonic()
        seconds = settings.seconds * len(places) * TOGETHER
        # What kept it from its end is asked, and told, again of each form that is left open.
        ends = _search(_about(problem, forms), forms, seconds, settings, [], watch, record)
        each = (time.monotonic() - started) / len(places)
        found |= {k: replace(e, seconds=each) for k, e in zip(places, ends, strict=True)}
    return found


def _about(problem: Problem, forms: Sequence[Form]) -> Problem:
    """The problem with a claim that only tells which nodes and kinks matter: nobody decides it."""
    atoms = tuple(Atom(form) for form in forms)
    return replace(problem, require=atoms[0] if len(atoms) == 1 else Or(atoms))


class _OneRange:
    """The search for one form's range. `known` is what a search for several forms found out."""

    def __init__(
        self, problem: Problem, question: RangeQuestion, settings: Settings, pool: SolverPool,
        known: SearchedEnds | None, record: bool = False,
    ) -> None:
        self.problem, self.question = _about(problem, [question.form]), question
        self.known, self.pool = known, pool
        self.settings, self.record, self.stop = settings, record, question.watch.stop
        self.proofs = {} if known is None else dict(known.proofs)
        self.started = time.monotonic() - (0.0 if known is None else known.seconds)
        self.evidence = [Evidence(EvidenceKind.INTERVALS, BOUNDS)]
        self.reasons: list[Reason] = [] if known is None else list(known.reasons)
        self.notes: list[str] = []

    def find(self) -> RangeVerdict:
        """Both ends with their evidence."""
        found = self.known
        ended = found is not None and (found.closed or found.ended)
        if self.settings.searches and not ended and not (found and self.stop.is_set()):
            found = self._searched()
        if found is None:
            return self._verdict(self._solved(SearchedEnds({})))
        if any(end.claimed is not None for end in found.ends.values()):
            self.evidence.append(Evidence(EvidenceKind.SEARCH_BOUND, SEARCH))
        ends = found.ends if found.closed or self.stop.is_set() else self._solved(found)
        return self._verdict(ends if _searchable(self.problem) else self._narrowed(ends))

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

    def _searched(self) -> SearchedEnds:
        """What a search for this form alone finds out, with what was known before."""
        settings, form = self.settings, self.question.form
        share = SEARCH_SHARE if settings.asked else 1.0
        found = _search(self.problem, [form], self._left() * share, settings, self.reasons,
                        self.question.watch, self.record)[0]
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
        return SearchedEnds(ends, found.left, found.reasons)

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
        seconds, reasons = time.monotonic() - self.started, tuple(dict.fromkeys(self.reasons))
        if self.stop.is_set():
            reasons = as_interrupted(reasons, seconds)
        return RangeVerdict(
            self.question.name, low, high, reasons, tuple(dict.fromkeys(self.evidence)), seconds,
            tuple(dict.fromkeys((*_notes(self.problem), *self.notes))),
        )


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
    started, problem = time.monotonic(), _about(problem, forms)
    reasons: list[Reason] = []
    share = SEARCH_SHARE if settings.asked else 1.0
    found = _search(problem, forms, settings.seconds * share, settings, reasons, watch or Watch())
    evidence = (Evidence(EvidenceKind.SEARCH_BOUND, SEARCH),)
    notes, seconds = _notes(problem), time.monotonic() - started
    return [
        RangeVerdict(
            name, one.ends[False], one.ends[True], tuple(dict.fromkeys([*reasons, *one.reasons])),
            evidence, seconds, notes,
        )
        for name, one in zip(names, found, strict=True)
    ]


def _search(
    problem: Problem, forms: Sequence[Form], seconds: float, settings: Settings,
    reasons: list[Reason], watch: Watch, record: bool = False,
) -> list[SearchedEnds]:
    """Both ends of every form by branch and bound, attained values replayed exactly, and what is
    left open at each. Why it did not come to its end is added to `reasons`; with `record` the
    trees are kept."""
    from verifex.engine.search.extrema import minima
    from verifex.engine.search.gates.search import SearchOptions

    # Loading torch, just now, does not count.
    budget = watch.budget(settings, seconds)
    bounds = node_bounds(problem)
    proven = [form.bounds(*bounds) for form in forms]
    empty = [SearchedEnds({s: RangeEnd(b[s], None, None, None) for s in SIDES}) for b in proven]
    if not _searchable(problem):
        reasons.append(Reason(ReasonKind.NOT_SEARCHABLE, SEARCH))
        return empty
    options = SearchOptions(device=settings.device, inputs=has_smooth(problem))
    signed = [*forms, *(-f for f in forms)]
    try:
        found, stats, _, _ = minima(
            problem, signed, budget, options, watch.search(), settings.seed, record)
    except UnsupportedError as error:
        reasons.append(Reason(ReasonKind.UNSUPPORTED, SEARCH, str(error)))
        return empty
    watch.stage("search", budget.elapsed, f"{stats.domains} domains, {stats.lps} leaf programs")
    reasons += [Reason(ReasonKind.PROCESS_LOST, SEARCH, why) for why in stats.lost]
    if budget.spent:
        reasons.append(Reason(ReasonKind.SEARCH_OUT_OF_TIME, SEARCH, count=stats.domains))
    return [
        _ends(_about(problem, [form]), form, (found[k], found[k + len(forms)]), proven[k])
        for k, form in enumerate(forms)
    ]


def _ends(
    problem: Problem, form: Form, found: tuple[Minimum, Minimum],
    proven: tuple[Fraction | None, Fraction | None],
) -> SearchedEnds:
    """Both ends of a form, from the minimum of it and that of its negative. `problem` is about this
    form alone: kinks of other forms are none of its own."""
    ends, left, proofs, reasons = {}, {}, {}, list[Reason]()
    for side, least in zip(SIDES, found, strict=True):
        best = Best(problem, Objective(form, side))
        if least.point is not None:
            best.offer(least.point.tolist())
        bound = -least.bound if side else least.bound
        if least.point is not None and np.isfinite(bound):
            best.offer_kinks(least.point.tolist(), bound)
        claimed = (bound, SEARCH) if np.isfinite(bound) else None
        ends[side] = best.result(proven[side], claimed, reasons)
        left[side] = Left(least.attained, least.closed, least.rest)
        if least.record is not None and np.isfinite(least.shown):
            proofs[side] = EndProof(-least.shown if side else least.shown, least.record)
    return SearchedEnds(ends, left, tuple(reasons), proofs=proofs)


def _searchable(problem: Problem) -> bool:
    """Whether the search for ranges takes the problem. What it does not, claims narrow."""
    return problem.assume == TRUE
