"""Bounds of a form over a ball."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any


def shares(power: int, radius: int, left: int, rows: Any) -> Iterator[list[int]]:
    """What of a form's coefficients to bound over a ball: any shares are sound, some of these good.

    `rows`: coefficient c, and the ends of centre - x over the box. `left`: what the nearest point
    leaves of the radius (of its square in the norm l2).
    """
    if power == 1:
        order = sorted(rows, key=lambda row: -abs(row[0]))
        used = accumulate(abs(b if c > 0 else a) - abs(min(max(a, 0), b)) for c, a, b in order)
        level = next((abs(row[0]) for row, v in zip(order, used) if v > left), 0)
        yield [min(max(c, level if a > 0 else -level), -level if b < 0 else level)
               for c, a, b in rows]
    up, down, seen = max(radius, 1), math.isqrt(sum(c * c for c, _, _ in rows)) or 1, set[Any]()
    while power == 2 and (up, down) not in seen and len(seen) < 16:
        seen.add((up, down))  # centre - x = c * up / down, cut to the box, is to reach the rim
        es = [min(max(c, a * down // up), b * down // up) for c, a, b in rows]
        yield es
        free = sum(e * e for e, (c, _, _) in zip(es, rows) if e == c)
        room = radius**2 - sum((b if e < c else a) ** 2 for e, (c, a, b) in zip(es, rows) if e != c)
        up, down = (math.isqrt(room), math.isqrt(free)) if room > 0 else (up, 2 * down)
