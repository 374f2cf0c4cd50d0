"""What whole numbers and one-hot groups say about a box."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

ZERO, ONE = Fraction(0), Fraction(1)


def choose(low: list[Fraction], high: list[Fraction], groups: Sequence[Sequence[int]]) -> bool:
    """Narrow a box by its one-hot groups, in place; False if it holds no point of them.

    In each group exactly one member is 1 and the others are 0. So a member that is at least 1 makes
    the others 0, and where all but one can only be 0, the last is 1. Members of different groups
    are different inputs, so once through the groups is enough.
    """
    return all(_choose_one(low, high, group) for group in groups)


def _choose_one(low: list[Fraction], high: list[Fraction], group: Sequence[int]) -> bool:
    chosen = [member for member in group if low[member] > 0]
    possible = [member for member in group if high[member] >= 1]
    if len(chosen) > 1 or not possible:
        return False
    if not chosen and len(possible) > 1:
        return True
    one = chosen[0] if chosen else possible[0]
    for member in group:
        value = ONE if member == one else ZERO
        low[member], high[member] = max(low[member], value), min(high[member], value)
    return all(low[member] <= high[member] for member in group)
