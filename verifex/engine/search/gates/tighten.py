"""Bounds of pre-activations optimised again on some domains of networks too large for all of them.

Every few splits of a branch, before a domain is split on, the undecided pre-activations behind its
splits are bounded anew, layer by layer, with multipliers for the splits (the alphas and betas of
Wang et al., 2021, arXiv:2103.06624, for intermediate bounds too). That costs as much as bounding
some dozens of children, but everything below the domain inherits what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Effort, Params
from verifex.engine.bounds.cost import rows_at_once
from verifex.engine.bounds.facts import BITS, Packed, pack
from verifex.engine.bounds.layout import IntermediateBounds, Layout
from verifex.engine.bounds.root import to_rows
from verifex.engine.search.gates.domains import Domains, Flags, Sides, local_facts
from verifex.engine.search.gates.policy import SearchContext, Tightened, still_open
from verifex.engine.search.record import LocalFacts
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Gate, Relu, Step
from verifex.semantics.linear import Rows

EVERY = 2
"""Splits of a branch from one time to the next (benchmarks/lookahead.py)."""

TOGETHER = 16
"""Domains at a time."""

_EFFORT = Effort(12, 0.2, 0.88)
_ROWS = 1024


@dataclass(frozen=True)
class _OneNode:
    """Domains whose bounds of node z are tightened together: the bounds as they are, and what the
    undecided rows begin with the next time (`begin`, by domain and place)."""

    domains: Domains
    bounds: IntermediateBounds
    z: int
    begin: list[dict[int, Packed]]


def _places(asked: Sides) -> list[int]:
    """Where the column `starts` has each of the rows."""
    return [int(v) for v in 2 * asked.element + (asked.sign > 0)]


def behind(layout: Layout) -> list[int]:
    """Pre-activations that depend on other gates."""
    graph = layout.graph
    return [
        z for z in layout.offsets
        if any(isinstance(graph.nodes[i].op, Relu | Step | Gate) for i in graph.ancestors([z]))
    ]


def splits_of(domains: Domains) -> NDArray[np.intp]:
    """How many gates of each domain (N,) have been split on."""
    return np.asarray(np.count_nonzero(domains.signs, axis=1), dtype=np.intp)


class Tighten:
    """Tightens domains of one search, some of those that are due at a time."""

    def __init__(self, context: SearchContext) -> None:
        self.context = context
        self._behind = behind(context.layout)

    def due(self, domains: Domains) -> Flags:
        """Where enough was split on since the bounds that a domain inherits."""
        return np.asarray(splits_of(domains) >= domains.tight + EVERY)

    def tighten(self, domains: Domains) -> Tightened:
        """Put tighter bounds into the first domains that are due, for their children too; these
        are marked `again`. None are where it was stopped on the way."""
        closed, again = still_open(domains)
        now = np.flatnonzero(self.due(domains))[:TOGETHER]
        if len(now) and not self.context.over:
            some = domains.take(now)
            again[now] = self._run(some)
            domains.put(now, some)
        return Tightened(closed, again)

    def _run(self, domains: Domains) -> bool:
        """Tighten all of these, layer by layer; False if it was stopped."""
        for z in self._behind:
            bounds = self.context.layout.propagate(
                domains.lo, domains.hi, domains.signs, local=local_facts(domains))
            begin: list[dict[int, Packed]] = [{} for _ in range(len(domains))]
            node = _OneNode(domains, bounds, z, begin)
            for asked in self._asked(node):
                if self.context.over:
                    return False
                self._bound(node, asked)
            for k, mine in enumerate(begin):
                domains.starts[k] = {**domains.starts[k], z: mine}
        domains.tight[:] = splits_of(domains)
        return True

    def _asked(self, node: _OneNode) -> Iterator[Sides]:
        """Both sides of every undecided element, in parts."""
        layout, bounds, z = self.context.layout, node.bounds, node.z
        open_ = (bounds.lo[z] < 0) & (bounds.hi[z] > 0) & ~bounds.empty[:, None]
        domain, element = np.nonzero(open_ & (layout.signs_of(node.domains.signs, z) == 0))
        graph = layout.graph
        most = max(1, min(_ROWS, rows_at_once(graph, [z], self.context.budget.memory)) // 2)
        for k in range(0, len(domain), most):
            d, e = domain[k : k + most], element[k : k + most]
            sign = np.repeat([1.0, -1.0], len(d))
            yield Sides(np.concatenate([d, d]), np.concatenate([e, e]), sign)

    def _bound(self, node: _OneNode, asked: Sides) -> None:
        """Bound the rows, and let their domains keep what is tighter."""
        context, domains, z = self.context, node.domains, node.z
        at, places = asked.domain, _places(asked)
        lo, hi = domains.lo[at], domains.hi[at]
        rows = to_rows(node.bounds, at, context.layout, domains.signs)
        warm = self._inherited(node, asked, places, rows)
        start = {z: asked.start(context.layout.graph.nodes[z].size)}
        # A row that is decided needs no tighter bound: its relaxation is exact then.
        found = context.bounder.bound(rows, start, lo, hi, _EFFORT, warm, goal=1e-9)
        value = found.value
        value = value - 1e-9 * (1.0 + np.abs(value))
        use = asked.tighter(value, node.bounds.lo[z], node.bounds.hi[z]) | (value >= 0)
        params = found.params
        for k in range(len(domains)):
            mine = np.flatnonzero(asked.domain == k)
            packed = {int(r): pack({key: v[r] for key, v in params.items()}) for r in mine}
            node.begin[k] |= {places[r]: p for r, p in packed.items() if value[r] < 0}
            if use[mine].any():
                self._keep(domains, k, z, asked, mine[use[mine]], value, packed)

    def _keep(
        self,
        domains: Domains,
        place: int,
        preact: int,
        asked: Sides,
        mine: NDArray[np.intp],
        value: FloatArray,
        packed: dict[int, Packed],
    ) -> None:
        """Put the rows `mine` among a domain's facts, and the lines that show it to its node."""
        size, i = self.context.layout.graph.nodes[preact].size, asked.element
        kept = domains.kept[place]
        low, high = kept.get(preact, (np.full(size, -np.inf), np.full(size, np.inf)))
        low, high = low.copy(), high.copy()
        up, down = mine[asked.sign[mine] > 0], mine[asked.sign[mine] < 0]
        low[i[up]] = np.maximum(low[i[up]], value[up])
        high[i[down]] = np.minimum(high[i[down]], -value[down])
        domains.kept[place] = {**kept, preact: (low, high)}
        if self.context.options.record:
            lines = np.stack([i[mine], asked.sign[mine]], axis=1).astype(np.int32)
            shown = [packed[int(r)] for r in mine]
            facts = LocalFacts(preact, lines, {}, shown)
            self.context.proof.nodes[domains.node[place]].facts.append(facts)

    def _inherited(
        self, node: _OneNode, asked: Sides, places: list[int], rows: Rows
    ) -> Params:
        """What the rows begin with: multipliers from above, or else what any bound begins with."""
        starts = [starts.get(node.z, {}) for starts in node.domains.starts]
        known = [starts[k].get(p, {}) for k, p in zip(asked.domain, places, strict=True)]
        if not any(known):
            return {}
        out = self.context.bounder.start(rows, [node.z])
        for r, packed in enumerate(known):
            for key, values in packed.items():
                if isinstance(values, dict):
                    out[key][r] = 0.0
                    out[key][r, list(values)] = list(values.values())
                else:
                    out[key][r] = values / 2.0**BITS
        return out
