"""Branch and bound over gates and input sides: best first, many domains and queries in one batch.

The search works on *rows*: linear forms whose lower bound over a domain is wanted. A `Policy` says
when a domain is closed and what a candidate point is worth; those of `claims.py` (formulas) and
`extrema.py` (ranges) are the two. Bounds here steer and are recorded with their multipliers; what
they conclude is granted by replay or by a certificate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from verifex.engine.bounds.bounder import Bounder, Effort
from verifex.engine.bounds.cost import rows_at_once
from verifex.engine.bounds.half_spaces import HalfSpaceMaker, HalfSpaces
from verifex.engine.bounds.layout import IntermediateBounds
from verifex.engine.bounds.root import Root
from verifex.engine.budget import Budget, Pace
from verifex.engine.search.gates.bounding import Bounding
from verifex.engine.search.gates.branching import LENIENT, few_cells, layer_weights
from verifex.engine.search.gates.domains import (
    NO_BOUNDS,
    SEEN,
    Domains,
    Flags,
    attach_last,
    concatenate,
    local_facts,
)
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.gates.frontier import Frontier, places_of
from verifex.engine.search.gates.leaves import Leaves
from verifex.engine.search.gates.policy import (
    Policy,
    SearchContext,
    SearchOptions,
    Stats,
    Tightener,
)
from verifex.engine.search.gates.refresh import Refresh
from verifex.engine.search.gates.tighten import TOGETHER, Tighten
from verifex.engine.search.record import Proof, ProofNode
from verifex.ir.exact import FloatArray
from verifex.limits.checkpoint import CutOff
from verifex.semantics.support.whole import WholeFeatures

_STEP = 0.4
"""Seconds that a step may take, before fewer domains are worked on together."""

_FIRST = 4
"""Domains of the first batch, where a domain costs much; of later ones what the last one took."""


class Search:
    """One run of branch and bound over the `roots`. `log` receives one dictionary per batch. With a
    `proof` that has splits already, the roots are its leaves, and say so in `node`.

    `options` are complete: `refresh` has been decided (see `refresh.lightened`).
    """

    def __init__(
        self,
        root: Root,
        bounder: Bounder,
        policy: Policy,
        options: SearchOptions,
        budget: Budget,
        roots: Domains,
        log: Callable[[dict[str, Any]], None] | None = None,
        whole: WholeFeatures | None = None,
        proof: Proof | None = None,
    ) -> None:
        layout = root.layout
        self.layout, self.policy, self.options, self.budget = layout, policy, options, budget
        self.log, self.proof, self.stats = log, proof or Proof(), Stats()
        self.context = SearchContext(
            layout, bounder, FormTable(layout, policy.forms), HalfSpaceMaker(layout, bounder),
            policy, options, budget, self.proof, self.stats, whole)
        self._bounding = Bounding(self.context)
        self._leaves: Tightener = Leaves(self.context)
        self._refresh = Refresh(self.context) if options.refresh else None
        self._tighten = Tighten(self.context) if options.tighten else None
        if options.order == "layers":
            self._bounding.weights = layer_weights(layout)
            if self._refresh is not None:
                self._refresh.enumerate_cells()
        elif options.order is None and options.tighten:
            # Bounds are tightened behind splits: those of the last layers help nothing else.
            self._bounding.weights = layer_weights(layout, LENIENT)
        widest = options.width if self._tighten is None else 2 * TOGETHER
        fitting = rows_at_once(layout.graph, layout.targets, budget.memory)
        first = max(_FIRST, fitting // max(1, len(policy.forms)))
        self._pace = Pace(budget, first, widest, _STEP)
        self.roots, self.nothing = roots, roots.take(slice(0, 0))
        self._unbounded = self.nothing
        self.frontier = Frontier(self.nothing)
        self._points: FloatArray | None = None
        self._seen: Flags | None = None
        self.unresolved: list[Domains] = []
        """Batches of domains that nothing more can be done about."""
        self.elsewhere: tuple[int, float] = 0, math.inf
        """Domains that are open in other processes, and the least priority of those."""

    # --- driving --------------------------------------------------------------------------------

    def begin(self, points: FloatArray | None = None) -> None:
        """Bound the roots; `drive` (team.py) goes on from there.

        `points` (k, n) of the region, if any are known, save work: they show what is open.
        """
        self._points, roots = points, self.roots
        if not self.proof.nodes:
            roots.node[:] = [self.proof.add(ProofNode(parent=-1)) for _ in range(len(roots))]
        self._unbounded = roots
        self.begin_rest()

    def begin_rest(self) -> None:
        """Bound the roots that there was no time for."""
        roots = self._unbounded
        if not len(roots):
            return
        width = self.options.width
        while len(roots) and not (self.budget.spent or self.policy.finished()):
            batch, self._unbounded = roots.take(slice(0, width)), roots.take(slice(width, None))
            try:
                self._bound(batch, self.options.root_effort, roots=True)
            except BaseException as error:
                self._left_open(batch, error)
            roots = self._unbounded
        self.report()

    @property
    def over(self) -> bool:
        """Whether the policy is finished, the budget spent, or the limit of domains reached."""
        return self.context.over

    @property
    def open(self) -> int:
        """Domains that wait for their turn in this process."""
        return len(self.frontier)

    @property
    def least(self) -> float:
        """The least priority of those, inf where there are none."""
        return self.frontier.least

    def deal(self, parts: int) -> list[Domains]:
        """Take all waiting domains away, the first of them evenly spread over the parts."""
        domains = self.frontier.drain()
        return [domains.take(np.arange(k, len(domains), parts)) for k in range(parts)]

    def adopt(self, domains: Domains) -> None:
        """Queue domains that are bounded already."""
        self.frontier.push(domains, self.policy.priority(domains))

    def open_domains(self) -> Domains:
        """Domains that are not closed (including leaves that could not be resolved)."""
        return concatenate([self.frontier.all(), self._unbounded, *self.unresolved])

    @property
    def left_open(self) -> int:
        """How many those are, in this process."""
        return self.open + len(self._unbounded) + sum(map(len, self.unresolved))

    @property
    def left(self) -> float:
        """The share of the region that is open, 0 to 1, where either part of a split is half."""
        parts = (self.frontier.places(), *map(places_of, (self._unbounded, *self.unresolved)))
        whole = self.context.whole
        step = 0.0 if whole is None else whole.splits * 1.0
        wide = self.roots.hi[0] - self.roots.lo[0] + step
        total = 0.0
        for signs, width in parts:
            sides = np.divide(width + step, wide, out=np.ones_like(width), where=wide > 0)
            splits = np.count_nonzero(signs, axis=1).astype(np.float64)
            total += float((np.exp2(-splits) * sides.prod(axis=1)).sum())
        return min(1.0, total)

    def step(self) -> None:
        """Split and bound one batch of waiting domains."""
        batch = self._take()
        try:
            with self._pace.piece(len(batch)):
                children = self._branch(self._tightened(batch))
                if len(children):
                    self._bound(children, self.options.effort)
        except BaseException as error:
            self._left_open(batch, error)
        self.stats.batches += 1
        self.report()

    def _left_open(self, batch: Domains, error: BaseException) -> None:
        """Keep the domains of a batch whose work came to no end, and pass on what is no CutOff."""
        # Sound: whatever was done for them or their halves, all of these count as open, and the
        # halves that some of them were split into as none.
        self.unresolved.append(batch)
        for node in batch.node.tolist():
            self.proof.nodes[node].children = None
        if not isinstance(error, CutOff):
            raise error

    def report(self) -> None:
        """One entry of the log."""
        if self.log is None:
            return
        waiting, least = self.open + self.elsewhere[0], min(self.least, self.elsewhere[1])
        unresolved = sum(map(len, self.unresolved))
        entry: dict[str, Any] = {
            "event": "search",
            "t": round(self.budget.elapsed, 4),
            "domains": self.stats.domains,
            "open": waiting,
            "unresolved": unresolved,
            "leaves": self.stats.leaves,
            "lps": self.stats.lps,
        }
        if not waiting and not unresolved:
            least = 0.0
        self.log(entry | self.policy.describe(least if math.isfinite(least) else None))

    # --- one step -------------------------------------------------------------------------------

    def _take(self) -> Domains:
        """The domains of the next batch; what a better incumbent closes meanwhile is left out."""
        width = self._pace.size
        rows, parts = 4 * width, [self.nothing]
        while self.open and (taken := sum(map(len, parts))) < width and rows > 0:
            batch = self.frontier.take(width - taken, rows)
            closed = self.policy.close(batch, NO_BOUNDS)
            for k in np.flatnonzero(closed) if self.options.record else ():
                attach_last(self.proof, batch, int(k))
            self._close(batch, closed, "bounds")
            parts.append(batch.take(~closed))
            rows -= sum(map(len, parts[-1].rows))
        return concatenate(parts)

    def _tightened(self, batch: Domains) -> Domains:
        """The domains of a batch that need no tighter bounds before they are split on. A few of the
        others get them; all of those wait again."""
        if self._tighten is None:
            return batch
        due = self._tighten.due(batch)
        again = self._tighten.tighten(batch).again
        if not again.any():
            return batch
        self._bound(batch.take(again), self.options.root_effort)
        self.stats.domains -= int(again.sum())  # they were counted before
        self.adopt(batch.take(due & ~again))
        return batch.take(~due)

    def _branch(self, batch: Domains) -> Domains:
        """The children of the domains: of those with nothing to split on, which leaf programs do
        not close, on what these find undecided."""
        ends = np.flatnonzero((batch.gate < 0) & (batch.dimension < 0))
        leaves = batch.take(ends)
        tightened = self._leaves.tighten(leaves)
        batch.put(ends, leaves)
        for k in np.flatnonzero(tightened.closed != ""):
            self._close(leaves, np.arange(len(leaves)) == k, str(tightened.closed[k]))
        waits = np.zeros(len(batch), dtype=bool)
        waits[ends] = tightened.again
        if self.budget.spent or self.policy.finished():
            waits |= batch.gate >= 0
            waits |= batch.dimension >= 0
        self.adopt(batch.take(waits))
        unsplit = (leaves.gate < 0) & (leaves.dimension < 0)
        stuck = (tightened.closed == "") & ~tightened.again & unsplit
        if stuck.any():
            self.unresolved.append(leaves.take(stuck))
        goes_on = ~waits & ((batch.gate >= 0) | (batch.dimension >= 0))
        goes_on[ends] &= tightened.closed == ""
        return self._split(batch.take(goes_on))

    def _split(self, batch: Domains) -> Domains:
        """Both halves of every domain, with nodes of their own in the proof, less those that have
        no point by their one-hot groups."""
        whole = self.context.whole
        children = batch.split(whole)
        for k in range(len(batch)):
            pair = []
            for half, sign in ((2 * k, 1), (2 * k + 1, -1)):
                node = ProofNode(int(batch.node[k]), sign=sign)
                if batch.gate[k] >= 0:
                    node.gate = int(batch.gate[k])
                else:
                    side = int(batch.dimension[k])
                    node.dimension = side
                    node.whole = whole is not None and bool(whole.splits[side])
                    node.at = float(children.hi[2 * k + 1, side])
                children.node[half] = self.proof.add(node)
                pair.append(int(children.node[half]))
            self.proof.nodes[batch.node[k]].children = (pair[0], pair[1])
        if whole is None:
            return children
        empty = whole.propagate(children.lo, children.hi)
        self._close(children, empty, "empty")
        return children.take(~empty)

    def _bound(self, domains: Domains, effort: Effort, *, roots: bool = False) -> None:
        """Bound all open rows of the domains, close what closes, queue the rest."""
        self.stats.domains += len(domains)
        lost, half_spaces = np.zeros(len(domains), dtype=bool), None
        cut = domains.signs.any() or self.context.whole is not None
        if self._refresh is not None and cut:
            refreshed = self._refresh.tighten(domains)
            lost, half_spaces = refreshed.closed != "", refreshed.half_spaces
        bounds = self.layout.propagate(
            domains.lo, domains.hi, domains.signs, local=local_facts(domains))
        lost = lost | bounds.empty
        self._close(domains, lost, "empty")
        idle = ~lost & np.array([not len(rows) for rows in domains.rows], dtype=bool)
        if idle.any():  # without open rows, and not closed: no bound can help it
            self.unresolved.append(domains.take(idle))
        alive = np.flatnonzero(~lost & ~idle)
        for group in self._bounding.groups(domains.take(alive)):
            picked = alive[group]
            some = domains.take(picked)
            mine = None if half_spaces is None else half_spaces.of(picked)
            self._bound_group(some, bounds.of(picked), mine, effort, roots)

    def _bound_group(
        self,
        domains: Domains,
        bounds: IntermediateBounds,
        half_spaces: HalfSpaces | None,
        effort: Effort,
        roots: bool,
    ) -> None:
        """The same for domains that are bounded together and may have points."""
        closed, kept = self._bounding.run(domains, bounds, half_spaces, effort)
        self._close(domains, closed, "bounds")
        still = np.flatnonzero(~closed)
        if not len(still):
            return
        self._look_at_points()
        if roots and self._seen is not None:
            for k in range(len(domains)):
                split = np.flatnonzero(domains.signs[k])
                mine = (self._seen[:, split] == (domains.signs[k, split] > 0)).all(axis=1)
                domains.seen[k] = self._seen[mine][:SEEN] if len(split) else self._seen
        order = self._bounding.choose(domains, kept, still)
        self.adopt(domains.take(order))

    def _look_at_points(self) -> None:
        """What the known points show, once some root stays open."""
        points, self._points = self._points, None
        if self._refresh is None or points is None or not len(points):
            return
        self._seen = self._refresh.patterns(points)
        if self.options.order is None and few_cells(self.layout, self._seen):
            self._bounding.weights = layer_weights(self.layout)
            self._refresh.enumerate_cells()

    def _close(self, domains: Domains, which: Flags, how: str) -> None:
        """Note in the proof how some domains were closed."""
        for node in domains.node[which]:
            self.stats.leaves += 1
            self.proof.nodes[node].closed = how


__all__ = ["Policy", "Search", "SearchOptions", "Stats"]
