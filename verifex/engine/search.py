"""Branch and bound over gates and input sides: best first, many domains and queries in one batch.

The search works on *rows*: linear forms whose lower bound over a domain is wanted. A `Policy` says
when a domain is closed and what a candidate point is worth; `decide_search` (formulas) and
`range_search` (extrema) are the two policies. Bounds here steer and are recorded with their
multipliers; what they conclude is granted by replay or by a certificate.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.boxes import Boxes, Layout, Signs
from verifex.engine.branching import gate_scores, minimisers
from verifex.engine.budget import Budget
from verifex.engine.leaf import LeafSolver
from verifex.engine.optimise import Bounder, Bounds, Effort
from verifex.engine.proof import AtomBound, Proof, ProofNode, pack
from verifex.engine.root import Root, to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form
from verifex.semantics.linear import ParamKey, Rows


@dataclass
class Domain:
    """A part of the region: its box, its gate signs, and the rows still open on it."""

    lo: FloatArray
    hi: FloatArray
    signs: NDArray[np.int8]
    rows: list[int]
    node: int
    tree: int = 0
    value: float = -np.inf
    warm: dict[ParamKey, FloatArray] = field(default_factory=dict)
    gate: int = -1
    dimension: int = -1
    loss: float = 0.0
    reach: FloatArray | None = None
    state: Any = None


class Policy(Protocol):
    """What the search is for."""

    forms: list[Form]

    def goal(self, row: int) -> float:
        """The bound at which a row needs no more work."""

    def settle(self, domain: Domain, values: dict[int, float]) -> bool:
        """Take note of lower bounds per row; drop what is decided; True closes the domain."""

    def candidates(self, x: FloatArray, rows: list[int]) -> None:
        """Points of the region (k, n) worth trying, each with the row that it came from."""

    def leaf_value(self, domain: Domain, row: int, value: float, x: FloatArray) -> bool:
        """The exact minimum of a row on a leaf; True if that settles the row there."""

    def finished(self) -> bool:
        """Whether the search may stop at once."""

    def priority(self, domain: Domain) -> float:
        """Domains with the least priority come first."""


@dataclass(frozen=True)
class SearchOptions:
    """Widths and efforts. `inputs`: split input sides too (low dimension or smooth functions)."""

    width: int = 192
    root_effort: Effort = Effort(60, 0.2, 0.97)
    effort: Effort = Effort(12, 0.2, 0.9)
    rule: str = "gap"
    inputs: bool = False
    max_domains: int = 2_000_000
    record: bool = True
    device: str = "cpu"


@dataclass
class Stats:
    """What happened: for the log and the benchmarks."""

    domains: int = 0
    leaves: int = 0
    lps: int = 0
    unresolved: int = 0
    batches: int = 0


class Search:
    """One run of branch and bound. `log` receives one dictionary per batch."""

    def __init__(
        self, root: Root, bounder: Bounder, policy: Policy, options: SearchOptions, budget: Budget,
        log: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.root, self.layout, self.bounder = root, root.layout, bounder
        self.policy, self.options, self.budget, self.log = policy, options, budget, log
        self.proof, self.stats = Proof(), Stats()
        self._heap: list[tuple[float, int, Domain]] = []
        self._order = itertools.count()
        self._leaf_solver: LeafSolver | None = None
        self._starts = self._form_tensors()
        self.unresolved: list[Domain] = []

    # --- driving --------------------------------------------------------------------------------

    def run(self, roots: list[Domain]) -> None:
        """Search until the policy is finished, nothing is open, or the budget is spent."""
        for domain in roots:
            domain.node = self.proof.add(ProofNode(parent=-1))
        for at in range(0, len(roots), self.options.width):
            batch = roots[at : at + self.options.width]
            if self.budget.spent or self.policy.finished():
                self.unresolved += batch
            else:
                self._evaluate(batch, self.options.root_effort)
        while self._heap and not self.policy.finished() and not self.budget.spent:
            if self.stats.domains > self.options.max_domains:
                break
            self._step()

    def open_domains(self) -> list[Domain]:
        """Domains that are not closed (including leaves that could not be resolved)."""
        return [d for _, _, d in self._heap] + self.unresolved

    def _step(self) -> None:
        batch: list[Domain] = []
        rows = 0
        while self._heap and len(batch) < self.options.width and rows < 4 * self.options.width:
            domain = heapq.heappop(self._heap)[2]
            if self.policy.settle(domain, {}):  # an incumbent found meanwhile may close it
                self._close(domain, "bounds")
                continue
            batch.append(domain)
            rows += len(domain.rows)
        children: list[Domain] = []
        for domain in batch:
            if self.budget.spent or self.policy.finished():
                self._push(domain)
            elif domain.gate < 0 and domain.dimension < 0:
                children += self._leaf(domain)
            else:
                children += self._split(domain)
        if children:
            self._evaluate(children, self.options.effort)
        self.stats.batches += 1
        if self.log is not None:
            self.log({
                "t": round(self.budget.elapsed, 4), "domains": self.stats.domains,
                "open": len(self._heap), "lps": self.stats.lps,
            })

    def _push(self, domain: Domain) -> None:
        heapq.heappush(self._heap, (self.policy.priority(domain), next(self._order), domain))

    def _close(self, domain: Domain, how: str) -> None:
        self.stats.leaves += 1
        self.proof.nodes[domain.node].closed = how

    # --- bounding -------------------------------------------------------------------------------

    def _form_tensors(self) -> dict[int, torch.Tensor]:
        """node -> (rows, size) coefficients of all forms."""
        out: dict[int, torch.Tensor] = {}
        forms = self.policy.forms
        for r, form in enumerate(forms):
            for (node, index), c in form.terms:
                if node not in out:
                    size = self.layout.graph.nodes[node].size
                    out[node] = torch.zeros((len(forms), size), dtype=torch.float64)
                out[node][r, index] += float(c)
        self._consts = torch.tensor([float(f.const) for f in forms], dtype=torch.float64)
        return out

    def _evaluate(self, domains: list[Domain], effort: Effort) -> None:
        """Bound all open rows of the domains, close what closes, queue the rest."""
        lo, hi = np.stack([d.lo for d in domains]), np.stack([d.hi for d in domains])
        signs = np.stack([d.signs for d in domains])
        boxes = self.layout.propagate(lo, hi, signs)
        self.stats.domains += len(domains)
        for d, empty in zip(domains, boxes.empty, strict=True):
            if empty:
                self._close(d, "empty")
        alive = [k for k, empty in enumerate(boxes.empty) if not empty and domains[k].rows]
        # A domain without open rows that is not closed cannot be helped by bounds.
        idle = [d for d, e in zip(domains, boxes.empty, strict=True) if not e and not d.rows]
        self.unresolved += idle
        pairs = [(k, r) for k in alive for r in domains[k].rows]
        if not pairs:
            return
        rows, start, box = self._rows(boxes, signs, lo, hi, pairs)
        row_ids = [r for _, r in pairs]
        consts = self._consts[row_ids]
        goal = torch.tensor([self.policy.goal(r) for r in row_ids], dtype=torch.float64) - consts
        warm = self._warm(domains, pairs)
        found = self.bounder.bound(rows, start, *box, effort, warm, goal)
        found.value = found.value + consts
        x = minimisers(found, *box)
        self.policy.candidates(x.numpy(), row_ids)
        self._digest(domains, alive, pairs, rows, found, x)

    def _rows(
        self, boxes: Boxes, signs: Signs, lo: FloatArray, hi: FloatArray,
        pairs: list[tuple[int, int]],
    ) -> tuple[Rows, dict[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        domain = torch.tensor([k for k, _ in pairs], dtype=torch.long)
        rows = to_rows(boxes, domain, self.layout, signs)
        wanted = torch.tensor([r for _, r in pairs], dtype=torch.long)
        start = {node: table[wanted] for node, table in self._starts.items()}
        return rows, start, (torch.from_numpy(lo)[domain], torch.from_numpy(hi)[domain])

    def _warm(self, domains: list[Domain], pairs: list[tuple[int, int]]) -> dict[ParamKey, Any]:
        """The parents' parameters, stacked; a parameter some parent lacks starts afresh."""
        first = domains[pairs[0][0]].warm
        stacked = {}
        for key, example in first.items():
            width = example.shape[1]
            parts = []
            for k, r in pairs:
                mine = domains[k].warm.get(key)
                parts.append(mine[r_index(domains[k], r)] if mine is not None else np.zeros(width))
            stacked[key] = torch.from_numpy(np.stack(parts))
        return stacked

    def _digest(
        self, domains: list[Domain], alive: list[int], pairs: list[tuple[int, int]], rows: Rows,
        found: Bounds, x: torch.Tensor,
    ) -> None:
        """Settle every domain; for the open ones choose where to split next."""
        scores = gate_scores(self.layout, self.bounder, rows, found, x, self.options.rule)
        values, score = found.value.numpy(), scores.numpy()
        params = {k: v.numpy() for k, v in found.params.items()}
        coefs = found.coefs.numpy()
        at: dict[int, list[int]] = {k: [] for k in alive}
        for p, (k, _) in enumerate(pairs):
            at[k].append(p)
        for k in alive:
            domain, mine = domains[k], at[k]
            known = {pairs[p][1]: float(values[p]) for p in mine}
            if self.options.record:
                self._record(domain, mine, pairs, known, params)
            if self.policy.settle(domain, known):
                self._close(domain, "bounds")
                continue
            open_ = [p for p in mine if pairs[p][1] in set(domain.rows)]
            domain.rows = [pairs[p][1] for p in open_]
            domain.warm = {key: v[open_] for key, v in params.items()}
            domain.reach = np.abs(coefs[open_]).sum(axis=0) if self.options.inputs else None
            domain.value = min(known[r] for r in domain.rows)
            self._choose(domain, score[open_].sum(axis=0))
            self._push(domain)

    def _record(
        self, domain: Domain, mine: list[int], pairs: list[tuple[int, int]],
        known: dict[int, float], params: dict[ParamKey, FloatArray],
    ) -> None:
        """Keep the multipliers of rows that have reached their goal."""
        for p in mine:
            row = pairs[p][1]
            if known[row] > self.policy.goal(row):
                packed = pack({k: v[p] for k, v in params.items()})
                self.proof.nodes[domain.node].bounds.append(AtomBound(row, known[row], packed))

    # --- splitting ------------------------------------------------------------------------------

    def _choose(self, domain: Domain, score: FloatArray) -> None:
        """The gate that loses most, or the input side that the bound depends on most."""
        domain.gate, domain.dimension = -1, -1
        best = int(score.argmax()) if score.size else -1
        if best >= 0 and score[best] > 1e-9 * (1.0 + abs(domain.value)):
            domain.gate, domain.loss = best, float(score[best])
        if domain.reach is not None:
            width = domain.hi - domain.lo
            reach = domain.reach * width
            if domain.gate < 0 or width.max() > 0:
                side = int(reach.argmax()) if reach.max() > 0 else int(width.argmax())
                if width[side] > 0:
                    domain.dimension, domain.gate = side, -1

    def _split(self, domain: Domain) -> list[Domain]:
        """The two children; bounds and multipliers are inherited."""
        children = []
        for sign in (1, -1):
            node = ProofNode(domain.node, sign=sign)
            child = Domain(
                domain.lo.copy(), domain.hi.copy(), domain.signs.copy(), list(domain.rows), -1,
                domain.tree, domain.value, domain.warm, state=domain.state,
            )
            if domain.gate >= 0:
                node.gate = domain.gate
                child.signs[domain.gate] = sign
            else:
                node.dimension, i = domain.dimension, domain.dimension
                node.at = float((domain.lo[i] + domain.hi[i]) / 2)
                (child.lo if sign > 0 else child.hi)[i] = node.at
            child.node = self.proof.add(node)
            children.append(child)
        self.proof.nodes[domain.node].children = (children[0].node, children[1].node)
        return children

    # --- leaves ---------------------------------------------------------------------------------

    def _leaf(self, domain: Domain) -> list[Domain]:
        """Solve each open row's LP over the domain's polytope; split on if gates are left."""
        a, b, cells = self._polytope(domain)
        affine = self._affine(domain)
        known: dict[int, float] = {}
        left = self._undecided(domain)
        for k, row in enumerate(domain.rows):
            answer = self._solver().minimise(
                affine[0][k], float(affine[1][k]), a, b, domain.lo, domain.hi,
                max(0.01, min(5.0, self.budget.left)),
            )
            self.stats.lps += 1
            if not answer.solved:
                continue
            known[row] = self._rebound(domain, k, cells, answer.duals, empty=answer.value is None)
            if answer.value is not None and answer.x is not None:
                self.policy.candidates(self._inner(answer.x, a, b, domain), [row])
                # With undecided gates left the polytope only contains the domain.
                if left < 0 and self.policy.leaf_value(domain, row, answer.value, answer.x):
                    known[row] = max(known[row], answer.value)
        if self.policy.settle(domain, known):
            self._close(domain, "bounds")
            return []
        domain.gate = left
        if left >= 0:
            return self._split(domain)
        self.stats.unresolved += 1
        self.unresolved.append(domain)
        return []

    def _affine(self, domain: Domain) -> tuple[FloatArray, FloatArray]:
        """Linear lower bounds of the domain's rows without any multipliers: the LPs' costs."""
        signs = domain.signs[None]
        boxes = self.layout.propagate(domain.lo[None], domain.hi[None], signs)
        pairs = [(0, r) for r in domain.rows]
        rows, start, box = self._rows(boxes, signs, domain.lo[None], domain.hi[None], pairs)
        rows.split = {}
        params = {
            key: torch.from_numpy(v) for key, v in domain.warm.items()
            if key[0] not in ("split", "rows")
        }
        with torch.no_grad():
            _, coefs, const = self.bounder.evaluate(rows, start, params, *box)
        return coefs.numpy(), (const + self._consts[domain.rows]).numpy()

    def _solver(self) -> LeafSolver:
        if self._leaf_solver is None:
            self._leaf_solver = LeafSolver()
        return self._leaf_solver

    def _polytope(self, domain: Domain) -> tuple[FloatArray, FloatArray, list[tuple[int, int]]]:
        """Rows a x >= b that hold on the domain, and the (z, element) cell of each.

        A split z >= 0 gives `upper(z) >= 0` with the linear upper bound of z: exact where the
        gates before z are decided, a relaxation (still sound) where they are not.
        """
        chosen = np.flatnonzero(domain.signs)
        cells = [self.layout.name(int(g)) for g in chosen]
        n = domain.lo.shape[0]
        a, b = np.zeros((len(cells), n)), np.zeros(len(cells))
        boxes = self.layout.propagate(domain.lo[None], domain.hi[None], domain.signs[None])
        for z in sorted({z for z, _ in cells}):
            mine = [k for k, (node, _) in enumerate(cells) if node == z]
            start = torch.zeros((len(mine), self.layout.graph.nodes[z].size), dtype=torch.float64)
            for r, k in enumerate(mine):
                start[r, cells[k][1]] = -float(domain.signs[chosen[k]])
            rows = to_rows(boxes, torch.zeros(len(mine), dtype=torch.long), self.layout, domain.signs[None])
            rows.split = {}
            params = self.bounder.start(rows, [z])
            with torch.no_grad():
                box = (torch.from_numpy(domain.lo).expand(len(mine), -1),
                       torch.from_numpy(domain.hi).expand(len(mine), -1))
                _, coefs, const = self.bounder.evaluate(rows, {z: start}, params, *box)
            a[mine], b[mine] = -coefs.numpy(), const.numpy()
        linear = self.bounder.linear
        if linear is not None:
            a = np.concatenate([a, -linear.a.numpy()])
            b = np.concatenate([b, -linear.b.numpy()])
        return a, b, cells

    def _rebound(
        self, domain: Domain, k: int, cells: list[tuple[int, int]], duals: FloatArray, *, empty: bool
    ) -> float:
        """The bound that the LP's duals give as multipliers, recorded if it reaches the goal."""
        row = domain.rows[k]
        boxes = self.layout.propagate(domain.lo[None], domain.hi[None], domain.signs[None])
        rows, start, box = self._rows(
            boxes, domain.signs[None], domain.lo[None], domain.hi[None], [(0, row)]
        )
        warm = {key: torch.from_numpy(v[k : k + 1]).clone() for key, v in domain.warm.items()}
        fresh = self.bounder.start(rows, list(start))
        warm = {key: warm.get(key, v) for key, v in fresh.items()}
        # An empty leaf: a contradiction times a large factor outweighs any form.
        factor = 1.0
        if empty:
            factor = 1e4 * (1.0 + abs(domain.value)) / max(float(np.abs(duals).max(initial=0)), 1e-12)
        for (z, i), dual in zip(cells, duals, strict=False):
            warm["split", z][0, i] = float(dual) * factor
        if self.bounder.linear is not None:
            warm["rows", 0][0] = torch.from_numpy(duals[len(cells):] * factor)
        found = self.bounder.bound(rows, start, *box, Effort(0), warm)
        value = float(found.value[0] + self._consts[row])
        if self.options.record and value > self.policy.goal(row):
            packed = pack({key: v[0].numpy() for key, v in found.params.items()})
            self.proof.nodes[domain.node].bounds.append(AtomBound(row, value, packed))
        return value

    def _inner(
        self, x: FloatArray, a: FloatArray, b: FloatArray, domain: Domain
    ) -> FloatArray:
        """The LP's vertex and points drawn from it toward the polytope's inside."""
        n = x.shape[0]
        wide = np.concatenate([a, -np.linalg.norm(a, axis=1, keepdims=True)], axis=1)
        lo, hi = np.append(domain.lo, 0.0), np.append(domain.hi, 1.0)
        cost = np.zeros(n + 1)
        cost[n] = -1.0
        centre = self._solver().minimise(cost, 0.0, wide, b, lo, hi)
        self.stats.lps += 1
        if centre.x is None:
            return x[None]
        inside = centre.x[:n]
        return np.stack([x, x + 1e-9 * (inside - x), x + 1e-6 * (inside - x), x + 1e-3 * (inside - x), inside])

    def _undecided(self, domain: Domain) -> int:
        """An undecided gate of the domain (the widest), -1 if there is none."""
        boxes = self.layout.propagate(domain.lo[None], domain.hi[None], domain.signs[None])
        best, room = -1, 0.0
        for z, at in self.layout.offsets.items():
            lo, hi = boxes.lo[z][0], boxes.hi[z][0]
            sign = domain.signs[at : at + lo.shape[0]]
            free = np.where((sign == 0) & (lo < 0) & (hi > 0), np.minimum(-lo, hi), 0.0)
            if free.size and free.max() > room:
                best, room = at + int(free.argmax()), float(free.max())
        return best


def r_index(domain: Domain, row: int) -> int:
    """Where a row lies among a domain's warm parameters."""
    return domain.rows.index(row)
