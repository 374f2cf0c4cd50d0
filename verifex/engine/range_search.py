"""The search for ranges: both ends of forms by branch and bound, with local searches for what is
attained before and after it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from verifex.engine.budget import Budget
from verifex.engine.falsify.seeker import Seeker
from verifex.engine.findings.reasons import SEARCH, Reason, ReasonKind
from verifex.engine.range_end import EndProof, Left
from verifex.engine.run import has_smooth, node_bounds
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import TRUE, Atom, Form, Or
from verifex.ir.problem import Objective, Problem
from verifex.limits.checkpoint import CutOff
from verifex.settings import Settings

if TYPE_CHECKING:
    from verifex.engine.search.extrema import Minimum

_BEFORE = 0.05
"""Of the time, what the local search for attained values has before the branch and bound: better
values close domains. As much is kept for it afterwards."""

_BEFORE_SECONDS = 0.1
"""For one end, at most; nothing is begun below a tenth of it."""

_AFTER = 0.2
"""Of what is left, the time for attained values after a search that came to its end: solvers may
know a point as well."""

Seekers: TypeAlias = dict[bool, Seeker]
"""The local searches of a form's minimum (False) and maximum (True)."""

SIDES = (False, True)
"""The minimum and the maximum."""


@dataclass(frozen=True)
class SearchedEnds:
    """What a search knows of a form's minimum (False) and maximum (True): the ends, what it leaves
    open at each, why bounds of it were discarded, the seconds that it took, its records, where they
    were asked for, and the local searches for attained values, which can be continued."""

    ends: dict[bool, RangeEnd]
    left: dict[bool, Left] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    seconds: float = 0.0
    proofs: dict[bool, EndProof] = field(default_factory=dict)
    seekers: Seekers = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether no domain is open: what is not attained then, no search will find."""
        return bool(self.left) and all(left.domains is None for left in self.left.values())

    @property
    def closed(self) -> bool:
        """Whether both gaps are closed, if the bounds are right."""
        return RangeVerdict("", self.ends[False], self.ends[True]).settled


def about(problem: Problem, forms: Sequence[Form]) -> Problem:
    """The problem with a claim that only tells which nodes and kinks matter: nobody decides it."""
    atoms = tuple(Atom(form) for form in forms)
    return replace(problem, require=atoms[0] if len(atoms) == 1 else Or(atoms))


def loaded(problem: Problem, settings: Settings) -> float:
    """The seconds that loading takes what a search for ranges needs, torch perhaps: they count for
    nobody, and there are none from the second time on."""
    started = time.monotonic()
    from verifex.engine.bounds.layout import Layout
    from verifex.engine.search import extrema  # noqa: F401
    from verifex.engine.search.start import load_bounder

    load_bounder(Layout(problem.graph, tuple(problem.targets())), settings.device)
    return time.monotonic() - started


def search_ends(
    problem: Problem, forms: Sequence[Form], seconds: float, settings: Settings,
    reasons: list[Reason], watch: Watch, record: bool = False,
) -> list[SearchedEnds]:
    """Both ends of every form by branch and bound, attained values replayed exactly, and what is
    left open at each. Why it did not come to its end is added to `reasons`; with `record` the
    trees are kept."""
    loaded(problem, settings)
    from verifex.engine.search.extrema import minima
    from verifex.engine.search.gates.search import SearchOptions

    budget = watch.budget(settings, seconds)
    bounds = node_bounds(problem)
    proven = [form.bounds(*bounds) for form in forms]
    empty = [SearchedEnds({s: RangeEnd(b[s], None, None, None) for s in SIDES}) for b in proven]
    if not searchable(problem):
        reasons.append(Reason(ReasonKind.NOT_SEARCHABLE, SEARCH))
        return empty
    options = SearchOptions(device=settings.device, inputs=has_smooth(problem))
    signed = [*forms, *(-f for f in forms)]
    seekers = [
        {side: Seeker(about(problem, [form]), Objective(form, side), settings.seed)
         for side in SIDES} for form in forms]
    unsearched = [replace(e, seekers=s) for e, s in zip(empty, seekers, strict=True)]
    try:
        with budget.enforced():
            points = _sought_before(seekers, budget.part(_BEFORE))
            share = budget.part(1 - _BEFORE)
            found, stats, _, _ = minima(
                problem, signed, share, options, watch.search(), settings.seed, record, points)
    except UnsupportedError as error:
        reasons.append(Reason(ReasonKind.UNSUPPORTED, SEARCH, str(error)))
        return unsearched
    except CutOff:
        reasons.append(Reason(ReasonKind.SEARCH_OUT_OF_TIME, SEARCH))
        return unsearched
    watch.stage("search", budget.elapsed, f"{stats.domains} domains, {stats.lps} leaf programs")
    reasons += [Reason(ReasonKind.PROCESS_LOST, SEARCH, why) for why in stats.lost]
    if share.spent:
        reasons.append(Reason(ReasonKind.SEARCH_OUT_OF_TIME, SEARCH, count=stats.domains))
    both = [(found[k], found[k + len(forms)]) for k in range(len(forms))]
    started = time.monotonic()
    # Values attained are worth something, but bounds hold without them.
    with suppress(CutOff), budget.enforced():
        if _sought_after(seekers, both, budget.part(1.0 if share.spent else _AFTER)):
            watch.stage("attained", time.monotonic() - started, _told(seekers))
    return [_ends(form, pair, mine, known) for form, pair, mine, known in zip(
        forms, both, seekers, proven, strict=True)]


def _sought_before(seekers: Sequence[Seekers], budget: Budget) -> FloatArray | None:
    """The best points (k, n) of local searches for every end, if there is time for any."""
    ends = [one for both in seekers for one in both.values()]
    seconds = min(_BEFORE_SECONDS, budget.seconds / len(ends))
    if seconds < _BEFORE_SECONDS / 10:
        return None
    for end in ends:
        end.run(budget.part(min(1.0, seconds / budget.left) if budget.left else 0.0))
    points = [end.point for end in ends if end.point is not None]
    return np.stack(points) if points else None


def _sought_after(
    seekers: Sequence[Seekers], found: Sequence[tuple[Minimum, Minimum]], budget: Budget
) -> int:
    """Seek on from the points that a search knows, at every end whose bound is not attained; how
    many these are."""
    open_: list[tuple[Seeker, float]] = []
    for both, minima in zip(seekers, found, strict=True):
        for side, least in zip(SIDES, minima, strict=True):
            seeker, bound = both[side], _bound(least, side)
            if least.point is not None:
                seeker.offer(least.point.tolist())
                if np.isfinite(bound):
                    seeker.best.offer_kinks(least.point.tolist(), bound)
                seeker.start_at(least.point)
            if not seeker.meets(bound):
                open_.append((seeker, bound))
    for k, (seeker, bound) in enumerate(open_):
        seeker.run(budget.part(1 / (len(open_) - k)), bound)
    return len(open_)


def _told(seekers: Sequence[Seekers]) -> str:
    pieces = sum(
        one.pieces.pieces for both in seekers for one in both.values() if one.pieces is not None)
    return f"{pieces} pieces"


def _bound(least: Minimum, side: bool) -> float:
    """The bound of an end, from the minimum of the form or of its negative."""
    return -least.bound if side else least.bound


def _ends(
    form: Form, found: tuple[Minimum, Minimum], seekers: Seekers,
    proven: tuple[Fraction | None, Fraction | None],
) -> SearchedEnds:
    """Both ends of a form, from the minimum of it and that of its negative."""
    ends, left, proofs, reasons = {}, {}, {}, list[Reason]()
    for side, least in zip(SIDES, found, strict=True):
        bound = _bound(least, side)
        claimed = (bound, SEARCH) if np.isfinite(bound) else None
        ends[side] = seekers[side].best.result(proven[side], claimed, reasons)
        left[side] = Left(least.attained, least.closed, least.rest)
        if least.record is not None and np.isfinite(least.shown):
            proofs[side] = EndProof(-least.shown if side else least.shown, least.record)
    return SearchedEnds(ends, left, tuple(reasons), proofs=proofs, seekers=seekers)


def searchable(problem: Problem) -> bool:
    """Whether the search for ranges takes the problem. What it does not, claims narrow."""
    return problem.assume == TRUE
