"""What a search leaves to a solver: bounds of all nodes that hold wherever a domain is still open.

A model over these has fewer open gates than one over the region, and is solved faster for it
(benchmarks/hand_over.py). It speaks of the open domains only: the closed ones are the search's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verifex.engine.bounds.layout import Layout
from verifex.engine.search.gates.domains import Domains, local_facts, whole
from verifex.ir.exact import FloatArray
from verifex.semantics.claim import NodeBounds

SEARCH_SHARE = 0.9
"""Of the time, what a search over gates gets where solvers are to follow: wherever it can end,
going on was faster than the best model of the rest (benchmarks/hand_over.py). What it cannot
settle, ties and the like, it leaves early."""


@dataclass(frozen=True)
class Rest:
    """Open domains of a search.

    `together` of them are bounded at once; where there are more than `most`, the box around them
    and the root's facts are bounded instead.
    """

    layout: Layout
    domains: Domains
    together: int = 512
    most: int = 4096

    def bounds(self, given: NodeBounds) -> NodeBounds:
        """`given`, cut down to the hull of the open domains: floats, as the search's own."""
        low, high = dict(given[0]), dict(given[1])
        hull: dict[int, tuple[FloatArray, FloatArray]] = {}
        domains = self.domains if len(self.domains) <= self.most else _around(self.domains)
        for at in range(0, len(domains), self.together):
            part = domains.take(slice(at, at + self.together))
            bounds = self.layout.propagate(part.lo, part.hi, part.signs, local=local_facts(part))
            for i, lo in bounds.lo.items():
                pair = lo.min(axis=0), bounds.hi[i].max(axis=0)
                old = hull.get(i, pair)
                hull[i] = np.minimum(old[0], pair[0]), np.maximum(old[1], pair[1])
        for i, (lo, hi) in hull.items():
            shape = self.layout.graph.nodes[i].shape
            if i in low:
                lo = np.maximum(lo.reshape(shape), low[i])
                hi = np.minimum(hi.reshape(shape), high[i])
            low[i], high[i] = lo.reshape(shape), np.maximum(lo, hi).reshape(shape)
        return low, high


def _around(domains: Domains) -> Domains:
    """The box around all domains, with no gate split, as a batch of one."""
    lo, hi = domains.lo.min(axis=0), domains.hi.max(axis=0)
    return whole(lo[None], hi[None], np.zeros_like(domains.signs[:1]), [[]])
