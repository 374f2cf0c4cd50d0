"""Rows of whole numbers, without their zeros."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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


def changed(
    rows: Sequence[PackedRow], change: Callable[[tuple[int, ...]], tuple[int, ...]]
) -> list[PackedRow]:
    """The rows with changed weights, none of which becomes zero.

    Weights that several rows share, as the windows of a convolution do, are changed once.
    """
    known = {id(weights): weights for _, weights in rows}
    found = {key: change(weights) for key, weights in known.items()}
    return [(positions, found[id(weights)]) for positions, weights in rows]


def magnitudes(rows: Sequence[PackedRow]) -> list[PackedRow]:
    """The rows without signs."""
    return changed(rows, lambda weights: tuple(map(abs, weights)))


def divided(rows: Sequence[PackedRow], divisor: int) -> list[PackedRow]:
    """The rows divided by a number that divides all weights."""
    return changed(rows, lambda weights: tuple([weight // divisor for weight in weights]))


def multiplied(rows: Sequence[PackedRow], factors: Sequence[int]) -> list[PackedRow]:
    """Each row times a whole number of its own."""
    known: dict[tuple[int, int], tuple[int, ...]] = {}
    found = []
    for (positions, weights), factor in zip(rows, factors, strict=True):
        key = id(weights), factor
        if key not in known:  # `rows` keeps the weights alive, so no other ones have their id
            known[key] = _times(weights, factor)
        found.append((positions, known[key]) if factor else EMPTY)
    return found


def _times(weights: tuple[int, ...], factor: int) -> tuple[int, ...]:
    return tuple([weight * factor for weight in weights])


def greatest_divisor(rows: Sequence[PackedRow], start: int) -> int:
    """The greatest number that divides this one and all weights."""
    for weights in {id(weights): weights for _, weights in rows}.values():
        start = math.gcd(start, *weights)
        if start == 1:
            break
    return start


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
