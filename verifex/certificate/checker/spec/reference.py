"""The reference point x0, and exact values there."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..bounds.at_point import exactly
from ..failures import need
from ..graph.forms import Form
from ..graph.network_graph import NetworkGraph


class ReferencePoint(NamedTuple):
    """A point x0 of exact numbers (none if the spec has no reference) and values there.

    On a kink a value that depends on the gate is refused, unless the spec says `kink = "zero"`,
    which takes the gates on kinks as shut. Values are Fractions; nothing rounds.
    """

    graph: NetworkGraph
    point: Sequence[Fraction]
    kinks_closed: bool

    def values(self, forms: Sequence[Form]) -> list[Fraction]:
        """The exact values of forms at x0."""
        need(self.point, "a reference point is needed")
        node = self.graph.rows(list(forms))
        return exactly(self.graph, node, list(self.point), self.kinks_closed)

    def ranked(self, forms: Sequence[Form], first: int, tie: str = "error") -> list[int]:
        """Positions by falling value at x0, the lower position first where values are equal.

        Refused if the last of the `first` and the next one are equal, since nothing then says
        which of them belongs to the first; unless the spec says `tie = "index"`.
        """
        values = self.values(forms)
        order = sorted(range(len(values)), key=lambda position: (-values[position], position))
        edge = order[first - 1 : first + 1]
        need(tie == "index" or len(edge) < 2 or values[edge[0]] != values[edge[1]],
             "a tie at the reference")
        return order
