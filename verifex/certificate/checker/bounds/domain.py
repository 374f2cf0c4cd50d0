"""Parts of the region, and the bounds of nodes that hold there (the interval pass).

Everything is rounded outward to a grid (see `grid`); `plain` has the same rules without rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from operator import add, gt, sub
from typing import NamedTuple

from ..failures import Empty
from ..graph.network_graph import AFFINE, INPUT, LEAVES, PRODUCT, RELU, STEP, GraphNode
from ..graph.packed_rows import Box
from .grid import Grid
from .terrain import Reach, terrain
from .whole_numbers import choose

ExactBox = tuple[list[Fraction], list[Fraction]]


class Split(NamedTuple):
    """sign * (element of node - at) >= 0."""

    node: int
    element: int
    sign: int
    at: Fraction


class Domain:
    """A part of the region: a box, cut by splits of pre-activations and by facts.

    A fact is a bound that has been derived for a domain; it holds in all domains inside it. Bounds
    are worked out when they are asked for, and kept where they hold for most: in the topmost domain
    that has the same ones (`home`), so that domains inside it do not repeat them.
    """

    def __init__(
        self, grid: Grid, box: ExactBox, groups: Sequence[Sequence[int]] = (),
        parent: Domain | None = None, open_ends: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        self.grid, self.graph, self.groups = grid, grid.graph, groups
        self.path: tuple[Domain, ...] = (*parent.path, self) if parent else (self,)
        self.splits: tuple[Split, ...] = parent.splits if parent else ()
        self.box: ExactBox = box
        # Ends of the box that are no numbers of it: (input, 1) the lower, (input, -1) the upper.
        self.open_ends = open_ends
        self.moved: bool = parent is None or box is not parent.box
        self.empty = False
        self.facts: dict[int, dict[tuple[int, int], int]] = {}  # by node: (element, sign) -> bound
        self._cache: dict[int, Box] = {}
        self._homes: dict[int, Domain] = {}
        self._reached: dict[int, Reach] = {}

    def _child(
        self, box: ExactBox, opened: frozenset[tuple[int, int]] = frozenset()
    ) -> Domain:
        """A part of the domain. Sound: an end stays open where it is the same number."""
        same = {(flat, sign) for flat, sign in self.open_ends
                if box[sign < 0][flat] == self.box[sign < 0][flat]}
        return Domain(self.grid, box, self.groups, self, opened | same)

    def split(self, split: Split) -> Domain:
        """The part where the split's constraint holds."""
        child = self._child(self.box)
        child.splits += (split,)
        child.learn(split.node, split.element, split.sign, self.grid.below(split.sign * split.at))
        return child

    def cut(self, flat: int, sign: int, at: Fraction, strict: bool = False) -> Domain:
        """The part where sign * (input - at) >= 0, or > 0 if `strict`; what one-hot groups then say
        is taken in."""
        low, high = list(self.box[0]), list(self.box[1])
        if sign > 0:
            low[flat] = max(low[flat], at)
        else:
            high[flat] = min(high[flat], at)
        fits = low[flat] <= high[flat] and choose(low, high, self.groups)
        # Sound: an end that has been moved further than the cut, or by a group, is not open.
        end = (low if sign > 0 else high)[flat]
        opened = frozenset({(flat, sign)} if strict and end == at else set[tuple[int, int]]())
        child = self._child((low, high), opened)
        child.empty = not fits or (low[flat] == high[flat] and not child.open_ends.isdisjoint(
            {(flat, 1), (flat, -1)}))
        return child

    def reach(self, node: int) -> Reach | None:
        """The leaves of a node of trees that the box reaches; None where the trees compare other
        things than scaled inputs."""
        ground = terrain(self.graph, node)
        if ground is None:
            return None
        if node not in self._reached:
            # What contains this domain reaches at least as much.
            around = next((d._reached[node] for d in self.path[-2::-1] if node in d._reached),
                          ground.whole())
            self._reached[node] = ground.reach(around, *self.box, self.open_ends)
        return self._reached[node]

    def within(self, bounds: dict[tuple[int, int], Fraction]) -> Domain:
        """The part where sign * (flat input) >= bound, for all (flat input, sign) given."""
        if not bounds:
            return self._child(self.box)
        low, high = list(self.box[0]), list(self.box[1])
        for (flat, sign), bound in bounds.items():
            if sign > 0:
                low[flat] = max(low[flat], bound)
            else:
                high[flat] = min(high[flat], -bound)
        child = self._child((low, high))
        child.empty = any(map(gt, low, high)) or not choose(low, high, self.groups)
        return child

    def learn(self, node: int, element: int, sign: int, bound: int) -> None:
        """Take the fact that sign * element >= bound (in units of the grid)."""
        self.learn_all(node, [((element, sign), bound)])

    def learn_all(self, node: int, found: Iterable[tuple[tuple[int, int], int]]) -> None:
        """Take facts about elements of one node: ((element, sign), bound)."""
        known = self.facts.setdefault(node, {})
        for key, bound in found:
            known[key] = max(bound, known.get(key, bound))
        self._homes = {}
        nodes = self.graph.nodes
        self._cache = {m: box for m, box in self._cache.items() if node not in nodes[m].cone}

    def home(self, node: int) -> Domain:
        """The topmost domain with the same bounds of a node: nothing that they depend on was moved
        or learned below it."""
        if node not in self._homes:
            cone = self.graph.nodes[node].cone
            own = (
                d for d in self.path[:0:-1] if d.moved or not cone.isdisjoint(d.facts))
            self._homes[node] = next(own, self.path[0])
        return self._homes[node]

    def bounds(self, node: int) -> Box:
        """Bounds of a node; raises Empty where they contradict each other."""
        home = self.home(node)
        if node not in home._cache:
            for needed in sorted(self.graph.nodes[node].cone):
                place = self.home(needed)
                if needed not in place._cache:
                    place._cache[needed] = place.refined(needed, place.computed(needed))
        return home._cache[node]

    def refined(self, node: int, box: Box) -> Box:
        """Bounds cut by the facts of this domain and those around it."""
        facts = [item for d in self.path for item in d.facts.get(node, {}).items()]
        if not facts:
            return box
        low, high = list(box[0]), list(box[1])
        for (element, sign), bound in facts:
            if sign > 0:
                low[element] = max(low[element], bound)
            else:
                high[element] = min(high[element], -bound)
        if any(map(gt, low, high)):
            raise Empty
        return low, high

    def computed(self, position: int) -> Box:
        """Bounds of a node from those of its arguments."""
        node = self.graph.nodes[position]
        if node.kind == INPUT:
            return self._input(node)
        boxes = [self.home(a)._cache[a] for a in node.args]
        if node.kind == AFFINE:
            return self._affine(position, boxes)
        if node.kind == RELU:
            low, high = boxes[0]
            return [max(v, 0) for v in low], [max(v, 0) for v in high]
        if node.kind == STEP:
            return self._step(node.args[0], boxes[0])
        if node.kind == LEAVES:
            return self._leaves(position, boxes[0])
        square = node.kind == PRODUCT and node.args[0] == node.args[1]
        return self._product(boxes[0], boxes[1], square)

    def _input(self, node: GraphNode) -> Box:
        here = slice(node.start, node.start + node.size)
        low, high = self.box
        return list(map(self.grid.below, low[here])), list(map(self.grid.above, high[here]))

    def _affine(self, position: int, boxes: list[Box]) -> Box:
        """Each row by itself: its value at the centre, and the sum of |weight| * radius about it.

        Both are kept twice as large, and times the denominator, so that only the last division
        rounds, downward and upward.
        """
        node = self.graph.nodes[position]
        centre, radius = [0] * node.size, [0] * node.size
        for part, (low, high) in zip(node.step.parts, boxes, strict=True):
            middle = part.rows.product(list(map(add, low, high)))
            width = part.magnitudes.product(list(map(sub, high, low)))
            centre, radius = list(map(add, centre, middle)), list(map(add, radius, width))
        floor, ceiling = self.grid.bias(position)
        by = 2 * node.step.denominator
        return (
            [b + (c - r) // by for b, c, r in zip(floor, centre, radius, strict=True)],
            [b - (-c - r) // by for b, c, r in zip(ceiling, centre, radius, strict=True)],
        )

    def _step(self, argument: int, box: Box) -> Box:
        """1 where the argument is above 0, 0 where it is below, and as splits at 0 say: on a part
        z >= 0 the gate is 1, on z <= 0 it is 0.

        Sound: both parts hold the points with z = 0, where the gate may be either. What is claimed
        of such a point with gate 1 is shown in the first part, with gate 0 in the second.
        """
        unit, least = self.grid.unit, int(self.grid.kinks_closed)
        signs = {s.element: s.sign for s in self.splits if s.node == argument and s.at == 0}
        low, high = box
        return (
            [unit * (v > 0 or signs.get(i, 0) > 0) for i, v in enumerate(low)],
            [unit * (v >= least and signs.get(i, 0) >= 0) for i, v in enumerate(high)],
        )

    def _leaves(self, position: int, box: Box) -> Box:
        """[0, 1] for leaves that the domain reaches, 1 where a tree has no other; Empty where a
        tree has none.

        Sound: every vector reaches exactly one leaf of each tree.
        """
        unit, forest = self.grid.unit, self.graph.nodes[position].forest
        reach = self.reach(position)
        if reach is not None:
            bits = f"{reach.leaves:0{len(forest.paths)}b}"[::-1]
            possible = [bit == "1" for bit in bits]
        else:
            low, high = ([Fraction(v, unit) for v in side] for side in box)
            possible = [all(c.possible(low[c.element], high[c.element]) for c in path)
                        for path in forest.paths]
        least = [0] * len(possible)
        for tree in forest.trees():
            left = [k for k in tree if possible[k]]
            if not left:
                raise Empty
            if len(left) == 1:
                least[left[0]] = unit
        return least, [unit * p for p in possible]

    def _product(self, first: Box, second: Box, square: bool) -> Box:
        """The least and greatest of the four products of ends; a square is never below 0."""
        unit, low, high = self.grid.unit, [], []
        for a, b, c, d in zip(*first, *second, strict=True):
            ends = (a * c, a * d, b * c, b * d)
            least = max(0, min(ends)) if square else min(ends)
            low.append(least // unit)
            high.append(-(-max(ends) // unit))
        return low, high
