"""Values at a point, and whether they depend on gates that are on a kink there."""

from __future__ import annotations

import math
from fractions import Fraction

from ..failures import need
from ..graph.network_graph import AFFINE, PRODUCT, AffineStep, NetworkGraph
from .domain import Domain
from .grid import Grid

DEEPEST, LONGEST_UNIT = 20, 1 << 20
"""Products after each other, and bits of a common denominator: beyond them a point is refused."""


def exactly(
    graph: NetworkGraph, node: int, point: list[Fraction], kinks_closed: bool
) -> list[Fraction]:
    """A node's elements at a point; refused where one depends on the gate of a kink."""
    low, high = ends(graph, node, point, kinks_closed)
    need(low == high, "a value depends on the gate of a kink")
    return low


def ends(
    graph: NetworkGraph, node: int, point: list[Fraction], kinks_closed: bool
) -> tuple[list[Fraction], list[Fraction]]:
    """A node's bounds at a point: its values, with every gate on a kink free (or 0, if
    `kinks_closed`), each gate by itself.

    They are those of a box of one point, on a grid so fine that nothing rounds.
    """
    unit = _finest(graph, node, point)
    grid = Grid(graph, unit, 0, 1, kinks_closed)
    low, high = Domain(grid, (point, point)).bounds(node)
    return [Fraction(v, unit) for v in low], [Fraction(v, unit) for v in high]


def _finest(graph: NetworkGraph, node: int, point: list[Fraction]) -> int:
    """A common denominator of all values that a node depends on.

    One for inputs, biases and all affine steps together; a product of two elements has the
    denominators of both, so that each product on the way to the node squares it.
    """
    depth, steps = dict[int, int](), list[AffineStep]()
    for k in sorted(graph.nodes[node].cone):
        used = graph.nodes[k]
        depth[k] = max((depth[a] for a in used.args), default=0) + (used.kind == PRODUCT)
        if used.kind == AFFINE:
            steps.append(used.step)
    unit = math.lcm(
        *(v.denominator for v in point), *(b.denominator for step in steps for b in step.bias))
    unit *= math.prod(step.denominator for step in steps)
    need(depth[node] < DEEPEST and unit.bit_length() << depth[node] <= LONGEST_UNIT,
         "products too deep for values at a point")
    squared: int = unit ** (1 << depth[node])
    return squared
