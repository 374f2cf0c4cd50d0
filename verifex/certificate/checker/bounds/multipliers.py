"""The free choices of a bound: which plane of each element, and how much of each constraint.

A certificate states them. Any of them are sound, so all that is checked is their range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..graph.network_graph import PRODUCT

ALPHA, TIE, BELOW, ABOVE = "alpha", "tie", "below", "above"
NOT_GIVEN = -1


class Choice(NamedTuple):
    """Which plane of each element of a node is taken, by one of the kinds above."""

    kind: str
    node: int


Weighted = tuple[int, Fraction]
"""The number of a constraint, and its multiplier >= 0."""


class Multipliers:
    """`fractions` by their kind and node: one numerator an element, over 2^bits; `NOT_GIVEN` stands
    for the default.

    `splits`: multipliers of splits of the path to the domain; `rows`: of the region's rows.
    """

    def __init__(
        self, bits: int = 7, fractions: Mapping[Choice, Sequence[int]] | None = None,
        splits: Sequence[Weighted] = (), rows: Sequence[Weighted] = (),
    ) -> None:
        self.bits, self.fractions, self.splits, self.rows = bits, fractions or {}, splits, rows

    @property
    def whole(self) -> int:
        """The numerator that stands for 1."""
        return 1 << self.bits

    def of(self, kind: str, node: int) -> Sequence[int] | None:
        """The numerators of a node, if any are given."""
        return self.fractions.get(Choice(kind, node))


def steeper(low: int | Fraction, high: int | Fraction) -> bool:
    """The default of a relu's slope: 1 if more of [low, high] is above 0 than below, else 0.

    "More" by unequal weights, so that an interval that is symmetric about 0 is not on the edge.
    """
    return 256 * high > -255 * low


def chord_mix(low: int | Fraction, high: int | Fraction, up: bool, whole: int) -> int:
    """The default of a gate's mix, over `whole`: that of the chord of min(0, v), or of max(0, v) if
    `up`, rounded down and cut to [0, 1]."""
    if low == high:
        return whole
    return min(whole, max(0, whole * (high if up else -low) // (high - low)))


def default_mix(
    kind: str, low: int | Fraction, high: int | Fraction, up: bool, whole: int
) -> int:
    """The default mix of a gate or a product whose second argument lies in [low, high]."""
    return whole // 2 if kind == PRODUCT else chord_mix(low, high, up, whole)
