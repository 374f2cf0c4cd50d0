"""The ends of a search: domains whose forms no relaxation loosens any more, closed by LPs.

With every gate that matters decided, a form is affine on a polytope. The LP's duals become split
multipliers whose bound is evaluated again as the certificate will; its vertex, and points drawn
from there toward the inside, are candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from verifex.engine.boxes import Layout
from verifex.engine.budget import Budget
from verifex.engine.domain import Domain, local_facts
from verifex.engine.forms import FormTable
from verifex.engine.leaf import LeafSolver
from verifex.engine.optimise import Bounder, Effort
from verifex.engine.proof import Packed, pack
from verifex.engine.root import to_rows
from verifex.ir.exact import FloatArray

_INWARD = (0.0, 1e-9, 1e-6, 1e-3, 1.0)


@dataclass(frozen=True)
class LeafRow:
    """One row on a leaf: the bound its multipliers give, and the LP's value and points."""

    row: int
    bound: float
    params: Packed
    value: float | None
    points: FloatArray | None


@dataclass(frozen=True)
class _Polytope:
    """Rows a x >= b that hold on a domain; `cells` are the (z, element) of the first ones."""

    a: FloatArray
    b: FloatArray
    cells: list[tuple[int, int]]


class Leaves:
    """Leaf work for one search; the LP solver is loaded when first needed."""

    def __init__(self, layout: Layout, bounder: Bounder, table: FormTable) -> None:
        self.layout, self.bounder, self.table = layout, bounder, table
        self._lp: LeafSolver | None = None

    def solver(self) -> LeafSolver:
        if self._lp is None:
            self._lp = LeafSolver()
        return self._lp

    def solve(self, domain: Domain, budget: Budget) -> Iterator[LeafRow]:
        """Every open row's LP; rows that HiGHS leaves unsolved are left out."""
        polytope = self._polytope(domain)
        cost, const = self._affine(domain)
        for k, row in enumerate(domain.rows):
            seconds = max(0.01, min(5.0, budget.left))
            answer = self.solver().minimise(
                cost[k], float(const[k]), polytope.a, polytope.b, domain.lo, domain.hi, seconds
            )
            if not answer.solved:
                continue
            bound, params = self._rebound(domain, k, polytope, answer.duals, answer.value is None)
            points = None if answer.x is None else self._inward(answer.x, polytope, domain)
            yield LeafRow(row, bound, params, answer.value, points)

    def undecided(self, domain: Domain) -> int:
        """An undecided gate of the domain (the widest), -1 if there is none."""
        boxes = self.layout.propagate(*domain.box, local=local_facts([domain]))
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

    def _affine(self, domain: Domain) -> tuple[FloatArray, FloatArray]:
        """Linear lower bounds of the domain's rows without any multipliers: the LPs' costs."""
        boxes = self.layout.propagate(*domain.box, local=local_facts([domain]))
        lo, hi, signs = domain.box
        rows, start, box = self.table.rows(boxes, signs, lo, hi, [(0, r) for r in domain.rows])
        rows.split = {}
        params = {
            key: torch.from_numpy(v)
            for key, v in domain.warm.items()
            if key[0] not in ("split", "rows")
        }
        with torch.no_grad():
            _, coefs, const = self.bounder.evaluate(rows, start, params, *box)
        return coefs.numpy(), (const + self.table.consts[domain.rows]).numpy()

    def _polytope(self, domain: Domain) -> _Polytope:
        """The split constraints (and the region's rows) as rows over the inputs.

        A split z >= 0 gives `upper(z) >= 0` with the linear upper bound of z: exact where the
        gates before z are decided, a relaxation (still sound) where they are not.
        """
        chosen = np.flatnonzero(domain.signs)
        cells = [self.layout.name(int(g)) for g in chosen]
        a, b = np.zeros((len(cells), domain.lo.shape[0])), np.zeros(len(cells))
        boxes = self.layout.propagate(*domain.box, local=local_facts([domain]))
        for z in sorted({z for z, _ in cells}):
            mine = [k for k, (node, _) in enumerate(cells) if node == z]
            start = torch.zeros((len(mine), self.layout.graph.nodes[z].size), dtype=torch.float64)
            for r, k in enumerate(mine):
                start[r, cells[k][1]] = -float(domain.signs[chosen[k]])
            domains = torch.zeros(len(mine), dtype=torch.long)
            rows = to_rows(boxes, domains, self.layout, domain.signs[None])
            rows.split = {}
            box = (
                torch.from_numpy(domain.lo).expand(len(mine), -1),
                torch.from_numpy(domain.hi).expand(len(mine), -1),
            )
            with torch.no_grad():
                params = self.bounder.start(rows, [z])
                _, coefs, const = self.bounder.evaluate(rows, {z: start}, params, *box)
            a[mine], b[mine] = -coefs.numpy(), const.numpy()
        linear = self.bounder.linear
        if linear is not None:
            a = np.concatenate([a, -linear.a.numpy()])
            b = np.concatenate([b, -linear.b.numpy()])
        return _Polytope(a, b, cells)

    def _rebound(
        self, domain: Domain, k: int, polytope: _Polytope, duals: FloatArray, empty: bool
    ) -> tuple[float, Packed]:
        """The bound that the LP's duals give as multipliers, with the multipliers."""
        row = domain.rows[k]
        lo, hi, signs = domain.box
        boxes = self.layout.propagate(lo, hi, signs, local=local_facts([domain]))
        rows, start, box = self.table.rows(boxes, signs, lo, hi, [(0, row)])
        kept = {key: torch.from_numpy(v[k : k + 1]).clone() for key, v in domain.warm.items()}
        params = {key: kept.get(key, v) for key, v in self.bounder.start(rows, list(start)).items()}
        factor = 1.0
        if empty:  # a contradiction times a large factor outweighs any form
            scale = max(float(np.abs(duals).max(initial=0)), 1e-12)
            factor = 1e4 * (1.0 + abs(domain.value)) / scale
        for (z, i), dual in zip(polytope.cells, duals, strict=False):
            if ("split", z) in params:
                params["split", z][0, i] = float(dual) * factor
        if self.bounder.linear is not None:
            params["rows", 0][0] = torch.from_numpy(duals[len(polytope.cells) :] * factor)
        found = self.bounder.bound(rows, start, *box, Effort(0), params)
        packed = pack({key: v[0].numpy() for key, v in found.params.items()})
        return float(found.value[0] + self.table.consts[row]), packed

    def _inward(self, x: FloatArray, polytope: _Polytope, domain: Domain) -> FloatArray:
        """The LP's vertex, and points drawn from it toward the centre of the polytope."""
        n = x.shape[0]
        norms = np.linalg.norm(polytope.a, axis=1, keepdims=True)
        wide = np.concatenate([polytope.a, -norms], axis=1)
        cost = np.append(np.zeros(n), -1.0)
        lo, hi = np.append(domain.lo, 0.0), np.append(domain.hi, 1.0)
        centre = self.solver().minimise(cost, 0.0, wide, polytope.b, lo, hi)
        if centre.x is None:
            return x[None]
        return np.stack([x + t * (centre.x[:n] - x) for t in _INWARD])
