"""Rows of integer matrices and their products with vectors.

`PackedRows.plain_product` says what a product is; `product` is the same, and faster for dense
matrices. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from operator import mul

Box = tuple[list[int], list[int]]
"""Least and greatest values, as multiples of the unit of the bounds."""

Row = tuple[tuple[int, ...] | None, tuple[int, ...]]
"""Positions, rising, and the weights there; None stands for all of several positions."""

WIDEST_LANE = 64
"""Bytes. Numbers that need wider lanes are multiplied one by one."""


def packed(row: dict[int, int], width: int) -> Row:
    """A row of a matrix of so many columns, from its weights by position."""
    positions = tuple(sorted(row))
    weights = tuple(row[position] for position in positions)
    return (None if len(positions) == width > 1 else positions), weights


class PackedRows:
    """The rows of a matrix of integers with `width` columns."""

    def __init__(self, rows: Iterable[Row], width: int) -> None:
        self.rows, self.width = tuple(rows), width
        self.largest_sum = max((sum(map(abs, weights)) for _, weights in self.rows), default=0)
        filled = sum(len(weights) for _, weights in self.rows)
        self.dense = len(self.rows) > 1 and 4 * filled >= width * len(self.rows)
        # By bytes a lane: what makes all lanes nonnegative, and every column as one long integer.
        self._lanes: dict[int, tuple[int, list[int]]] = {}

    def plain_product(self, vector: list[int]) -> list[int]:
        """The product of every row with the vector."""
        found = []
        for positions, weights in self.rows:
            values = vector if positions is None else [vector[p] for p in positions]
            found.append(sum(map(mul, weights, values)))
        return found

    def product(self, vector: list[int], skip: Box | None = None) -> list[int]:
        """As `plain_product`; 0 for rows whose box in `skip` is [0, 0]."""
        greatest = max(1, *map(abs, vector)) if vector else 1
        lane = 4 + (greatest * self.largest_sum).bit_length() // 32 * 4
        if self.dense and lane <= WIDEST_LANE:
            found = self._product_in_lanes(vector, lane)
            if skip is None:
                return found
            return [v if low or high else 0 for v, low, high in zip(found, *skip, strict=True)]
        found = [0] * len(self.rows)
        if not any(vector):
            return found
        fetch = vector.__getitem__
        for k, (positions, weights) in enumerate(self.rows):
            if skip is None or skip[0][k] or skip[1][k]:
                values = vector if positions is None else map(fetch, positions)
                found[k] = sum(map(mul, weights, values))
        return found

    def _product_in_lanes(self, vector: list[int], lane: int) -> list[int]:
        """All products at once: column j, all its rows side by side in one long integer with
        `lane` bytes for each, times element j, summed over j.

        Sound: a product is at most largest |element| * `largest_sum`, which `product` has made less
        than half of what a lane holds. With half a lane's range added, no lane is negative or runs
        over into the next, so each can be read by itself.
        """
        half, size = 1 << 8 * lane - 1, len(self.rows) * lane
        if lane not in self._lanes:
            self._lanes[lane] = self._columns_in_lanes(lane)
        offset, columns = self._lanes[lane]
        # Elements that are zero, and their columns, are left out.
        total = sum(map(mul, compress(columns, vector), filter(None, vector)), offset)
        lanes = total.to_bytes(size, "little")
        return [
            int.from_bytes(lanes[k : k + lane], "little") - half for k in range(0, size, lane)
        ]

    def _columns_in_lanes(self, lane: int) -> tuple[int, list[int]]:
        """Half a lane's range in every lane, and each column with its rows in lanes."""
        half = 1 << 8 * lane - 1
        offset = int.from_bytes(half.to_bytes(lane, "little") * len(self.rows), "little")
        columns = [bytearray() for _ in range(self.width)]
        for positions, weights in self.rows:
            row = list(weights)
            if positions is not None:
                row = [0] * self.width
                for position, weight in zip(positions, weights, strict=True):
                    row[position] = weight
            for column, weight in zip(columns, row, strict=True):
                column += (half + weight).to_bytes(lane, "little")
        return offset, [int.from_bytes(column, "little") - offset for column in columns]
