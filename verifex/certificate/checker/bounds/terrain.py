"""Which leaves of decision trees a box reaches, where every element compared is one input, scaled.

A comparison is then a cut of that input: beyond it lie the numbers above q, or from q on. Cuts of
an input are sorted, and a box is known by how many of them it lies beyond, surely and possibly. A
set of leaves is a whole number with one bit for each.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..graph.network_graph import AFFINE, INPUT, NetworkGraph

Cut = tuple[Fraction, int]
"""q and 1 for the numbers above q, q and 0 for those from q on: in this order, what lies beyond a
cut lies beyond those before it."""

Scaled = tuple[int, Fraction, Fraction]
"""A flat input, what it is multiplied by (not 0), and what is added."""


class Reach(NamedTuple):
    """The leaves that a box reaches, and how many cuts of each input it lies beyond: surely all
    points, possibly some."""

    leaves: int
    surely: tuple[int, ...]
    possibly: tuple[int, ...]


class Terrain:
    """The cuts of the forest of one node. For the cut of a rank, `within` and `beyond` are the
    leaves that need its input to be before it, or beyond it."""

    def __init__(self, graph: NetworkGraph, node: int, elements: Sequence[Scaled | None]) -> None:
        forest = graph.nodes[node].forest
        self.size, self.trees = len(forest.paths), forest.trees()
        self.all = (1 << self.size) - 1
        found: dict[int, dict[Cut, list[int]]] = {}
        for leaf, path in enumerate(forest.paths):
            for comparison in path:
                scaled = elements[comparison.element]
                if scaled is None:
                    continue
                flat, factor, constant = scaled
                cut = Fraction(comparison.threshold - constant, factor)
                # For a factor below 0, v > t where x < q: where x is not from q on.
                upward = factor > 0
                key = cut, int(comparison.strict == upward)
                masks = found.setdefault(flat, {}).setdefault(key, [0, 0])
                masks[comparison.beyond == upward] |= 1 << leaf
        self.inputs = sorted(found)
        self.cuts: list[list[Cut]] = [sorted(found[flat]) for flat in self.inputs]
        self.within = [[found[flat][cut][0] for cut in cuts]
                       for flat, cuts in zip(self.inputs, self.cuts, strict=True)]
        self.beyond = [[found[flat][cut][1] for cut in cuts]
                       for flat, cuts in zip(self.inputs, self.cuts, strict=True)]

    def whole(self) -> Reach:
        """What is reached by all points together."""
        count = len(self.inputs)
        return Reach(self.all, (0,) * count, tuple(map(len, self.cuts)))

    def reach(
        self, around: Reach, low: Sequence[Fraction], high: Sequence[Fraction],
        open_ends: frozenset[tuple[int, int]],
    ) -> Reach:
        """The leaves that the box from low to high reaches, which lies in one with this reach.

        Sound: a leaf is dropped only where the box has no point for one of its comparisons. `x` is
        surely beyond (q, 0) from q on and (q, 1) above q; an open end (input, sign) is no number of
        the box.
        """
        leaves, all_surely, all_possibly = around.leaves, list[int](), list[int]()
        for k, flat in enumerate(self.inputs):
            cuts = self.cuts[k]
            surely = bisect_right(cuts, (low[flat], int((flat, 1) in open_ends)))
            end = high[flat], 0
            possibly = (bisect_left if (flat, -1) in open_ends else bisect_right)(cuts, end)
            for rank in range(around.surely[k], surely):
                leaves &= ~self.within[k][rank]
            for rank in range(possibly, around.possibly[k]):
                leaves &= ~self.beyond[k][rank]
            all_surely.append(max(surely, around.surely[k]))
            all_possibly.append(min(possibly, around.possibly[k]))
        return Reach(leaves, tuple(all_surely), tuple(all_possibly))


def scaled_inputs(graph: NetworkGraph, node: int) -> list[Scaled | None] | None:
    """Each element of a node as one input, scaled; None where one is no such thing."""
    known: dict[int, list[Scaled | None]] = {}
    for position in sorted(graph.nodes[node].cone):
        found = _scaled(graph, position, known)
        if found is None:
            return None
        known[position] = found
    return known[node]


def _scaled(
    graph: NetworkGraph, position: int, known: dict[int, list[Scaled | None]]
) -> list[Scaled | None] | None:
    node = graph.nodes[position]
    if node.kind == INPUT:
        return [(node.start + i, Fraction(1), Fraction(0)) for i in range(node.size)]
    if node.kind != AFFINE:
        return None
    found: list[Scaled | None] = [None] * node.size
    for part in node.step.parts:
        for k, (positions, weights) in enumerate(part.rows.rows):
            if not weights:
                continue
            if len(weights) > 1 or found[k] is not None:
                return None
            argument = known[part.argument][0 if positions is None else positions[0]]
            if argument is None:
                return None
            flat, factor, constant = argument
            by = Fraction(weights[0], node.step.denominator)
            found[k] = flat, factor * by, constant * by + node.step.bias[k]
    # A constant element is none.
    return None if None in found else found


def terrain(graph: NetworkGraph, node: int) -> Terrain | None:
    """The terrain of a node of decision trees; None where elements are no scaled inputs."""
    if node not in graph.terrains:
        elements = scaled_inputs(graph, graph.nodes[node].args[0])
        graph.terrains[node] = None if elements is None else Terrain(graph, node, elements)
    found = graph.terrains[node]
    return found if isinstance(found, Terrain) else None
