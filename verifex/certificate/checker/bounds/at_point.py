"""Values at a point, and where gates on kinks matter."""

from __future__ import annotations

import math
from fractions import Fraction

from ..failures import need
from ..graph.network_graph import NetworkGraph
from .sub_region import Scale, SubRegion


def exactly(graph: NetworkGraph, n: int, x: list[Fraction], shut: bool) -> list[Fraction]:
    """A node at a point; Bad where a kink's gate matters."""
    low, high = ends(graph, n, x, shut)
    need(low == high, "a value depends on the gate of a kink")
    return low


def ends(
    graph: NetworkGraph, n: int, x: list[Fraction], shut: bool
) -> tuple[list[Fraction], list[Fraction]]:
    """A node's bounds at a point, gates on kinks free (or shut), in units so fine that nothing
    rounds."""
    nodes = [graph.nodes[m] for m in graph.nodes[n].cone]
    steps = [node.data for node in nodes if node.kind == "A"]
    unit = math.lcm(*(v.denominator for v in x), *(b.denominator for s in steps for b in s[2]))
    unit *= math.prod(s[1] for s in steps)
    unit **= 4 if any(node.kind == "M" for node in nodes) else 1
    point = [int(v * unit) for v in x]
    lo, hi = SubRegion(Scale(graph, unit, unit, 0, shut, {}, {}, ()), (point, point)).get(n)
    return [Fraction(v, unit) for v in lo], [Fraction(v, unit) for v in hi]
