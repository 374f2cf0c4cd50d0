"""Values at a point, and whether they depend on gates that are on a kink there."""

from __future__ import annotations

import math
from fractions import Fraction

from ..failures import need
from ..graph.network_graph import AFFINE, PRODUCT, NetworkGraph
from .domain import Domain
from .grid import Grid


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

    They are those of a box of one point, on a grid so fine that nothing rounds: a unit that holds
    the denominators of the point, of all biases, and of all steps multiplied. Of products and
    squares the denominators are multiplied once more.
    """
    nodes = [graph.nodes[k] for k in graph.nodes[node].cone]
    steps = [k.step for k in nodes if k.kind == AFFINE]
    unit = math.lcm(
        *(v.denominator for v in point), *(b.denominator for step in steps for b in step.bias))
    unit *= math.prod(step.denominator for step in steps)
    unit **= 4 if any(k.kind == PRODUCT for k in nodes) else 1
    grid = Grid(graph, unit, 0, 1, kinks_closed)
    low, high = Domain(grid, (point, point)).bounds(node)
    return [Fraction(v, unit) for v in low], [Fraction(v, unit) for v in high]
