"""Branch and bound over gates and input sides: best first, many domains and queries in one batch.

The search works on *rows*: linear forms whose lower bound over a domain is wanted. A `Policy` says
when a domain is closed and what a candidate point is worth; `decide_search` (formulas) and
`range_search` (extrema) are the two policies. Bounds here steer and are recorded with their
multipliers; what they conclude is granted by replay or by a certificate.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.bounds.facts import pack
from verifex.engine.bounds.half_spaces import Cutter
from verifex.engine.bounds.optimise import Bounder, Bounds, Effort
from verifex.engine.bounds.root import Root
from verifex.engine.budget import Budget
from verifex.engine.search.gates.branching import LENIENT, few_cells, gate_scores, layer_weights
from verifex.engine.search.gates.domain import Domain, local_facts, stacked_warm
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.gates.joint import Joint
from verifex.engine.search.gates.leaves import Leaves
from verifex.engine.search.gates.lookahead import Asked, Bounded, look_ahead
from verifex.engine.search.gates.policy import Policy, SearchOptions, Stats
from verifex.engine.search.gates.refresh import SEEN, Refresh
from verifex.engine.search.gates.tighten import TOGETHER, Tighten
from verifex.engine.search.record import AtomBound, Proof, ProofNode
from verifex.ir.exact import FloatArray
from verifex.semantics.linear import minimisers
from verifex.semantics.parameters import Parameter

Pairs = list[tuple[int, int]]
"""Which form on which domain, for every row of a batch."""

_TOGETHER = 64
"""Rows of a conjunction that are combined at most."""


class Search:
    """One run of branch and bound. `log` receives one dictionary per batch.

    `options` are complete: `refresh` has been decided (see `refresh.lightened`).
    """

    def __init__(
        self,
        root: Root,
        bounder: Bounder,
        policy: Policy,
        options: SearchOptions,
        budget: Budget,
        log: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.root, self.layout, self.bounder = root, root.layout, bounder
        self.policy, self.budget, self.log, self.options = policy, budget, log, options
        self.proof, self.stats = Proof(), Stats()
        self._heap: list[tuple[float, int, Domain]] = []
        self._order = itertools.count()
        self._table = FormTable(self.layout, policy.forms)
        self._cutter = Cutter(self.layout, bounder)
        self._leaves = Leaves(self.layout, bounder, self._table, self._cutter)
        self._weights: FloatArray | None = None
        if options.order == "layers":
            self._weights = layer_weights(self.layout)
        elif options.order is None and options.tighten:
            # Bounds are tightened behind splits: those of the last layers help nothing else.
            self._weights = layer_weights(self.layout, LENIENT)
        self._joint = Joint(self.layout, bounder, self._table, self._cutter)
        self._refresh: Refresh | None = None
        if options.refresh:
            proof = self.proof if options.record else None
            self._refresh = Refresh(self.layout, bounder, self._cutter, proof, self._offer)
            if options.order == "layers":
                self._refresh.enumerate_cells()
        self._tighten: Tighten | None = None
        if options.tighten:
            proof = self.proof if options.record else None
            self._tighten = Tighten(self.layout, bounder, proof, lambda: self.over)
        self._start: tuple[list[Domain], FloatArray | None] = ([], None)
        self.unresolved: list[Domain] = []
        self.elsewhere: tuple[int, float] = 0, math.inf
        """Domains that are open in other processes, and the least priority of those."""

    # --- driving --------------------------------------------------------------------------------

    def begin(self, roots: list[Domain], points: FloatArray | None = None) -> None:
        """Bound the roots; `drive` (team.py) goes on from there.

        `points` (k, n) of the region, if any are known, save work: they show what is open.
        """
        self._start = (roots, points)
        for domain in roots:
            domain.node = self.proof.add(ProofNode(parent=-1))
        for at in range(0, len(roots), self.options.width):
            batch = roots[at : at + self.options.width]
            if self.budget.spent or self.policy.finished():
                self.unresolved += batch
            else:
                self._evaluate(batch, self.options.root_effort)
        self.report()

    @property
    def over(self) -> bool:
        """Whether the policy is finished, the budget spent, or the limit of domains reached."""
        full = self.stats.domains > self.options.max_domains
        return full or self.policy.finished() or self.budget.spent

    @property
    def open(self) -> int:
        """Domains that wait for their turn in this process."""
        return len(self._heap)

    @property
    def least(self) -> float:
        """The least priority of those, inf where there are none."""
        return self._heap[0][0] if self._heap else math.inf

    def deal(self, parts: int) -> list[list[Domain]]:
        """Take all waiting domains away, the first of them evenly spread over the parts."""
        domains = [d for _, _, d in sorted(self._heap, key=lambda entry: entry[:2])]
        self._heap = []
        return [domains[k::parts] for k in range(parts)]

    def adopt(self, domains: list[Domain]) -> None:
        """Queue domains that are bounded already."""
        for domain in domains:
            self._push(domain)

    def open_domains(self) -> list[Domain]:
        """Domains that are not closed (including leaves that could not be resolved)."""
        return [d for _, _, d in self._heap] + self.unresolved

    def step(self) -> None:
        """Split and bound one batch of waiting domains."""
        batch: list[Domain] = []
        rows = 0
        width = self.options.width if self._tighten is None else 2 * TOGETHER
        while self._heap and len(batch) < width and rows < 4 * width:
            domain = heapq.heappop(self._heap)[2]
            if self.policy.settle(domain, {}):  # an incumbent found meanwhile may close it
                self._close(domain, "bounds")
                continue
            batch.append(domain)
            rows += len(domain.rows)
        children: list[Domain] = []
        for domain in self._tightened(batch):
            if self.budget.spent or self.policy.finished():
                self._push(domain)
            elif domain.gate < 0 and domain.dimension < 0:
                children += self._leaf(domain)
            else:
                children += self._split(domain)
        if children:
            self._evaluate(children, self.options.effort)
        self.stats.batches += 1
        self.report()

    def _tightened(self, batch: list[Domain]) -> list[Domain]:
        """The domains of a batch that need no tighter bounds before they are split on. A few of the
        others get them; all of those wait again."""
        due = [d for d in batch if self._tighten is not None and self._tighten.due(d)]
        if self._tighten is None or not due or self.over:
            return batch
        now = due[:TOGETHER]
        if not self._tighten.run(now):
            return batch
        self._evaluate(now, self.options.root_effort)
        self.stats.domains -= len(now)  # they were counted before
        for domain in due[TOGETHER:]:
            self._push(domain)
        taken = {id(d) for d in due}
        return [d for d in batch if id(d) not in taken]

    def report(self) -> None:
        """One entry of the log."""
        if self.log is None:
            return
        waiting, least = self.open + self.elsewhere[0], min(self.least, self.elsewhere[1])
        entry: dict[str, Any] = {
            "event": "search",
            "t": round(self.budget.elapsed, 4),
            "domains": self.stats.domains,
            "open": waiting,
            "unresolved": len(self.unresolved),
            "leaves": self.stats.leaves,
            "lps": self.stats.lps,
        }
        if not waiting and not self.unresolved:
            least = 0.0
        self.log(entry | self.policy.describe(least if math.isfinite(least) else None))

    def _push(self, domain: Domain) -> None:
        heapq.heappush(self._heap, (self.policy.priority(domain), next(self._order), domain))

    def _offer(self, points: FloatArray, places: NDArray[np.intp], domains: list[Domain]) -> None:
        """Points found in the domains at `places`."""
        self.policy.candidates(
            points, sorted({r for d in set(places.tolist()) for r in domains[d].rows})
        )

    def _attach(self, domain: Domain, bound: AtomBound) -> None:
        """Keep a bound for the certificate, after the facts that it rests on.

        Those facts then hold for children too. Facts of later nodes go first: each was derived
        without the domain's other own facts.
        """
        node = self.proof.nodes[domain.node]
        if domain.pending:
            node.facts += domain.pending[::-1]
            low_high = local_facts([domain])
            domain.kept = {i: (low[0], high[0]) for i, (low, high) in low_high.items()}
            domain.pending, domain.own = [], {}
        node.bounds.append(bound)

    def _close(self, domain: Domain, how: str) -> None:
        self.stats.leaves += 1
        self.proof.nodes[domain.node].closed = how

    # --- bounding -------------------------------------------------------------------------------

    def _evaluate(self, domains: list[Domain], effort: Effort) -> None:
        """Bound all open rows of the domains, close what closes, queue the rest."""
        lo, hi = np.stack([d.lo for d in domains]), np.stack([d.hi for d in domains])
        signs = np.stack([d.signs for d in domains])
        cut = None
        if self._refresh is not None and signs.any():
            lost, cut = self._refresh.run(domains)
        boxes = self.layout.propagate(lo, hi, signs, local=local_facts(domains))
        if cut is not None:
            boxes.empty[:] |= lost
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
        rows, start, box = self._table.rows(boxes, signs, lo, hi, pairs)
        row_ids = [r for _, r in pairs]
        consts = self._table.consts[row_ids]
        goal = torch.tensor([self.policy.goal(r) for r in row_ids], dtype=torch.float64) - consts
        warm = stacked_warm(domains, pairs)
        found = self.bounder.bound(rows, start, *box, effort, warm, goal)
        if cut is not None:
            open_ = np.flatnonzero((found.value <= goal).numpy())
            if len(open_):
                self._cutter.sharpen(found, open_, rows, start, box, cut)
        found.value = found.value + consts
        self._digest(domains, alive, pairs, Bounded(rows, start, box, goal, found))

    def _digest(
        self, domains: list[Domain], alive: list[int], pairs: Pairs, batch: Bounded
    ) -> None:
        """Settle every domain; for the open ones choose where to split next."""
        found = batch.found
        x = minimisers(found.coefs, *batch.box, self.bounder.balls)
        self.policy.candidates(x.numpy(), [r for _, r in pairs])
        scores = gate_scores(self.layout, self.bounder, batch.rows, found, x, self.options.rule)
        values, score = found.value.numpy(), scores.numpy()
        params = {k: v.numpy() for k, v in found.params.items()}
        coefs = found.coefs.numpy()
        at: dict[int, list[int]] = {k: [] for k in alive}
        for p, (k, _) in enumerate(pairs):
            at[k].append(p)
        ahead: list[tuple[Domain, Asked]] = []
        for k in alive:
            domain, mine = domains[k], at[k]
            known = {pairs[p][1]: float(values[p]) for p in mine}
            if self.options.record:
                self._record(domain, mine, pairs, known, params)
            if self.policy.settle(domain, known):
                self._close(domain, "bounds")
                continue
            if self._together(domain, mine, pairs, found):
                self._close(domain, "bounds")
                continue
            open_ = [p for p in mine if pairs[p][1] in set(domain.rows)]
            domain.rows = [pairs[p][1] for p in open_]
            domain.warm = {key: v[open_] for key, v in params.items()}
            domain.reach = np.abs(coefs[open_]).sum(axis=0) if self.options.inputs else None
            domain.value = min(known[r] for r in domain.rows)
            total = self._choose(domain, score[open_].sum(axis=0))
            if domain.gate >= 0 and self.options.ahead:
                ahead.append((domain, Asked(open_, total)))
            else:
                self._push(domain)
        asked, most = [a for _, a in ahead], self.options.ahead or 0
        gates = look_ahead(self.layout, self.bounder, batch, asked, most)
        for (domain, _), gate in zip(ahead, gates, strict=True):
            domain.gate = gate
            self._push(domain)

    def _together(self, domain: Domain, mine: list[int], pairs: Pairs, found: Bounds) -> bool:
        """Whether rows close a domain together that do not alone."""
        rows = self.policy.joint(domain)
        at = {pairs[p][1]: p for p in mine}
        if not 2 <= len(rows) <= _TOGETHER or not at.keys() >= set(rows):
            return False
        pick = [at[r] for r in rows]
        params = {key: v[pick] for key, v in found.params.items()}
        bound = self._joint.bound(domain, rows, params)
        if bound is None or bound.value <= self.policy.goal(bound.row):
            return False
        self._attach(domain, bound)
        return True

    def _record(
        self,
        domain: Domain,
        mine: list[int],
        pairs: Pairs,
        known: dict[int, float],
        params: dict[Parameter, FloatArray],
    ) -> None:
        """Keep the multipliers of rows that have reached their goal."""
        for p in mine:
            row = pairs[p][1]
            if known[row] > self.policy.goal(row):
                packed = pack({k: v[p] for k, v in params.items()})
                self._attach(domain, AtomBound(row, known[row], packed))

    # --- splitting ------------------------------------------------------------------------------

    def _look_at_points(self) -> None:
        """What the known points show, once some root stays open."""
        roots, points = self._start
        self._start = ([], None)
        if self._refresh is None or points is None or not len(points):
            return
        seen = self._refresh.patterns(points)
        if self.options.order is None and few_cells(self.layout, seen):
            self._weights = layer_weights(self.layout)
            self._refresh.enumerate_cells()
        for domain in roots:
            domain.seen = seen

    def _choose(self, domain: Domain, score: FloatArray) -> FloatArray:
        """The gate that loses most, or the input side that the bound depends on most; the scores
        (gates,) with the weights of their layers."""
        self._look_at_points()
        domain.gate, domain.dimension = -1, -1
        score = np.where(score > 1e-9 * (1.0 + abs(domain.value)), score, 0.0)
        weighted = score if self._weights is None else score * self._weights
        if score.any():
            domain.gate = int(weighted.argmax())
            domain.loss = float(score[domain.gate])
        if domain.reach is not None:
            width = domain.hi - domain.lo
            reach = domain.reach * width
            if domain.gate < 0 or width.max() > 0:
                side = int(reach.argmax()) if reach.max() > 0 else int(width.argmax())
                if width[side] > 0:
                    domain.dimension, domain.gate = side, -1
        return weighted

    def _split(self, domain: Domain) -> list[Domain]:
        """The two children; bounds and multipliers are inherited."""
        children = []
        for sign in (1, -1):
            node = ProofNode(domain.node, sign=sign)
            child = Domain(
                domain.lo.copy(),
                domain.hi.copy(),
                domain.signs.copy(),
                list(domain.rows),
                -1,
                domain.tree,
                domain.value,
                domain.warm,
                state=domain.state,
                kept=domain.kept,
                tight=domain.tight,
                starts=domain.starts,
                wait=None if domain.wait is None else domain.wait - (domain.wait > 0),
            )
            if domain.gate >= 0:
                node.gate = domain.gate
                child.signs[domain.gate] = sign
                if domain.seen is not None:
                    mine = domain.seen[:, domain.gate] == (sign > 0)
                    child.seen = domain.seen[mine][:SEEN]
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
        boxes = self._leaves.boxes(domain)
        left = self._leaves.undecided(domain, boxes)
        known: dict[int, float] = {}
        for answer in self._leaves.solve(domain, boxes, self.budget):
            self.stats.lps += 1
            known[answer.row] = answer.bound
            # A tie too: exact arithmetic decides it.
            if self.options.record and answer.bound > -abs(self.policy.goal(answer.row)):
                bound = AtomBound(answer.row, answer.bound, answer.params)
                self._attach(domain, bound)
            if answer.value is None or answer.points is None:
                continue
            self.policy.candidates(answer.points, [answer.row])
            # With undecided gates left the polytope only contains the domain.
            vertex = answer.points[0]
            if left < 0 and self.policy.leaf_value(domain, answer.row, answer.value, vertex):
                known[answer.row] = max(known[answer.row], answer.value)
        if self.policy.settle(domain, known):
            self._close(domain, "bounds")
            return []
        domain.gate = left
        if left >= 0:
            return self._split(domain)
        if self.policy.tie(domain, known):
            self.stats.ties += 1
            self._close(domain, "tie")
            return []
        self.stats.unresolved += 1
        self.unresolved.append(domain)
        return []


__all__ = ["Policy", "Search", "SearchOptions", "Stats"]
