"""Where to split a box between cuts: at the cut whose halves are bounded best.

For each tree the leaves of least weight say what the bound is. A cut that shuts such leaves out of
one half lifts that half's bound by up to the distance to the next weight; the best cuts by that
estimate are then bounded in earnest (as in filtered smart branching).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.trees.domains import CutBoxes, TreeBounds, bounds
from verifex.engine.search.trees.ground import Ground
from verifex.ir.exact import FloatArray

TRIED = 8
"""Cuts of which both halves are bounded, for each box."""

_LESS = 0.1
"""What the better half counts, where the worse one counts 1."""


class Entries(NamedTuple):
    """The comparisons of all leaves: leaf, and position of the cut among those of all inputs."""

    leaf: NDArray[np.intp]
    cut: NDArray[np.intp]


class Branching:
    """Chooses cuts; `starts` is where each input's cuts begin among all cuts."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        counts = np.array([len(one.cuts) for one in ground.inputs], dtype=np.intp)
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        self.place = np.repeat(np.arange(len(counts)), counts)
        self.rank = np.arange(self.starts[-1]) - self.starts[self.place]
        place, leaf = np.nonzero(ground.after > 0)
        self.after = Entries(leaf, self.starts[place] + ground.after[place, leaf] - 1)
        place, leaf = np.nonzero(ground.before < counts[:, None])
        self.before = Entries(leaf, self.starts[place] + ground.before[place, leaf])

    def choose(
        self, domains: CutBoxes, atom: NDArray[np.intp], base: FloatArray
    ) -> NDArray[np.intp]:
        """A cut for every domain, by its position among all; -1 where every tree has one leaf."""
        if not len(self.place):
            return np.full(len(domains), -1, dtype=np.intp)
        found = bounds(self.ground, domains.alive, atom, base)
        beyond, within = self._lifts(domains, found)
        place = self.place
        open_ = ((self.rank >= domains.surely[:, place])
                 & (self.rank < domains.possibly[:, place]))
        # What is lifted above 0 is closed: more is no better.
        wanted = np.maximum(-found.value, 1e-300)[:, None]
        beyond, within = np.minimum(beyond, wanted), np.minimum(within, wanted)
        score = np.minimum(beyond, within) + _LESS * np.maximum(beyond, within)
        score = np.where(open_, score, -1.0)
        count = min(TRIED, score.shape[1])
        best = np.argpartition(-score, count - 1, axis=1)[:, :count]
        chosen = self._tried(domains, atom, base, best, found)
        none = ~open_.any(axis=1)
        return np.where(none, -1, chosen)

    def _lifts(self, domains: CutBoxes, found: TreeBounds) -> tuple[FloatArray, FloatArray]:
        """Estimates (N, cuts) of what the half beyond each cut, and that before it, is lifted."""
        ground = self.ground
        tree, starts = ground.tree, ground.starts
        lowest = found.weights == found.least[:, tree]
        rest = np.where(lowest, np.inf, found.weights)
        gap = np.minimum.reduceat(rest, starts, axis=1) - found.least
        # Where all leaves weigh the same nothing can be lifted, now.
        gap = np.where(np.isfinite(gap), gap, 0.0)
        ties = np.add.reduceat(lowest, starts, axis=1, dtype=np.intp)
        share = np.where(lowest, (gap / np.maximum(ties, 1))[:, tree], 0.0)
        # A little for every leaf that goes, so that splits go on where all gaps are 0.
        share += 1e-9 * np.isfinite(found.weights)
        beyond = np.cumsum(self._at(self.before, share), axis=1)
        within = np.cumsum(self._at(self.after, share)[:, ::-1], axis=1)[:, ::-1]
        # Sums of an input's own cuts.
        beyond -= self._edge(beyond, self.starts[:-1] - 1)
        within -= self._edge(within, self.starts[1:])
        return beyond, within

    def _at(self, entries: Entries, share: FloatArray) -> FloatArray:
        """The shares (N, leaves) of the leaves of entries, summed up for each cut."""
        rows, cuts = share.shape[0], int(self.starts[-1])
        index = np.arange(rows)[:, None] * cuts + entries.cut
        flat = np.bincount(index.ravel(), share[:, entries.leaf].ravel(), rows * cuts)
        return np.asarray(flat, dtype=np.float64).reshape(rows, cuts)

    def _edge(self, sums: FloatArray, at: NDArray[np.intp]) -> FloatArray:
        """For each cut, the sum that its input's cuts begin with."""
        inside = (at >= 0) & (at < sums.shape[1])
        edges = np.where(inside, sums[:, np.clip(at, 0, sums.shape[1] - 1)], 0.0)
        return edges[:, self.place]

    def _tried(
        self, domains: CutBoxes, atom: NDArray[np.intp], base: FloatArray,
        best: NDArray[np.intp], found: TreeBounds,
    ) -> NDArray[np.intp]:
        """Of the best cuts (N, k), the one whose halves have the best bounds."""
        rows, count = best.shape
        row = np.repeat(np.arange(rows), count)
        place, rank = self.place[best.ravel()], self.rank[best.ravel()]
        alive = domains.alive[row]
        values = []
        for kept in (self.ground.before[place] > rank[:, None],
                     self.ground.after[place] <= rank[:, None]):
            value = bounds(self.ground, alive & kept, atom[row], base[row]).value
            values.append(np.minimum(value, 0.0).reshape(rows, count))
        lower, upper = np.minimum(*values), np.maximum(*values)
        # Equal halves by the bound: the order of the estimate.
        score = lower + _LESS * upper
        open_ = ((rank >= domains.surely[row, place]) & (rank < domains.possibly[row, place]))
        score = np.where(open_.reshape(rows, count), score, -np.inf)
        return np.asarray(best[np.arange(rows), score.argmax(axis=1)])
