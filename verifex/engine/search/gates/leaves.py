"""The ends of a search: domains whose forms no relaxation loosens any more, closed by LPs.

With every gate that matters decided, a form is affine on a polytope. The LP's duals become split
multipliers whose bound is evaluated again as the certificate will; its vertex, and points drawn
from there toward the inside, are candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from verifex.engine.bounds.facts import Packed, pack
from verifex.engine.bounds.half_spaces import Cut, Cutter
from verifex.engine.bounds.layout import Boxes, Layout
from verifex.engine.bounds.optimise import Bounder, Effort
from verifex.engine.budget import Budget
from verifex.engine.search.gates.domain import Domain, local_facts
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.gates.leaf import LeafAnswer, LeafSolver
from verifex.ir.exact import FloatArray
from verifex.semantics.support.balls import cut as ball_cut
from verifex.semantics.support.balls import inside, tangents

_TANGENTS = 40
"""Rounds of tangents at most."""

_INWARD = (0.0, 1e-9, 1e-6, 1e-3, 1.0)


@dataclass(frozen=True)
class LeafRow:
    """One row on a leaf: the bound its multipliers give, and the LP's value and points."""

    row: int
    bound: float
    params: Packed
    value: float | None
    points: FloatArray | None


class Leaves:
    """Leaf work for one search; the LP solver is loaded when first needed."""

    def __init__(self, layout: Layout, bounder: Bounder, table: FormTable, cutter: Cutter) -> None:
        self.layout, self.bounder, self.table, self.cutter = layout, bounder, table, cutter
        self._lp: LeafSolver | None = None

    def solver(self) -> LeafSolver:
        if self._lp is None:
            self._lp = LeafSolver()
        return self._lp

    def boxes(self, domain: Domain) -> Boxes:
        """Bounds of the nodes of one domain."""
        return self.layout.propagate(*domain.box, local=local_facts([domain]))

    def solve(self, domain: Domain, boxes: Boxes, budget: Budget) -> Iterator[LeafRow]:
        """Every open row's LP; rows that HiGHS leaves unsolved are left out."""
        cut = self.cutter.cut(boxes, *domain.box)
        cost, const = self._affine(domain, boxes)
        for k, row in enumerate(domain.rows):
            seconds = max(0.01, min(5.0, budget.left))
            answer, a, b = self._minimise(cost[k], float(const[k]), cut, domain, seconds)
            if not answer.solved:
                continue
            empty = answer.value is None
            bound, params = self._rebound(domain, boxes, k, cut, answer.duals, empty)
            points = None if answer.x is None else self._inward(answer.x, a, b, domain)
            yield LeafRow(row, bound, params, answer.value, points)

    def _minimise(
        self, cost: FloatArray, const: float, cut: Cut, domain: Domain, seconds: float
    ) -> tuple[LeafAnswer, FloatArray, FloatArray]:
        """The LP's answer and its rows; balls enter by tangents where a minimiser leaves them
        (Kelley, The Cutting-Plane Method, 1960), and have no multipliers of their own."""
        a, b, balls = cut.a[0], cut.b[0], self.bounder.balls
        rows, lo, hi = len(a), domain.lo, domain.hi
        if balls:
            x = ball_cut(balls, cost[None], lo[None], hi[None]).x
            a, b = self._with_tangents(a, b, x)
        answer = self.solver().minimise(cost, const, a, b, lo, hi, seconds)
        for _ in range(_TANGENTS if balls else 0):
            if answer.x is None or inside(balls, answer.x[None])[0]:
                break
            a, b = self._with_tangents(a, b, answer.x[None])
            answer = self.solver().minimise(cost, const, a, b, lo, hi, seconds)
        return replace(answer, duals=answer.duals[:rows]), a, b

    def _with_tangents(
        self, left: FloatArray, right: FloatArray, points: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        more_a, more_b = tangents(self.bounder.balls, points)
        return np.concatenate([left, more_a[0]]), np.concatenate([right, more_b[0]])

    def undecided(self, domain: Domain, boxes: Boxes) -> int:
        """An undecided gate of the domain (the widest), -1 if there is none."""
        gated = set(self.layout.steps.values())
        best, room = -1, -1.0
        for z, at in self.layout.offsets.items():
            lo, hi = boxes.lo[z][0], boxes.hi[z][0]
            sign = domain.signs[at : at + lo.shape[0]]
            open_ = (lo <= 0) & (hi >= 0) if z in gated else (lo < 0) & (hi > 0)
            free = np.where((sign == 0) & open_, np.minimum(-lo, hi), -1.0)
            if free.size and free.max() > room:
                best, room = at + int(free.argmax()), float(free.max())
        return best

    def _affine(self, domain: Domain, boxes: Boxes) -> tuple[FloatArray, FloatArray]:
        """Linear lower bounds of the domain's rows without any multipliers: the LPs' costs."""
        lo, hi, signs = domain.box
        rows, start, box = self.table.rows(boxes, signs, lo, hi, [(0, r) for r in domain.rows])
        rows.split = {}
        params = {
            key: torch.from_numpy(v)
            for key, v in domain.warm.items()
            if not key.is_multiplier
        }
        with torch.no_grad():
            _, coefs, const = self.bounder.evaluate(rows, start, params, *box)
        return coefs.numpy(), (const + self.table.consts[domain.rows]).numpy()

    def _rebound(
        self, domain: Domain, boxes: Boxes, attempt: int, cut: Cut, duals: FloatArray, empty: bool
    ) -> tuple[float, Packed]:
        """The bound that the LP's duals give as multipliers, with the multipliers."""
        row = domain.rows[attempt]
        lo, hi, signs = domain.box
        rows, start, box = self.table.rows(boxes, signs, lo, hi, [(0, row)])
        kept = {
            key: torch.from_numpy(v[attempt : attempt + 1]).clone()
            for key, v in domain.warm.items()
        }
        params = {key: kept.get(key, v) for key, v in self.bounder.start(rows, list(start)).items()}
        if empty:  # a contradiction times a large factor outweighs any form
            scale = max(float(np.abs(duals).max(initial=0)), 1e-12)
            duals = duals * (1e4 * (1.0 + abs(domain.value)) / scale)
        self.cutter.place(params, cut, duals[None])
        found = self.bounder.bound(rows, start, *box, Effort(0), params)
        packed = pack({key: v[0].numpy() for key, v in found.params.items()})
        return float(found.value[0] + self.table.consts[row]), packed

    def _inward(
        self, points: FloatArray, left: FloatArray, right: FloatArray, domain: Domain
    ) -> FloatArray:
        """The LP's vertex, and points drawn from it toward the centre of the polytope."""
        n, balls = points.shape[0], self.bounder.balls
        cost = np.append(np.zeros(n), -1.0)
        lo, hi = np.append(domain.lo, 0.0), np.append(domain.hi, 1.0)
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
