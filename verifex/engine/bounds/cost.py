"""What a row of a backward pass costs: how many may be bounded together in a fraction of a second
and within the memory."""

from __future__ import annotations

from collections.abc import Iterable

from verifex.ir.graph import Graph
from verifex.semantics.support.cost import cost

NUMBERS = 1 << 23
"""Rows times node elements in one backward pass: some eight arrays of so many numbers live at once,
half a gigabyte."""

_ARRAYS = 64
"""Arrays of the numbers of one pass that live at once, at eight bytes each, with room."""


def rows_at_once(graph: Graph, targets: Iterable[int], memory: int | None = None) -> int:
    """How many rows one backward pass from `targets` takes at most, at least 1. MemoryError where
    a single one would not fit into so many bytes."""
    each = cost(graph, targets)
    most = NUMBERS if memory is None else min(NUMBERS, memory // (8 * _ARRAYS))
    if memory is not None and each.numbers > most:
        raise MemoryError(
            f"a bound of a network of {each.numbers} values takes more than {memory >> 20} MiB")
    return max(1, min(most // max(1, each.numbers), each.together))
