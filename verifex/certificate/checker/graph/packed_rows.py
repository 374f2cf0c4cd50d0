"""Rows of integer matrices, packed, and their products."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from operator import mul
from typing import Any

Box = tuple[list[int], list[int]]
"""Least and greatest values, as multiples of the unit of the bounds."""

def packed(row: dict[int, int], width: int) -> tuple[Any, tuple[int, ...]]:
    """(rising positions, or None for all of several; weights)."""
    at = tuple(sorted(row))
    return None if len(at) == width > 1 else at, tuple(row[i] for i in at)


class PackedRows:
    """Packed rows of a matrix; a dense one's columns also as one integer each, a lane per row."""

    def __init__(self, rows: Iterable[Any], width: int) -> None:
        self.rows, self.width = tuple(rows), width
        self.lanes: dict[int, tuple[int, list[int]]] = {}  # by bytes a lane: half a range, columns
        self.most = max((sum(map(abs, weights)) for _, weights in self.rows), default=0)
        filled = 4 * sum(len(weights) for _, weights in self.rows)
        self.dense = len(self.rows) > 1 and filled >= width * len(self.rows)

    def times(self, x: list[int], skip: Box | None = None) -> list[int]:
        """The products of the rows with x; 0 for rows whose `skip` box is [0, 0]."""
        size = 4 + (max(1, *map(abs, x)) * self.most).bit_length() // 32 * 4
        if self.dense and size <= 64:  # lanes of more than that are for nobody's proof
            found = self.wide(x, size)
            return found if skip is None else [v if a or b else 0 for v, a, b in zip(found, *skip)]
        out, fetch = [0] * len(self.rows), x.__getitem__
        for k, (at, weights) in enumerate(self.rows) if any(x) else ():
            if skip is None or skip[0][k] or skip[1][k]:
                out[k] = sum(map(mul, weights, x if at is None else map(fetch, at)))
        return out

    def wide(self, x: list[int], size: int) -> list[int]:
        """All products at once: x_j times column j, summed; no lane reaches half of its range."""
        half, whole = 1 << 8 * size - 1, len(self.rows) * size
        if size not in self.lanes:
            offset = int.from_bytes(half.to_bytes(size, "little") * len(self.rows), "little")
            full = [weights if at is None else map(dict(zip(at, weights)).get, range(self.width))
                    for at, weights in self.rows]
            raw = [b"".join((half + (w or 0)).to_bytes(size, "little") for w in column)
                   for column in zip(*full, strict=True)]
            self.lanes[size] = offset, [int.from_bytes(c, "little") - offset for c in raw]
        offset, columns = self.lanes[size]
        added = sum(map(mul, compress(columns, x), filter(None, x)), offset)
        lanes = added.to_bytes(whole, "little")
        return [int.from_bytes(lanes[k : k + size], "little") - half for k in range(0, whole, size)]
