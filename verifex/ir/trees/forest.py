"""Decision trees: which leaf of each tree a vector falls into.

A node compares one element v of the vector with a threshold t and goes right where v > t, or, if it
is not `strict`, where v >= t; else left. So every vector of real numbers has exactly one leaf in
each tree, on thresholds too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError
from verifex.ir.exact import FloatArray

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]


class Paths(NamedTuple):
    """What has to hold for each leaf, one entry a comparison on the way to it: that `node` goes
    right, or left. Entries are sorted by leaf."""

    leaf: Whole
    node: Whole
    right: Flags


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees over vectors of `inputs` elements. Nodes and leaves are numbered through all trees.

    `left`, `right` and `roots` hold a node k as k and a leaf k as ~k (-1 is leaf 0). A node comes
    before its children, and the leaves of a tree are numbered one after the other, tree by tree.
    """

    inputs: int
    feature: Whole
    threshold: FloatArray
    strict: Flags
    left: Whole
    right: Whole
    roots: Whole

    def __post_init__(self) -> None:
        self._check()

    @property
    def nodes(self) -> int:
        return len(self.feature)

    @property
    def leaves(self) -> int:
        return self.nodes + len(self.roots)  # each node adds one to a tree's leaf

    @cached_property
    def key(self) -> bytes:
        h = hashlib.blake2b(str(self.inputs).encode(), digest_size=16)
        for part in (self.feature, self.threshold, self.strict, self.left, self.right, self.roots):
            h.update(str(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        return h.digest()

    @cached_property
    def starts(self) -> Whole:
        """The first leaf of each tree."""
        return self._tree_starts()

    @cached_property
    def tree(self) -> Whole:
        """The tree of each leaf."""
        counts = np.diff([*self.starts.tolist(), self.leaves])
        return np.repeat(np.arange(len(self.roots)), counts)

    @cached_property
    def levels(self) -> tuple[Whole, ...]:
        """The nodes of each depth, over all trees."""
        found, level = [], self.roots[self.roots >= 0]
        while level.size:
            found.append(level)
            below = np.concatenate([self.left[level], self.right[level]])
            level = below[below >= 0]
        return tuple(found)

    @cached_property
    def paths(self) -> Paths:
        """The comparisons on the way to each leaf."""
        entries: list[tuple[int, int, bool]] = []
        stack: list[tuple[int, tuple[tuple[int, bool], ...]]] = [
            (root, ()) for root in self.roots.tolist()]
        while stack:
            at, way = stack.pop()
            if at < 0:
                entries += [(~at, node, right) for node, right in way]
                continue
            stack.append((int(self.left[at]), (*way, (at, False))))
            stack.append((int(self.right[at]), (*way, (at, True))))
        entries.sort(key=lambda entry: entry[0])
        table = np.array(entries, dtype=np.int64).reshape(-1, 3)
        return Paths(table[:, 0], table[:, 1], table[:, 2].astype(bool))

    def reached(self, surely: Flags, possibly: Flags) -> Flags:
        """The leaves (B, leaves) that are reached where nodes (B, nodes) `surely` go right or
        `possibly` do. With both the same, exactly one leaf of each tree is."""
        reach = np.zeros((surely.shape[0], self.nodes + self.leaves), dtype=bool)
        reach[:, self._place(self.roots)] = True
        for level in self.levels:
            here = reach[:, level]
            reach[:, self._place(self.left[level])] = here & ~surely[:, level]
            reach[:, self._place(self.right[level])] = here & possibly[:, level]
        return reach[:, self.nodes:]

    def beyond(self, values: Any) -> Flags:
        """Whether each node goes right, (B, nodes), for float vectors (B, inputs)."""
        own = values[:, self.feature]
        return np.asarray((own > self.threshold) | ((own == self.threshold) & ~self.strict))

    def _place(self, children: Whole) -> Whole:
        """Nodes first, leaves behind them."""
        return np.where(children >= 0, children, self.nodes + ~children)

    def _tree_starts(self) -> Whole:
        """The first leaf of each tree; every part of the forest is visited once."""
        starts, seen = [], 0
        for root in self.roots.tolist():
            starts.append(seen)
            stack, found = [root], []
            while stack:
                at = stack.pop()
                if at < 0:
                    found.append(~at)
                else:
                    stack += [int(self.left[at]), int(self.right[at])]
                if len(found) > self.leaves:
                    raise _broken()
            if sorted(found) != list(range(seen, seen + len(found))):
                raise _broken()
            seen += len(found)
        return np.array(starts, dtype=np.int64)

    def _check(self) -> None:
        """InputError unless this is a forest as described above."""
        sizes = {len(p) for p in (self.feature, self.threshold, self.strict, self.left, self.right)}
        if len(sizes) != 1 or not len(self.roots):
            raise _broken()
        children = np.concatenate([self.left, self.right])
        parents = np.concatenate([np.arange(self.nodes)] * 2)
        inner, every = children >= 0, np.concatenate([children, self.roots])
        if ((children[inner] <= parents[inner]).any() or every.max(initial=-1) >= self.nodes
                or len(np.unique(every)) != len(every) or len(every) != self.nodes + self.leaves
                or every.min() < -self.leaves):
            raise _broken()
        if self.nodes and not 0 <= self.feature.min() <= self.feature.max() < self.inputs:
            raise InputError("a tree compares an element that is not there",
                             expected=f"0..{self.inputs - 1}")
        if not np.isfinite(self.threshold).all():
            raise InputError("a threshold is not finite", expected="numbers")
        self._tree_starts()


def _broken() -> InputError:
    return InputError("nodes do not form trees", expected="every node and leaf once")


class TreeNode(NamedTuple):
    """A comparison on the way into a forest: `left` and `right` are nodes of the tree's list, or
    leaves as ~k."""

    feature: int
    threshold: float
    strict: bool
    left: int
    right: int


def forest_of(inputs: int, trees: Sequence[Sequence[TreeNode]]) -> tuple[Forest, list[list[int]]]:
    """Trees, each with its root first (one without nodes is a single leaf), as a forest; and for
    each tree the forest's number of its leaves in rising order of their own numbers."""
    parts: list[TreeNode] = []
    roots, leaves = [], 0
    numbers: list[list[int]] = []
    for tree in trees:
        at = len(parts)
        known = sorted(~c for node in tree for c in (node.left, node.right) if c < 0) or [0]
        place = {leaf: leaves + k for k, leaf in enumerate(known)}
        parts += [node._replace(
            left=at + node.left if node.left >= 0 else ~place[~node.left],
            right=at + node.right if node.right >= 0 else ~place[~node.right]) for node in tree]
        roots.append(at if tree else ~leaves)
        numbers.append([place[leaf] for leaf in known])
        leaves += len(known)
    columns: list[tuple[Any, ...]] = list(zip(*parts, strict=True)) or [()] * 5
    feature, threshold, strict, left, right = columns
    whole = np.int64
    return Forest(
        inputs, np.array(feature, dtype=whole), np.array(threshold, dtype=np.float64),
        np.array(strict, dtype=bool), np.array(left, dtype=whole), np.array(right, dtype=whole),
        np.array(roots, dtype=whole)), numbers
