"""What a row of a backward pass costs: how many may be bounded together in a fraction of a second
and within the memory."""

from __future__ import annotations

import math
from collections.abc import Iterable

from verifex.ir.graph import Graph
from verifex.ir.linmap import Conv, Dense, LinearMap, Scaled, fan_in
from verifex.ir.ops import Affine

NUMBERS = 1 << 23
"""Rows times node elements in one backward pass: some eight arrays of so many numbers live at once,
half a gigabyte."""

_OPERATIONS = 1 << 30
"""Rows times multiplications in one backward pass: some tenths of a second."""

_ARRAYS = 64
"""Arrays of the numbers of one pass that live at once, at eight bytes each, with room."""


def rows_at_once(graph: Graph, targets: Iterable[int], memory: int | None = None) -> int:
    """How many rows one backward pass from `targets` takes at most, at least 1. MemoryError where
    a single one would not fit into so many bytes."""
    needed = graph.ancestors(targets)
    numbers = sum(graph.nodes[i].size for i in needed)
    operations = sum(
        multiplications(m) for i in needed if isinstance(op := graph.nodes[i].op, Affine)
        for m in op.maps)
    most = NUMBERS
    if memory is not None:
        most = min(most, memory // (8 * _ARRAYS))
        if numbers > most:
            raise MemoryError(
                f"one bound of a network of {numbers} values takes more than {memory >> 20} MiB")
    return max(1, min(most // max(1, numbers), _OPERATIONS // max(1, operations)))


def multiplications(linear_map: LinearMap) -> int:
    """How many products of two numbers one image takes, about."""
    match linear_map:
        case Dense() | Conv():
            return fan_in(linear_map) * math.prod(linear_map.out_shape)
        case Scaled():
            return multiplications(linear_map.inner)
        case _:
            return math.prod(linear_map.out_shape)
