"""What one evaluation of a graph costs: how much is done together in a fraction of a second."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from verifex.ir.graph import Graph
from verifex.ir.linmap import Conv, Dense, LinearMap, Scaled, fan_in
from verifex.ir.ops import Affine

OPERATIONS = 1 << 29
"""Multiplications of floats between two looks at the clock: some tenths of a second."""


@dataclass(frozen=True)
class Cost:
    """Of one point (or one row of a backward pass): numbers that are kept, multiplications."""

    numbers: int
    operations: int

    @property
    def together(self) -> int:
        """How many of them are done at once, at least 1."""
        return max(1, OPERATIONS // max(1, self.operations + self.numbers))


def cost(graph: Graph, targets: Iterable[int]) -> Cost:
    """What the nodes cost that `targets` need."""
    nodes = [graph.nodes[i] for i in graph.ancestors(targets)]
    maps = [m for node in nodes if isinstance(node.op, Affine) for m in node.op.maps]
    return Cost(sum(node.size for node in nodes), sum(map(multiplications, maps)))


def multiplications(linear_map: LinearMap) -> int:
    """How many products of two numbers one image takes, about."""
    match linear_map:
        case Dense() | Conv():
            return fan_in(linear_map) * math.prod(linear_map.out_shape)
        case Scaled():
            return multiplications(linear_map.inner)
        case _:
            return math.prod(linear_map.out_shape)
