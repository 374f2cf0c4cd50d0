"""The exact worst-case range of an expression over a region: both ends, each with its gap.

The range is over the closed question (both gate values at a kink), which is what a proof covers;
`attained` is the exact value at a point strictly off the kinks where one was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from verifex.engine.budget import Budget
from verifex.engine.decide import Options, has_smooth, node_bounds
from verifex.engine.handover import SEARCH_SHARE, Rest
from verifex.engine.pool import SolverPool
from verifex.engine.settle import interior_point
from verifex.engine.undefined import region_notes
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.engine.witness import replay, snap
from verifex.errors import UnsupportedError
from verifex.ir.formula import TRUE, Atom, Form, Or
from verifex.ir.lower import to_float
from verifex.ir.problem import Objective, Problem
from verifex.ir.solving import Answer, SolveLimits, Status
from verifex.ir.text import problem_to_json
from verifex.semantics.claim import NodeBounds, Question, ask, extremum
from verifex.semantics.evaluate import evaluate_float

Progress = Callable[[str, str], None]

_SLACK = 1e-9
"""A solver is asked for values up to so much (relative) worse than the best one known."""


def find_range(
    problem: Problem,
    form: Form,
    options: Options | None = None,
    pool: SolverPool | None = None,
    name: str = "",
) -> RangeVerdict:
    """Minimum and maximum of `form` over the problem's region and assumption."""
    options = options or Options()
    own = pool or SolverPool()
    try:
        return _find_range(problem, form, options, own, name)
    finally:
        if pool is None:
            own.close()


def _find_range(
    problem: Problem, form: Form, options: Options, pool: SolverPool, name: str
) -> RangeVerdict:
    started = time.monotonic()
    # The claim only tells which nodes and kinks matter: it is never decided here.
    problem = replace(problem, require=Atom(form))
    bounds = node_bounds(problem)
    low, high = form.bounds(*bounds)
    ends: dict[bool, RangeEnd] = {}
    evidence, reasons = ["interval bounds, outward rounded"], list[str]()
    rests: dict[bool, _Left] = {}
    if options.search:
        ends, rests = _search(problem, [form], bounds, options, reasons)[0]
        if any(end.claimed is not None for end in ends.values()):
            evidence.append("search: bound")
        if _settled(ends):
            return RangeVerdict(
                name,
                ends[False],
                ends[True],
                "",
                tuple(evidence),
                time.monotonic() - started,
                (*problem.graph.notes, *problem.notes, *region_notes(problem)),
            )
    for maximise in (False, True):
        budget = Budget(
            max(0.0, options.seconds - (time.monotonic() - started)) * (1.0 if maximise else 0.5),
            options.memory,
            options.threads,
        )
        left = rests.get(maximise)
        if left and left.domains is None and _settled({s: ends[maximise] for s in (False, True)}):
            continue  # the search has closed this end
        search = _End(problem, Objective(form, maximise), bounds, options, pool, budget, left)
        end = search.run(high if maximise else low)
        ends[maximise] = _better(end, ends[maximise], maximise) if maximise in ends else end
        evidence += search.evidence
        reasons += search.reasons
    return RangeVerdict(
        name,
        ends[False],
        ends[True],
        "; ".join(dict.fromkeys(reasons)),
        tuple(dict.fromkeys(evidence)),
        time.monotonic() - started,
        (*problem.graph.notes, *problem.notes, *region_notes(problem)),
    )


def find_ranges(
    problem: Problem, forms: list[Form], names: list[str], options: Options | None = None
) -> list[RangeVerdict]:
    """Ranges of many forms by one search (see `find_range` for what a range is).

    Forms share their bounds and advance in one batch; nothing is left for other solvers here.
    """
    options = options or Options()
    started = time.monotonic()
    problem = replace(problem, require=Or(tuple(Atom(f) for f in forms)))
    reasons: list[str] = []
    ends = _search(problem, forms, node_bounds(problem), options, reasons)
    notes = (*problem.graph.notes, *problem.notes, *region_notes(problem))
    seconds = time.monotonic() - started
    return [
        RangeVerdict(
            name, end[False], end[True], "; ".join(reasons), ("search: bound",), seconds, notes
        )
        for name, (end, _) in zip(names, ends, strict=True)
    ]


def _search(
    problem: Problem, forms: list[Form], bounds: NodeBounds, options: Options, reasons: list[str]
) -> list[tuple[dict[bool, RangeEnd], dict[bool, _Left]]]:
    """Both ends of every form by branch and bound, attained values replayed exactly, and what is
    left open at each."""
    from verifex.engine.range_search import minima
    from verifex.engine.search import SearchOptions

    share = SEARCH_SHARE if options.solvers else 1.0
    budget = Budget(options.seconds * share, options.memory, options.threads)
    signed = [*forms, *(-f for f in forms)]
    search = SearchOptions(device=options.device, inputs=has_smooth(problem))
    proven = [f.bounds(*bounds) for f in forms]
    sides = (False, True)
    empty: list[tuple[dict[bool, RangeEnd], dict[bool, _Left]]] = [
        ({s: RangeEnd(b[s], None, None, None) for s in sides}, {}) for b in proven
    ]
    if problem.assume != TRUE or not _searchable(problem):
        reasons.append("search: not used, for it takes no assumption, integers or l2 balls")
        return empty
    watch = options.watch()
    try:
        found, stats, _, _ = minima(problem, signed, budget, search, watch.search(), options.seed)
    except UnsupportedError as error:
        reasons.append(f"search: {error}")
        return empty
    watch.stage("search", budget.elapsed, f"{stats.domains} domains, {stats.lps} leaf programs")
    reasons += [f"search: {why}, with what it held" for why in stats.lost]
    if budget.spent:
        reasons.append(f"search: out of time after {stats.domains} domains")
    out = []
    for k, form in enumerate(forms):
        ends, left = {}, {}
        for side in sides:
            least = found[k + (len(forms) if side else 0)]
            end = _Best(problem, Objective(form, side))
            if least.point is not None:
                end.offer(least.point.tolist())
            claimed = -least.bound if side else least.bound
            ends[side] = end.result(proven[k][side], claimed if np.isfinite(claimed) else None)
            left[side] = _Left(least.attained, least.closed, least.rest)
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


def _better(a: RangeEnd, b: RangeEnd, maximise: bool) -> RangeEnd:
    """The tighter bound and the better point of two answers about one end."""
    sign = -1.0 if maximise else 1.0
    bounds = [e.claimed for e in (a, b) if e.claimed is not None]
    points = [e for e in (a, b) if e.attained is not None]
    best = min(points, key=lambda e: sign * float(e.attained or 0), default=a)
    claimed = max(bounds, key=lambda v: sign * v, default=None)
    return replace(best, proven=a.proven, claimed=claimed)


@dataclass(frozen=True)
class _Left:
    """What a search leaves of one end, as a minimum of the form or of its negative: the value
    attained, a bound outside the open domains, and these."""

    attained: float
    closed: float
    domains: Rest | None


class _Best:
    """The best exact value of one end so far, and the point that attains it."""

    def __init__(self, problem: Problem, objective: Objective) -> None:
        self.problem, self.objective = problem, objective
        self.best: tuple[Fraction, tuple[Fraction, ...], bool] | None = None

    def offer(self, x: list[float | int | Fraction]) -> None:
        """Replay a point exactly and keep it if it is better (off the kinks before on them)."""
        point = snap(self.problem.region, x)
        at = replay(self.problem, point)
        if not (at.inside and at.assumed) or not at.values:
            return
        value = self.objective.form.value(at.values)
        sign = 1 if self.objective.maximise else -1
        if self.best is None or sign * value > sign * self.best[0]:
            self.best = (value, point, at.on_kink)

    def result(self, proven: Fraction | None, claimed: float | None) -> RangeEnd:
        """The end as it is known now."""
        value, point, on_kink = self.best if self.best is not None else (None, None, False)
        return RangeEnd(proven, claimed, value, point, on_kink)


class _End(_Best):
    """The search for one end."""

    def __init__(
        self,
        problem: Problem,
        objective: Objective,
        bounds: NodeBounds,
        options: Options,
        pool: SolverPool,
        budget: Budget,
        left: _Left | None = None,
    ) -> None:
        super().__init__(problem, objective)
        self.bounds, self.left = bounds, left
        self.options, self.pool, self.budget = options, pool, budget
        self.evidence: list[str] = []
        self.reasons: list[str] = []

    def run(self, proven: Fraction | None) -> RangeEnd:
        self._sample()
        claimed = None
        for name in self.options.solvers:
            if self.budget.spent:
                self.reasons.append(f"out of time after {self.options.seconds:g} s")
                break
            capabilities, availability = self.pool.info(name)
            if not (availability.ok and capabilities.optimise):
                why = availability.reason or "it does not optimise"
                self.reasons.append(f"{name} is not used: {why}")
                continue
            started = time.monotonic()
            try:
                claimed = self._solve(name, capabilities.reads, capabilities.products)
            except UnsupportedError as error:
                self.reasons.append(f"{name}: {error}")
                continue
            side = "maximum" if self.objective.maximise else "minimum"
            result = side + (": open" if claimed is None else f": bound {claimed:.6g}")
            self.options.watch().stage(name, time.monotonic() - started, result)
            if claimed is not None:
                self.evidence.append(f"{name}: bound")
                break
        return self.result(proven, claimed)

    def _sample(self) -> None:
        """Corners and random points: the value attained before any solver runs."""
        region, rng = self.problem.region, np.random.default_rng(self.options.seed)
        lo, hi = (np.array([float(v) for v in side]) for side in (region.lo, region.hi))
        corners = np.where(rng.random((128, region.size)) < 0.5, lo, hi)
        x = np.concatenate([corners, lo + (hi - lo) * rng.random((128, region.size))])
        values = evaluate_float(self.problem.graph, x, self.problem.targets())
        total = np.full(len(x), float(self.objective.form.const))
        for (node, index), c in self.objective.form.terms:
            total += float(c) * values[node].reshape(len(x), -1)[:, index]
        order = np.argsort(-total if self.objective.maximise else total)
        for i in order[:2]:
            self.offer(x[i].tolist())

    def _solve(self, name: str, reads: str, products: bool) -> float | None:
        if reads == "problem":
            data = problem_to_json(self.problem, self.objective)
            answer = self.pool.solve_problem(name, data, self._limits())
            inputs = list(range(self.problem.region.size))
            return self._take(name, answer, inputs)
        question, left = self._question(name, products)
        answer = self.pool.solve(name, question.model, self._limits())
        if left is not None and answer.status is Status.INFEASIBLE:
            return self._whole(left, np.inf)  # nothing better than what is attained
        claimed = self._take(name, answer, question.inputs)
        if left is not None and claimed is not None:
            claimed = self._whole(left, -claimed if self.objective.maximise else claimed)
        for steady in () if answer.point is None else (False, True):
            if self.budget.spent or (steady and self.best is not None and not self.best[2]):
                break
            strict = ask(
                replace(self.problem, require=_impossible(self.objective, answer)),
                self.bounds,
                products=products,
                margin=False,
                off_kinks=not steady,
                steady=steady,
            )
            inner = interior_point(question, answer, strict, self.pool, name, self._limits())
            if inner is not None:
                self.offer(inner)
        return claimed

    def _question(self, name: str, products: bool) -> tuple[Question, _Left | None]:
        """The model; over what the search has left open, and no worse than what it attained, if
        the solver computes in floats as the search does."""
        left = self.left
        exact = self.pool.info(name)[0].exact
        if left is None or left.domains is None or exact or not np.isfinite(left.attained):
            return extremum(self.problem, self.objective, self.bounds, products=products), None
        bounds = left.domains.bounds(self.bounds)
        question = extremum(self.problem, self.objective, bounds, products=products)
        model, maximise = question.model, self.objective.maximise
        top = Fraction(left.attained + _SLACK * (1.0 + abs(left.attained)))
        side = (">=", -top) if maximise else ("<=", top)
        if model.objective:
            model.add(model.objective, side[0], side[1] - Fraction(model.objective_const))
        return question, left

    def _whole(self, left: _Left, least: float) -> float:
        """A bound over the region from one (of a minimum) over what was left open."""
        found = min(least, left.closed, left.attained)
        return -found if self.objective.maximise else found

    def _limits(self) -> SolveLimits:
        return SolveLimits(self.budget.left, self.budget.memory, self.budget.threads)

    def _take(self, name: str, answer: Answer, inputs: list[int]) -> float | None:
        if answer.status is Status.INFEASIBLE:
            self.reasons.append(f"{name}: the region (with its assumption) is empty")
            return None
        if answer.point is not None:
            lo = self.problem.region.lo
            self.offer([answer.point.get(v, lo[i]) for i, v in enumerate(inputs)])
        if answer.bound is None:
            self.reasons.append(f"{name}: {answer.stop.value} {answer.note}".strip())
            return None
        return to_float(answer.bound)


def _impossible(objective: Objective, answer: Answer) -> Atom:
    """A claim that the solver's point breaks: the form stays short of its optimum.

    Its violation, strictly off the kinks, is what the interior search looks for: a value within
    1e-6 (relative) of the optimum.
    """
    best = to_float(answer.objective if answer.objective is not None else 0)
    short = Fraction(best) - Fraction(1 if objective.maximise else -1) * Fraction(
        1, 10**7
    ) * Fraction(max(1.0, abs(best)))
    # claim: sign * form < sign * short ; its negation is sign * (form - short) >= 0
    form = objective.form
    shifted = Form(form.terms, form.const - short)
    return Atom(-shifted if objective.maximise else shifted, strict=True)
