"""Extrema of linear forms by branch and bound: all forms of a problem in one search.

A maximum is the negated minimum of the negated form. Attained values come from points evaluated in
float64 during the search; the final ones are replayed exactly by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Fact
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.region_rows import Linear
from verifex.engine.bounds.root import root_facts
from verifex.engine.budget import Budget
from verifex.engine.search.exact_claim import ExactClaim
from verifex.engine.search.gates.domains import Domains, Flags, RowBounds, attach_last, whole
from verifex.engine.search.gates.refresh import lightened
from verifex.engine.search.gates.search import Search, SearchOptions, Stats
from verifex.engine.search.handover import Rest
from verifex.engine.search.record import Closed, Proof, shown, tree_of_row
from verifex.engine.search.start import bounder_for, linear_rows, samples
from verifex.engine.search.workers.team import drive, tensor_threads
from verifex.engine.verdict import Witness
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form
from verifex.ir.problem import Problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.support.balls import drawn, float_balls, inside
from verifex.semantics.support.whole import WholeFeatures


@dataclass
class Minimum:
    """The least value of one form: proposals in floating point.

    `closed` bounds it outside the domains of `rest`, which are still open (None: there are none).
    `shown` is what the tree in `record` shows of it, if a record was asked for and covers all.
    """

    bound: float
    attained: float
    point: FloatArray | None
    closed: float = -np.inf
    rest: Rest | None = None
    shown: float = -np.inf
    record: Closed | None = None


@dataclass
class RangePolicy:
    """Closes a domain once its bound is within a relative `tolerance` of the best value."""

    problem: Problem
    forms: list[Form]
    tolerance: float = 1e-7
    linear: Linear | None = None
    whole: WholeFeatures | None = None
    best: FloatArray = field(init=False)
    points: list[FloatArray | None] = field(init=False)
    closed_at: FloatArray = field(init=False)
    exact: ExactClaim | None = None
    _news: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.best = np.full(len(self.forms), np.inf)
        self.closed_at = np.full(len(self.forms), np.inf)
        self._closed_told = self.closed_at.copy()
        self._balls = float_balls(self.problem.region)
        self._box = self.problem.region.float_box()
        self.points = [None] * len(self.forms)

    def goals(self, rows: NDArray[np.intp]) -> FloatArray:
        best = self.best[rows]
        with np.errstate(invalid="ignore"):
            near = best - self.tolerance * (1e-3 + np.abs(best))
        return np.where(np.isfinite(best), near, np.inf)

    def close(self, domains: Domains, found: RowBounds) -> Flags:
        rows, known = _only_rows(domains), np.full(len(domains), -np.inf)
        known[found.place] = found.value
        domains.value[:] = np.maximum(domains.value, known)
        closed = np.asarray(domains.value >= self.goals(rows))
        np.minimum.at(self.closed_at, rows[closed], domains.value[closed])
        return closed

    def candidates(self, points: FloatArray, rows: Sequence[int]) -> None:
        points = self._within(points)
        if not len(points):
            return
        values = self.evaluate(points)
        for row in set(rows):
            self._offer(row, points, values[row])

    def _within(self, points: FloatArray) -> FloatArray:
        """The points as the region has them: drawn into balls, whole features rounded; those that
        this takes out of it are left out."""
        if self._balls:
            points = drawn(self._balls, points)
        if self.whole is not None:
            points = self.whole.snapped(points)
        return points[self._inside(points)] if self._balls else points

    def _inside(self, points: FloatArray) -> NDArray[np.bool_]:
        """Which points are in the box and in all balls: drawing to a ball may leave the others."""
        lo, hi = self._box
        out: NDArray[np.bool_] = ((lo <= points) & (points <= hi)).all(axis=1) & inside(
            self._balls, points
        )
        return out

    def evaluate(self, points: FloatArray) -> FloatArray:
        """(forms, k) values of all forms at points (k, n)."""
        nodes = evaluate_float(self.problem.graph, points, self.problem.targets())
        out = np.zeros((len(self.forms), points.shape[0]))
        for r, form in enumerate(self.forms):
            out[r] = float(form.const)
            for (node, index), c in form.terms:
                out[r] += float(c) * nodes[node].reshape(points.shape[0], -1)[:, index]
        return out

    def offer_all(self, points: FloatArray) -> None:
        """Try points for every form."""
        if self.whole is not None:
            points = self._within(points)
        if not len(points):
            return
        values = self.evaluate(points)
        for row in range(len(self.forms)):
            self._offer(row, points, values[row])

    def _offer(self, row: int, points: FloatArray, values: FloatArray) -> None:
        if self.linear is not None:  # a point that a row cuts off attains nothing
            a, b = self.linear.a, self.linear.b
            cut = (points @ a.T > b + 1e-9 * (1.0 + np.abs(b))).any(axis=1)
            values = np.where(cut, np.inf, values)
        if not len(values):
            return
        k = int(values.argmin())
        if values[k] < self.best[row]:
            self._better(row, float(values[k]), points[k])

    def _better(self, row: int, value: float, point: FloatArray) -> None:
        self.best[row], self.points[row] = value, point.copy()
        self._news.add(row)

    def found(self, witness: Witness) -> None:
        """Nothing: a range is no claim."""

    def leaf_value(self, row: int, value: float, point: FloatArray) -> bool:
        # The closed cell attains its value, if only on a kink: the range includes it. A point
        # inside the cell that is as good up to rounding is worth more, since it replays.
        if (
            value < self.best[row] - 1e-9 * (1.0 + abs(value))
            and inside(self._balls, point[None])[0]
        ):
            self._better(row, value, drawn(self._balls, point[None])[0])
        return True

    def tie(self, domains: Domains, found: RowBounds) -> Flags:
        return np.zeros(len(domains), dtype=bool)

    def joint(self, domains: Domains) -> list[NDArray[np.intp]]:
        return [np.zeros(0, dtype=np.intp)] * len(domains)

    def tell(self) -> dict[str, Any]:
        """Values attained, and where domains were closed above the best value."""
        rows = sorted(self._news)
        self._news = set()
        best = [(r, float(self.best[r]), self.points[r]) for r in rows]
        some = bool(rows) or not np.array_equal(self.closed_at, self._closed_told)
        self._closed_told = self.closed_at.copy()
        return {"best": best, "closed": self._closed_told} if some else {}

    def hear(self, told: dict[str, Any]) -> None:
        # A leaf's value may be attained on its border only: it cannot be computed from the point.
        for row, value, x in told.get("best", []):
            if value < self.best[row]:
                self._better(row, value, x)
        self.closed_at = np.minimum(self.closed_at, told.get("closed", np.inf))

    def finished(self) -> bool:
        return False

    def priority(self, domains: Domains) -> FloatArray:
        return domains.value - self.best[_only_rows(domains)]

    def describe(self, least: float | None) -> dict[str, Any]:
        """The largest gap between a value attained and its bound (at most this; values improve)."""
        return {"gap": None if least is None else max(0.0, -least)}


def minima(
    problem: Problem,
    forms: list[Form],
    budget: Budget,
    options: SearchOptions,
    log: Callable[[dict[str, Any]], None] | None = None,
    seed: int = 0,
    record: bool = False,
    known: FloatArray | None = None,
) -> tuple[list[Minimum], Stats, Proof, Layout]:
    """Least values of all forms over the region (a box, linear rows, balls, whole numbers).

    With `record`, each comes with the record of its tree, from which a certificate can be written.
    `known` are points (k, n) of the region that are tried as well.
    """
    targets = tuple(sorted({node for f in forms for (node, _), _ in f.terms}))
    layout = Layout(problem.graph, targets)
    linear = linear_rows(problem.region)
    balls = float_balls(problem.region)
    bounder = bounder_for(
        layout, options.device, linear, balls, stopped=lambda: budget.spent)
    whole_features = WholeFeatures.of(problem.region)
    if whole_features is not None and whole_features.empty:
        raise UnsupportedError("no input of the region has whole numbers", expected="some point")
    box = problem.region.float_box()
    lo, hi = box if whole_features is None else (whole_features.lo, whole_features.hi)
    policy = RangePolicy(problem, forms, linear=linear, whole=whole_features)
    points = samples(lo, hi, balls, seed)
    policy.offer_all(points if known is None else np.concatenate([known, points]))
    # Every row has a tree of its own, of few splits: tightening took twice the time of 784 ranges.
    options = lightened(replace(options, tighten=bool(options.tighten)), layout)
    bounder.threads = tensor_threads(options, budget)
    root = root_facts(layout, bounder, lo, hi, budget.part(0.5), options.root_effort)
    if log is not None:
        log({"event": "root", "t": round(budget.elapsed, 4), "facts": len(root.facts)})
    options = replace(options, record=record)
    low, high = (np.repeat(side[None], len(forms), axis=0) for side in (lo, hi))
    signs = np.zeros((len(forms), layout.gates), dtype=np.int8)
    rows = [[r] for r in range(len(forms))]
    roots = whole(low, high, signs, rows, waits=bool(options.refresh))
    search = Search(root, bounder, policy, options, budget, roots, log, whole_features)
    search.begin(points)
    drive(search)
    found = _minima(search, policy, root.facts if record else None)
    return found, search.stats, search.proof, layout


def _minima(
    search: Search, policy: RangePolicy, facts: list[Fact] | None
) -> list[Minimum]:
    """What a search has found out about every form; with its record, if the root's facts are given.
    """
    left = search.open_domains()
    row_of = _only_rows(left)
    closed = np.minimum(policy.closed_at, policy.best)
    found = []
    for r, best in enumerate(policy.best):
        mine = left.take(np.flatnonzero(row_of == r))
        values = np.where(np.isnan(mine.value), -np.inf, mine.value)
        least = min(float(closed[r]), float(values.min(initial=np.inf)))
        rest = Rest(search.layout, mine) if len(mine) else None
        one = Minimum(least, float(best), policy.points[r], float(closed[r]), rest)
        if facts is not None:
            _keep_record(one, search, r, mine, facts)
        found.append(one)
    return found


def _keep_record(
    found: Minimum, search: Search, row: int, left: Domains, facts: list[Fact]
) -> None:
    """Give a minimum the record of its tree. The domains that are left are closed in it by the
    bounds that they had last, so that it shows something even where the search did not end."""
    if not all([attach_last(search.proof, left, k) for k in range(len(left))]):
        return  # never bounded, or held by a process that is gone
    for node in left.node.tolist():
        search.proof.nodes[node].closed = "bounds"
    tree = tree_of_row(search.proof, row, row)
    if tree.open == 0:
        found.shown, found.record = shown(tree), Closed(search.layout, facts, tree, [])


def _only_rows(domains: Domains) -> NDArray[np.intp]:
    """The form (N,) that each domain is about."""
    return np.array([rows[0] for rows in domains.rows], dtype=np.intp)
