"""The exact worst-case range of an expression over a region: both ends, each with its gap.

The range is over the closed question (both gate values at a kink), which is what a proof covers;
`attained` is the exact value at a point strictly off the kinks where one was found.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from verifex.engine.budget import Budget
from verifex.engine.findings.reasons import (
    BOUNDS,
    SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
)
from verifex.engine.range_end import Best, End, Left
from verifex.engine.run import has_smooth, node_bounds
from verifex.engine.search.handover import SEARCH_SHARE
from verifex.engine.solve.pool import SolverPool
from verifex.engine.undefined import region_notes
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError
from verifex.ir.formula import TRUE, Atom, Form, Or
from verifex.ir.problem import Objective, Problem
from verifex.semantics.claim import NodeBounds
from verifex.settings import Settings


def find_range(
    problem: Problem,
    form: Form,
    settings: Settings | None = None,
    pool: SolverPool | None = None,
    name: str = "",
    watch: Watch | None = None,
) -> RangeVerdict:
    """Minimum and maximum of `form` over the problem's region and assumption."""
    settings = settings or Settings()
    own = pool or SolverPool()
    try:
        return _find_range(problem, form, settings, own, name, watch or Watch())
    finally:
        if pool is None:
            own.close()


def _find_range(
    problem: Problem, form: Form, settings: Settings, pool: SolverPool, name: str, watch: Watch
) -> RangeVerdict:
    started = time.monotonic()
    # The claim only tells which nodes and kinks matter: it is never decided here.
    problem = replace(problem, require=Atom(form))
    bounds = node_bounds(problem)
    low, high = form.bounds(*bounds)
    ends: dict[bool, RangeEnd] = {}
    evidence, reasons = [Evidence(EvidenceKind.INTERVALS, BOUNDS)], list[Reason]()
    rests: dict[bool, Left] = {}
    if settings.searches:
        ends, rests = _search(problem, [form], bounds, settings, reasons, watch)[0]
        if any(end.claimed is not None for end in ends.values()):
            evidence.append(Evidence(EvidenceKind.SEARCH_BOUND, SEARCH))
        if _settled(ends):
            return RangeVerdict(
                name,
                ends[False],
                ends[True],
                tuple(dict.fromkeys(reasons)),
                tuple(evidence),
                time.monotonic() - started,
                (*problem.graph.notes, *problem.notes, *region_notes(problem)),
            )
    for maximise in (False, True):
        budget = Budget(
            max(0.0, settings.seconds - (time.monotonic() - started)) * (1.0 if maximise else 0.5),
            settings.memory,
            settings.threads,
        )
        left = rests.get(maximise)
        if left and left.domains is None and _settled({s: ends[maximise] for s in (False, True)}):
            continue  # the search has closed this end
        objective = Objective(form, maximise)
        search = End(problem, objective, bounds, settings, pool, budget, left, watch)
        ends[maximise] = search.run(high if maximise else low, ends.get(maximise))
        evidence += search.evidence
        reasons += search.reasons
    return RangeVerdict(
        name,
        ends[False],
        ends[True],
        tuple(dict.fromkeys(reasons)),
        tuple(dict.fromkeys(evidence)),
        time.monotonic() - started,
        (*problem.graph.notes, *problem.notes, *region_notes(problem)),
    )


def find_ranges(
    problem: Problem, forms: list[Form], names: list[str], settings: Settings | None = None,
    watch: Watch | None = None,
) -> list[RangeVerdict]:
    """Ranges of many forms by one search (see `find_range` for what a range is).

    Forms share their bounds and advance in one batch; nothing is left for other solvers here.
    """
    settings = settings or Settings()
    started = time.monotonic()
    problem = replace(problem, require=Or(tuple(Atom(f) for f in forms)))
    reasons: list[Reason] = []
    evidence = (Evidence(EvidenceKind.SEARCH_BOUND, SEARCH),)
    ends = _search(problem, forms, node_bounds(problem), settings, reasons, watch or Watch())
    notes = (*problem.graph.notes, *problem.notes, *region_notes(problem))
    seconds = time.monotonic() - started
    return [
        RangeVerdict(
            name, end[False], end[True], tuple(reasons), evidence, seconds, notes
        )
        for name, (end, _) in zip(names, ends, strict=True)
    ]


def _search(
    problem: Problem, forms: list[Form], bounds: NodeBounds, settings: Settings,
    reasons: list[Reason], watch: Watch,
) -> list[tuple[dict[bool, RangeEnd], dict[bool, Left]]]:
    """Both ends of every form by branch and bound, attained values replayed exactly, and what is
    left open at each."""
    from verifex.engine.search.extrema import minima
    from verifex.engine.search.gates.search import SearchOptions

    share = SEARCH_SHARE if settings.asked else 1.0
    budget = Budget(settings.seconds * share, settings.memory, settings.threads)
    signed = [*forms, *(-f for f in forms)]
    search = SearchOptions(device=settings.device, inputs=has_smooth(problem))
    proven = [f.bounds(*bounds) for f in forms]
    sides = (False, True)
    empty: list[tuple[dict[bool, RangeEnd], dict[bool, Left]]] = [
        ({s: RangeEnd(b[s], None, None, None) for s in sides}, {}) for b in proven
    ]
    if problem.assume != TRUE or not _searchable(problem):
        reasons.append(Reason(ReasonKind.NOT_SEARCHABLE, SEARCH))
        return empty
    try:
        found, stats, _, _ = minima(problem, signed, budget, search, watch.search(), settings.seed)
    except UnsupportedError as error:
        reasons.append(Reason(ReasonKind.UNSUPPORTED, SEARCH, str(error)))
        return empty
    watch.stage("search", budget.elapsed, f"{stats.domains} domains, {stats.lps} leaf programs")
    reasons += [Reason(ReasonKind.PROCESS_LOST, SEARCH, why) for why in stats.lost]
    if budget.spent:
        reasons.append(Reason(ReasonKind.SEARCH_OUT_OF_TIME, SEARCH, count=stats.domains))
    out = []
    for k, form in enumerate(forms):
        ends, left = {}, {}
        for side in sides:
            least = found[k + (len(forms) if side else 0)]
            end = Best(problem, Objective(form, side))
            if least.point is not None:
                end.offer(least.point.tolist())
            bound = -least.bound if side else least.bound
            claimed = (bound, "search") if np.isfinite(bound) else None
            ends[side] = end.result(proven[k][side], claimed, reasons)
            left[side] = Left(least.attained, least.closed, least.rest)
        out.append((ends, left))
    return out


def _searchable(problem: Problem) -> bool:
    """Whether the search's leaves attain their values: on an l2 ball's rim they only come near."""
    region = problem.region
    round_ = any(ball.norm == "l2" for ball in region.balls)
    return not (region.integers or region.one_hot or round_)


def _settled(ends: dict[bool, RangeEnd]) -> bool:
    """Whether both gaps are closed."""
    return RangeVerdict("", ends[False], ends[True]).closed
