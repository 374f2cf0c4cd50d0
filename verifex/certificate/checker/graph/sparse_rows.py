"""Rows of whole numbers, without their zeros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

PackedRow = tuple[tuple[int, ...] | None, tuple[int, ...]]
"""Rising positions, or None for all of several; the numbers there, none of them zero."""

EMPTY: PackedRow = ((), ())


def packed_row(positions: Sequence[int], weights: Sequence[int], width: int) -> PackedRow:
    """The row of so many columns that has these weights at these rising positions, else zeros."""
    if not all(weights):
        positions, weights = list(compress(positions, weights)), list(filter(None, weights))
    if len(weights) == width > 1:
        return None, tuple(weights)
    return tuple(positions), tuple(weights)


def multiplied(row: PackedRow, factor: int) -> PackedRow:
    """A row times a whole number."""
    if factor == 1:
        return row
    positions, weights = row
    return (positions, tuple([weight * factor for weight in weights])) if factor else EMPTY


def divided(row: PackedRow, divisor: int) -> PackedRow:
    """A row divided by a number that divides all its weights."""
    positions, weights = row
    return positions, tuple([weight // divisor for weight in weights])


def entries(row: PackedRow) -> Iterator[tuple[int, int]]:
    """Position and weight of what is not zero."""
    positions, weights = row
    return zip(range(len(weights)) if positions is None else positions, weights)


def is_identity(rows: Sequence[PackedRow], width: int) -> bool:
    """Whether each row has a 1 in its own place and nothing else."""
    return len(rows) == width and all(
        row == ((place,), (1,)) for place, row in enumerate(rows))


def columns_of(rows: Sequence[PackedRow], width: int) -> list[PackedRow]:
    """The columns of a matrix given by its rows: the rows of its transpose."""
    if all(positions is None for positions, _ in rows) and len(rows) > 1:
        return [(None, column) for column in zip(*[weights for _, weights in rows], strict=True)]
    places: list[list[int]] = [[] for _ in range(width)]
    values: list[list[int]] = [[] for _ in range(width)]
    for number, row in enumerate(rows):
        for position, weight in entries(row):
            places[position].append(number)
            values[position].append(weight)
    return [packed_row(at, column, len(rows)) for at, column in zip(places, values, strict=True)]
