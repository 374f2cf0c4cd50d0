"""Decision trees: what has to hold for each of their leaves."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Comparison(NamedTuple):
    """That an element of a vector is beyond a threshold, or (`beyond` false) that it is not.

    Beyond are greater numbers and, unless `strict`, the threshold itself.
    """

    element: int
    threshold: Fraction
    strict: bool
    beyond: bool

    def possible(self, low: Fraction, high: Fraction) -> bool:
        """Whether it holds for some number from low to high."""
        if self.beyond:
            return high > self.threshold or (high == self.threshold and not self.strict)
        return low < self.threshold or (low == self.threshold and self.strict)


Path = tuple[Comparison, ...]
"""All comparisons that lead to a leaf: the leaf is reached where all of them hold."""


class LeafPaths(NamedTuple):
    """The leaves of all trees, tree by tree: their paths, and where each tree's leaves begin.

    Every vector of real numbers reaches exactly one leaf of each tree (whoever makes a forest sees
    to that). There are no kinks: on a threshold a comparison holds or does not.
    """

    paths: tuple[Path, ...] = ()
    starts: tuple[int, ...] = ()

    def trees(self) -> list[range]:
        """The leaves of each tree."""
        ends = (*self.starts[1:], len(self.paths))
        return [range(start, end) for start, end in zip(self.starts, ends, strict=True)]


NO_PATHS = LeafPaths()
