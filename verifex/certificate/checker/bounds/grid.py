"""The grid that bounds are rounded to, and what else is the same for a whole certificate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from ..graph.network_graph import NetworkGraph
from ..graph.packed_rows import Box

LONGEST_ODD = 40
"""Bits. Denominators with longer odd parts are not kept exactly."""


class ScaledBall(NamedTuple):
    """|x - centre| <= radius in the norm l1 (power 1) or l2 (power 2), in units of the grid, over
    the inputs (node, element) that `centre` names."""

    power: int
    radius: int
    centre: dict[tuple[int, int], int]


class Grid:
    """Bounds are whole multiples of 1 / unit, unit = odd * 2^bits; coefficients of 2^-coefficient.

    `kinks_closed`: gates on kinks are 0. `relu_of`: the relu node on z, for every z that has a step
    node. `balls`: see `ScaledBall`.
    """

    def __init__(
        self, graph: NetworkGraph, odd: int, bits: int, coefficient: int,
        kinks_closed: bool = False, relu_of: Mapping[int, int] | None = None,
    ) -> None:
        self.graph, self.odd, self.bits, self.coefficient = graph, odd, bits, coefficient
        self.unit = odd << bits  # how many steps of the grid are 1
        self.kinks_closed, self.relu_of = kinks_closed, dict(relu_of or {})
        self.balls: list[ScaledBall] = []
        self._biases: dict[int, Box] = {}

    def below(self, value: Fraction) -> int:
        """The greatest multiple that is not above the value."""
        return math.floor(value * self.unit)

    def above(self, value: Fraction) -> int:
        """The least multiple that is not below the value."""
        return math.ceil(value * self.unit)

    def bias(self, node: int) -> Box:
        """The bias of an affine step, rounded down and up."""
        if node not in self._biases:
            bias = self.graph.nodes[node].step.bias
            self._biases[node] = list(map(self.below, bias)), list(map(self.above, bias))
        return self._biases[node]


def common_odd(values: Iterable[Fraction]) -> int:
    """The odd part of the common denominator: with it in the unit, these numbers (decimals of
    regions, mostly) lie on the grid. 1 where it would be too long."""
    denominator = math.lcm(*(value.denominator for value in values))
    odd = denominator >> (denominator & -denominator).bit_length() - 1
    return odd if odd.bit_length() <= LONGEST_ODD else 1
