"""How much of a form's coefficients to bound over a ball, the rest over the box.

A form c.x is split into e.x + (c - e).x. Over the ball |x - centre| <= radius the first part is at
least e.centre - radius * |e|, with the dual norm of e: the greatest |e_i| for l1, the l2 norm for
l2. The second part is bounded over the box. Sound: for *any* e, so nothing rests on the choices
below; they are good ones, and the writer of a certificate relies on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

Coordinate = tuple[int, int, int]
"""The coefficient c of an input, and the least and greatest centre - x over the box."""

MOST_STEPS = 16


def shares(
    power: int, radius: int, left: int, coordinates: list[Coordinate]
) -> Iterator[list[int]]:
    """Shares e to try. `left`: what the nearest point of the box leaves of the radius (of its
    square in the norm l2)."""
    if power == 1:
        yield _clipped_at_level(_level(left, coordinates), coordinates)
    else:
        yield from _clipped_by_slope(radius, coordinates)


def _level(left: int, coordinates: list[Coordinate]) -> int:
    """The |c| at which the radius is used up, when x starts at the nearest point and goes where the
    form falls, along the greatest |c| first; 0 where the radius is enough for all."""
    falling = sorted(coordinates, key=lambda coordinate: -abs(coordinate[0]))
    used = accumulate(
        abs(high if c > 0 else low) - abs(min(max(low, 0), high)) for c, low, high in falling)
    return next(
        (abs(coordinate[0]) for coordinate, total in zip(falling, used, strict=True)
         if total > left), 0)


def _clipped_at_level(level: int, coordinates: list[Coordinate]) -> list[int]:
    """c cut to [-level, level], or to the one end where x cannot pass the centre."""
    return [
        min(max(c, level if low > 0 else -level), -level if high < 0 else level)
        for c, low, high in coordinates
    ]


def _clipped_by_slope(radius: int, coordinates: list[Coordinate]) -> Iterator[list[int]]:
    """c cut to what the box allows where centre - x = c * up / down reaches the ball's rim.

    up / down starts at radius / |c| and is corrected by how much of the radius the cut coordinates
    use, until it repeats.
    """
    up, down = max(radius, 1), math.isqrt(sum(c * c for c, _, _ in coordinates)) or 1
    seen = set[tuple[int, int]]()
    while (up, down) not in seen and len(seen) < MOST_STEPS:
        seen.add((up, down))
        cut = [
            min(max(c, low * down // up), high * down // up) for c, low, high in coordinates]
        yield cut
        free, room = 0, radius**2
        for e, (c, low, high) in zip(cut, coordinates, strict=True):
            if e == c:
                free += e * e
            else:
                room -= (high if e < c else low) ** 2
        up, down = (math.isqrt(room), math.isqrt(free)) if room > 0 else (up, 2 * down)
