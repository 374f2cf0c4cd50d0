"""The ends of a search: domains whose forms no relaxation loosens any more, closed by LPs.

With every gate that matters decided, a form is affine on a polytope. The LP's duals become split
multipliers whose bound is evaluated again as the certificate will; its vertex, and points drawn
from there toward the inside, are candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import FINE, Effort
from verifex.engine.bounds.facts import Packed, pack
from verifex.engine.bounds.half_spaces import HalfSpaces
from verifex.engine.bounds.layout import IntermediateBounds
from verifex.engine.bounds.single_lp import LeafAnswer, LeafSolver
from verifex.engine.search.gates.domains import Domains, RowBounds, attach, local_facts
from verifex.engine.search.gates.policy import SearchContext, Tightened, still_open
from verifex.engine.search.record import AtomBound
from verifex.ir.exact import FloatArray
from verifex.semantics.parameters import Parameter
from verifex.semantics.support.balls import cut as ball_cut
from verifex.semantics.support.balls import inside, tangents
from verifex.semantics.support.whole import WholeFeatures

_TANGENTS = 40
"""Rounds of tangents at most."""

_WHOLE = 1e-6
"""A vertex that is so near to whole numbers counts as whole."""

_INWARD = (0.0, 1e-9, 1e-6, 1e-3, 1.0)


@dataclass(frozen=True)
class LeafRow:
    """One row on a leaf: the bound its multipliers give, and the LP's value and points."""

    row: int
    bound: float
    params: Packed
    value: float | None
    points: FloatArray | None
    cost: FloatArray


@dataclass(frozen=True)
class _Leaf:
    """One domain, as a batch of one, with the bounds of its nodes, its half-spaces, and the
    parameters (rows, size each) that its rows begin with."""

    domain: Domains
    bounds: IntermediateBounds
    half_spaces: HalfSpaces
    params: dict[Parameter, FloatArray]

    @property
    def box(self) -> tuple[FloatArray, FloatArray, NDArray[np.int8]]:
        """Input box and signs, each with a leading axis of one."""
        return self.domain.lo, self.domain.hi, self.domain.signs

    @property
    def rows(self) -> NDArray[np.intp]:
        """The open rows."""
        return np.asarray(self.domain.rows[0], dtype=np.intp)


class WholeSide:
    """The whole feature to split a domain (a batch of one) on: the most fractional one at the
    vertices of its programs, else the one that their forms depend on most.

    `best` is that feature, -1 if there is none; `fixed` says that all whole features have one value
    each, `fractional` that a vertex is no point of the region.
    """

    def __init__(self, whole: WholeFeatures | None, domain: Domains) -> None:
        lo, hi = domain.lo[0], domain.hi[0]
        self.fixed = whole is None or whole.fixed_in(lo, hi)
        self._open = np.zeros(len(lo), dtype=bool) if whole is None else whole.open_in(lo, hi)
        self._width = hi - lo
        self._off, self._reach = np.zeros(len(lo)), np.zeros(len(lo))

    def look(self, vertex: FloatArray, cost: FloatArray) -> None:
        """Take note of the vertex of a form with coefficients `cost`."""
        off = np.abs(vertex - np.round(vertex))
        self._off = np.maximum(self._off, np.where(self._open & (off > _WHOLE), off, 0.0))
        self._reach += np.abs(cost) * self._width

    @property
    def fractional(self) -> bool:
        return bool(self._off.any())

    @property
    def best(self) -> int:
        if not self._open.any():
            return -1
        score = self._off if self.fractional else self._reach
        return int(np.where(self._open, score, -1.0).argmax())


class Leaves:
    """Leaf work for one search; the LP solver is loaded when first needed."""

    def __init__(self, context: SearchContext) -> None:
        self.context = context
        self._lp: LeafSolver | None = None
        self._hopeless = False

    def solver(self) -> LeafSolver:
        if self._lp is None:
            self._lp = LeafSolver()
        return self._lp

    def tighten(self, domains: Domains) -> Tightened:
        """Solve each open row's LP over the polytope of each domain, which has no gate to split on.

        A domain that stays open gets an undecided gate to split on, if there is one, or else a
        whole feature. Those that are not tried any more, since the search is over, are marked
        `again`.
        """
        closed, again = still_open(domains)
        for k in range(len(domains)):
            if not (self.context.budget.spent or self.context.policy.finished()):
                closed[k] = self._end(domains.take(slice(k, k + 1)))
            if not closed[k] and self.context.budget.spent:
                # What it could not do in time is done again, if there is another slice of time.
                domains.gate[k] = domains.dimension[k] = -1
                again[k] = True
            elif self.context.policy.finished():
                again[k] = not closed[k]
        return Tightened(closed, again)

    def _end(self, domain: Domains) -> str:
        """How a domain (a batch of one, a view) is closed by its LPs; "" if it is not."""
        context, leaf = self.context, self._leaf(domain)
        policy, stats = context.policy, context.stats
        left, side = self._undecided(leaf), WholeSide(context.whole, domain)
        known: dict[int, float] = {}
        for answer in self._solve(leaf):
            stats.lps += 1
            known[answer.row] = answer.bound
            by_value = False
            if answer.value is not None and answer.points is not None:
                policy.candidates(answer.points, [answer.row])
                # With undecided gates or whole features left the polytope only contains the domain.
                vertex = answer.points[0]
                side.look(vertex, answer.cost)
                decided = left < 0 and side.fixed
                by_value = decided and policy.leaf_value(answer.row, answer.value, vertex)
                if by_value:
                    known[answer.row] = max(known[answer.row], answer.value)
            goal = float(policy.goals(np.array([answer.row]))[0])
            # A tie too: exact arithmetic decides it.
            worth = by_value or answer.bound > min(goal, -abs(goal))
            if context.options.record and worth:
                bound = AtomBound(answer.row, answer.bound, answer.params)
                attach(context.proof, domain, 0, bound)
        found = RowBounds(
            np.zeros(len(known), dtype=np.intp), np.array(list(known), dtype=np.intp),
            np.array(list(known.values()), dtype=np.float64))
        if policy.close(domain, found)[0]:
            return "bounds"
        domain.gate[0] = left
        if left < 0 and (closed := self._exactly(domain)):
            return closed
        left = int(domain.gate[0])
        # Exact arithmetic may have had no time for it: then it is no tie yet.
        timely = not context.budget.spent
        if left < 0 and timely and not side.fractional and policy.tie(domain, found)[0]:
            stats.ties += 1
            return "tie"
        if left < 0:
            domain.dimension[0] = side.best
            stats.unresolved += side.best < 0 and not context.budget.spent
        return ""

    def _exactly(self, domain: Domains) -> str:
        """How a domain with nothing to split on is closed in exact arithmetic; "" if it is not.

        A unit that it has to be split on for that is put into its column.
        """
        policy = self.context.policy
        if policy.exact is None or self._hopeless or self.context.over:
            return ""
        end = policy.exact.end(domain.lo[0], domain.hi[0], domain.signs[0], domain.false[0])
        self.context.proof.nodes[domain.node[0]].bounds += end.bounds
        if end.witness is not None:
            policy.found(end.witness)
        # On such a claim closed leaves help no more.
        self._hopeless = end.violated
        if end.closed == "":
            rows = np.flatnonzero(end.false & ~domain.false[0])
            certain = RowBounds(np.zeros_like(rows), rows, np.full(len(rows), np.inf))
            policy.close(domain, certain)
            domain.gate[0] = end.gate
        return end.closed

    def _leaf(self, domain: Domains) -> _Leaf:
        lo, hi, signs = domain.lo, domain.hi, domain.signs
        bounds = self.context.layout.propagate(lo, hi, signs, local=local_facts(domain))
        half_spaces = self.context.half_spaces.of_splits(bounds, lo, hi, signs)
        warm, rows = domain.warm[0], domain.rows[0]
        params: dict[Parameter, FloatArray] = {}
        if warm is not None:
            at = np.searchsorted(warm.rows, rows).clip(max=len(warm.rows) - 1)
            if np.array_equal(warm.rows[at], rows):
                params = {key: value[at] for key, value in warm.params.items()}
        return _Leaf(domain, bounds, half_spaces, params)

    def _solve(self, leaf: _Leaf) -> Iterator[LeafRow]:
        """Every open row's LP until the search is over; rows that HiGHS leaves unsolved are left
        out."""
        cost, const = self._affine(leaf)
        for k, row in enumerate(leaf.rows.tolist()):
            if self.context.budget.spent or self.context.policy.finished():
                return  # a claim may have thousands of rows: those left count as open
            seconds = max(0.01, min(5.0, self.context.budget.left))
            answer, left, right = self._minimise(cost[k], float(const[k]), leaf, seconds)
            if not answer.solved:
                continue
            bound, params = self._bound_again(leaf, k, answer.duals, answer.value is None)
            points = None if answer.x is None else self._inward(answer.x, left, right, leaf.domain)
            yield LeafRow(row, bound, params, answer.value, points, cost[k])

    def _minimise(
        self, cost: FloatArray, const: float, leaf: _Leaf, seconds: float
    ) -> tuple[LeafAnswer, FloatArray, FloatArray]:
        """The LP's answer and its rows; balls enter by tangents where a minimiser leaves them
        (Kelley, The Cutting-Plane Method, 1960), and have no multipliers of their own."""
        left, right = leaf.half_spaces.a[0], leaf.half_spaces.b[0]
        balls, rows = self.context.bounder.balls, len(left)
        lo, hi = leaf.domain.lo[0], leaf.domain.hi[0]
        if balls:
            x = ball_cut(balls, cost[None], lo[None], hi[None]).x
            left, right = self._with_tangents(left, right, x)
        answer = self.solver().minimise(cost, const, left, right, lo, hi, seconds)
        for _ in range(_TANGENTS if balls else 0):
            if answer.x is None or inside(balls, answer.x[None])[0]:
                break
            left, right = self._with_tangents(left, right, answer.x[None])
            answer = self.solver().minimise(cost, const, left, right, lo, hi, seconds)
        return replace(answer, duals=answer.duals[:rows]), left, right

    def _with_tangents(
        self, left: FloatArray, right: FloatArray, points: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        more_left, more_right = tangents(self.context.bounder.balls, points)
        return np.concatenate([left, more_left[0]]), np.concatenate([right, more_right[0]])

    def _undecided(self, leaf: _Leaf) -> int:
        """An undecided gate of the domain (the widest), -1 if there is none."""
        layout = self.context.layout
        gated = set(layout.steps.values())
        best, room = -1, -1.0
        for z, at in layout.offsets.items():
            lo, hi = leaf.bounds.lo[z][0], leaf.bounds.hi[z][0]
            sign = leaf.domain.signs[0, at : at + lo.shape[0]]
            # A gate may still be either where its pre-activation is zero; a mere ReLU is not loose.
            open_ = (lo <= 0) & (hi >= 0) if z in gated else (lo < 0) & (hi > 0)
            free = np.where((sign == 0) & open_, np.minimum(-lo, hi), -1.0)
            if free.size and free.max() > room:
                best, room = at + int(free.argmax()), float(free.max())
        return best

    def _affine(self, leaf: _Leaf) -> tuple[FloatArray, FloatArray]:
        """Linear lower bounds of the domain's rows without any multipliers: the LPs' costs."""
        lo, hi, signs = leaf.box
        place = np.zeros(len(leaf.rows), dtype=np.intp)
        rows, start, box = self.context.table.rows(leaf.bounds, signs, lo, hi, place, leaf.rows)
        rows.split = {}
        params = {key: v for key, v in leaf.params.items() if not key.is_multiplier}
        _, coefs, const = self.context.bounder.evaluate(rows, start, params, *box)
        return coefs, const + self.context.table.consts[leaf.rows]

    def _bound_again(
        self, leaf: _Leaf, attempt: int, duals: FloatArray, empty: bool
    ) -> tuple[float, Packed]:
        """The bound that the LP's duals give as multipliers, with the multipliers."""
        context = self.context
        row, first = leaf.rows[attempt : attempt + 1], np.zeros(1, dtype=np.intp)
        lo, hi, signs = leaf.box
        rows, start, box = context.table.rows(leaf.bounds, signs, lo, hi, first, row)
        kept = {key: v[attempt : attempt + 1] for key, v in leaf.params.items()}
        fresh = context.bounder.start(rows, list(start))
        params = {key: kept.get(key, v) for key, v in fresh.items()}
        if empty:  # a contradiction times a large factor outweighs any form
            scale = max(float(np.abs(duals).max(initial=0)), 1e-12)
            duals = duals * (1e4 * (1.0 + abs(float(leaf.domain.value[0]))) / scale)
        context.half_spaces.place(params, leaf.half_spaces, duals[None], FINE)
        found = context.bounder.bound(rows, start, *box, Effort(0), params, bits=FINE)
        packed = pack({key: v[0] for key, v in found.params.items()})
        return float(found.value[0] + context.table.consts[row[0]]), packed

    def _inward(
        self, points: FloatArray, left: FloatArray, right: FloatArray, domain: Domains
    ) -> FloatArray:
        """The LP's vertex, and points drawn from it toward the centre of the polytope."""
        n, balls = points.shape[0], self.context.bounder.balls
        cost = np.append(np.zeros(n), -1.0)
        lo, hi = np.append(domain.lo[0], 0.0), np.append(domain.hi[0], 1.0)
        centre = points
        for _ in range(1 + _TANGENTS * bool(balls)):
            norms = np.linalg.norm(left, axis=1, keepdims=True)
            wide = np.concatenate([left, -norms], axis=1)
            found = self.solver().minimise(cost, 0.0, wide, right, lo, hi).x
            if found is None:
                return points[None]
            centre = found[:n]
            if inside(balls, centre[None])[0]:
                break
            left, right = self._with_tangents(left, right, centre[None])
        return np.stack([points + t * (centre - points) for t in _INWARD])
