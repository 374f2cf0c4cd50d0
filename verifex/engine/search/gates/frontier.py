"""The queue of a search: the open domains that wait, those with the least priority first."""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.gates.domains import Domains, concatenate
from verifex.ir.exact import FloatArray

_WARM_BYTES = 256 << 20
"""Of the warm starts in the queue. They only save time, and a claim of thousands of comparisons has
megabytes of them for every domain."""


def places_of(domains: Domains) -> tuple[NDArray[np.int8], FloatArray]:
    """Signs (N, gates) and widths (N, inputs) of domains."""
    return domains.signs, domains.hi - domains.lo


class Frontier:
    """Waiting domains in the lines of one batch; lines that become free are used again.

    `nothing` is a batch without domains; it gives the columns their widths.
    """

    def __init__(self, nothing: Domains) -> None:
        self.nothing = nothing
        self._lines, self._free = nothing, list[int]()
        self._heap: list[tuple[float, int, int]] = []
        self._order = itertools.count()
        self._warm = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def least(self) -> float:
        """The least priority of a waiting domain, inf where there are none."""
        return self._heap[0][0] if self._heap else math.inf

    def push(self, domains: Domains, priority: FloatArray) -> None:
        """Let domains wait, with priorities (N,)."""
        if not len(domains):
            return
        for k, warm in enumerate(domains.warm):
            if warm is not None:
                if self._warm + warm.size > _WARM_BYTES:
                    domains.warm[k] = None
                else:
                    self._warm += warm.size
        lacking = len(domains) - len(self._free)
        if lacking > 0:
            # Twice as many each time, so that lines are moved once on average.
            more = max(lacking, len(self._lines))
            self._free += range(len(self._lines), len(self._lines) + more)
            self._lines = concatenate([self._lines, self._lines.blank(more)])
        places = self._free[: len(domains)]
        del self._free[: len(domains)]
        self._lines.put(np.array(places), domains)
        for place, value in zip(places, priority.tolist(), strict=True):
            heapq.heappush(self._heap, (value, next(self._order), place))

    def take(self, most: int, rows: int) -> Domains:
        """Remove the first domains: `most` of them, or fewer with `rows` open rows altogether."""
        places = list[int]()
        while self._heap and len(places) < most and rows > 0:
            places.append(heapq.heappop(self._heap)[2])
            rows -= len(self._lines.rows[places[-1]])
        return self._remove(places)

    def all(self) -> Domains:
        """All waiting domains, in their order."""
        return self._lines.take(np.array([p for _, _, p in sorted(self._heap)], dtype=np.intp))

    def places(self) -> tuple[NDArray[np.int8], FloatArray]:
        """Signs (N, gates) and widths (N, inputs) of all waiting domains, in any order."""
        lines, at = self._lines, np.array([p for _, _, p in self._heap], dtype=np.intp)
        return lines.signs[at], lines.hi[at] - lines.lo[at]

    def drain(self) -> Domains:
        """Remove all of them."""
        places, self._heap = [p for _, _, p in sorted(self._heap)], []
        return self._remove(places)

    def _remove(self, places: list[int]) -> Domains:
        picked = np.array(places, dtype=np.intp)
        out = self._lines.take(picked)
        self._lines.forget(picked)
        self._free += places
        self._warm -= sum(w.size for w in out.warm if w is not None)
        return out
