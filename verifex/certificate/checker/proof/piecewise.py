"""Lower bounds of forms that are sums of weights of leaves of decision trees, and of inputs.

They need no planes: in every tree exactly one leaf is reached, and it is one that the box reaches,
so the least weight among these is a bound of the tree's part, and the sum of them one of the form.
Nothing rounds. Where all trees compare scaled inputs (`bounds/terrain.py`), a domain costs little.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from ..bounds.domain import Domain
from ..bounds.terrain import Terrain, terrain
from ..failures import Empty
from ..graph.network_graph import AFFINE, INPUT, LEAVES, NetworkGraph

ZERO = Fraction(0)
Weight = tuple[Fraction, int]
"""What a leaf adds, and its number."""


class PiecewiseForm(NamedTuple):
    """constant + sum of factors * flat inputs + for each node of leaves, tree by tree, the weights
    of the leaves in rising order."""

    constant: Fraction
    inputs: tuple[tuple[int, Fraction], ...]
    trees: tuple[tuple[int, tuple[tuple[Weight, ...], ...]], ...]

    def least(self, domain: Domain) -> Fraction:
        """A lower bound over the domain; raises Empty where a tree has no leaf there."""
        low, high = domain.box
        total = self.constant + sum(
            (factor * (low if factor > 0 else high)[flat] for flat, factor in self.inputs), ZERO)
        for node, trees in self.trees:
            reach = domain.reach(node)
            leaves = (reach.leaves if reach is not None else 0).to_bytes(_width(trees), "little")
            total += sum((_first(tree, leaves) for tree in trees), ZERO)
        return total


def _width(trees: tuple[tuple[Weight, ...], ...]) -> int:
    return sum(map(len, trees)) // 8 + 1


def _first(tree: tuple[Weight, ...], leaves: bytes) -> Fraction:
    """The least weight among the leaves that are reached."""
    for weight, leaf in tree:
        if leaves[leaf >> 3] >> (leaf & 7) & 1:
            return weight
    raise Empty


class PiecewiseForms:
    """The elements of one node, turned round and as such forms where they are, else None."""

    def __init__(self, graph: NetworkGraph, node: int) -> None:
        self.graph, self.node = graph, node
        self._known: dict[int, PiecewiseForm | None] = {}
        cone = [graph.nodes[n] for n in graph.nodes[node].cone]
        self._some = any(one.kind == LEAVES for one in cone)

    def minus(self, element: int) -> PiecewiseForm | None:
        """Minus an element."""
        if element not in self._known:
            self._known[element] = self._computed(element) if self._some else None
        return self._known[element]

    def _computed(self, element: int) -> PiecewiseForm | None:
        """Affine steps are followed back; None where any other node is met."""
        left: dict[int, dict[int, Fraction]] = {self.node: {element: Fraction(-1)}}
        constant, inputs, trees = ZERO, dict[int, Fraction](), []
        while left:
            position = max(left)
            row, node = left.pop(position), self.graph.nodes[position]
            if node.kind == INPUT:
                for i, c in row.items():
                    inputs[node.start + i] = inputs.get(node.start + i, ZERO) + c
            elif node.kind == LEAVES:
                ground = terrain(self.graph, position)
                if ground is None:
                    return None
                trees.append((position, _sorted(ground, row)))
            elif node.kind != AFFINE:
                return None
            else:
                constant += sum((c * node.step.bias[k] for k, c in row.items()), ZERO)
                for part in node.step.parts:
                    into = left.setdefault(part.argument, {})
                    for k, c in row.items():
                        positions, weights = part.rows.rows[k]
                        places = range(len(weights)) if positions is None else positions
                        for i, weight in zip(places, weights, strict=True):
                            by = c * Fraction(weight, node.step.denominator)
                            into[i] = into.get(i, ZERO) + by
        return PiecewiseForm(constant, tuple(inputs.items()), tuple(trees))


def _sorted(ground: Terrain, row: dict[int, Fraction]) -> tuple[tuple[Weight, ...], ...]:
    """The weights of each tree's leaves, least first."""
    return tuple(
        tuple(sorted((row.get(leaf, ZERO), leaf) for leaf in tree)) for tree in ground.trees)
