"""Exact points of a region: corners, segments with all their breakpoints, ascents, whole lines.

A segment is cut where any maximum of the network changes hands; its points are those, and one
between every two of them. On a line (one feature that moves) the cells are cut further where any
number that a claim depends on changes its sign, so that the points decide the claim completely.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import isqrt

from tests.soundness.independent.program import Point, on
from tests.soundness.independent.regions import OPS, Region
from tests.soundness.independent.toml import cut
from tests.soundness.independent.world import Seen, World

Measure = Callable[[Seen], Fraction | None]
Signs = Callable[[Seen], list[Fraction]]

SEGMENTS, LOOSE, CORNERS, MOST = 5, 8, 6, 160
QUARTERS = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))


@dataclass
class Battery:
    """What is seen at exact points of a region; `whole` says that they decide the claim.

    `sights` has one entry a side of every point, `kinky` says of a point whether it has several.
    """

    world: World
    region: Region
    rng: random.Random
    sights: list[Seen] = field(default_factory=list)
    cells: set[tuple[tuple[int, int], ...]] = field(default_factory=set)
    whole: bool = False
    _known: dict[Point, list[Seen]] = field(default_factory=dict)

    def see(self, x: Point) -> list[Seen]:
        """The sides of a point, kept if it lies in the region; nothing if it does not."""
        if x in self._known:
            return self._known[x]
        found: list[Seen] = []
        if self.region.contains(x):
            found = self.world.sides(x, self.rng)
            self.sights += found
            if not found[0].state.kinks:
                self.cells.add(tuple(found[0].state.chosen.items()))
        self._known[x] = found
        return found

    def forget(self) -> None:
        """Nothing seen: for another world."""
        self.sights.clear()
        self.cells.clear()
        self._known.clear()

    def kinky(self, seen: Seen) -> bool:
        return len(self._known[seen.state.point]) > 1

    # --- filling ------------------------------------------------------------------------------

    def fill(self) -> None:
        """Reference, corners, random points, and segments between them."""
        region, rng = self.region, self.rng
        ends = [self._inside(x) for x in (self.world.x0, *self._corners())]
        ends += [self._inside(self._random()) for _ in range(LOOSE)]
        known = [x for x in ends if x is not None]
        for x in known:
            self.see(x)
        for _ in range(SEGMENTS if len(known) > 1 else 0):
            a, b = rng.sample(known, 2)
            if region.integers or region.groups:
                b = tuple(v if i in region.moving() else u for i, (u, v) in enumerate(
                    zip(a, b, strict=True)))
            self._segment(a, b)

    def _corners(self) -> Iterator[Point]:
        for k in range(CORNERS):
            yield tuple(self.region.lo if k == 0 else self.region.hi) if k < 2 else tuple(
                self.rng.choice(e) for e in zip(self.region.lo, self.region.hi, strict=True))

    def _random(self) -> Point:
        return tuple(a + (b - a) * Fraction(self.rng.randint(0, 64), 64)
                     for a, b in zip(self.region.lo, self.region.hi, strict=True))

    def _inside(self, x: Point) -> Point | None:
        """A point of the region near x: whole numbers put right, then pulled to the reference."""
        region = self.region
        if region.integers or region.groups:
            options = region.whole_values()
            if not options:
                return None
            chosen = self.rng.choice(options)
            x = tuple(chosen.get(i, v) for i, v in enumerate(x))
        for k in range(6):
            if region.contains(x):
                return x
            centre = self.world.x0
            x = tuple(
                v if i in region.integers or any(i in g for g in region.groups)
                else c + (v - c) * Fraction(3 - min(k, 1), 4) for i, (v, c) in enumerate(
                    zip(x, centre, strict=True)))
            x = tuple(min(max(v, a), b) for v, a, b in zip(x, region.lo, region.hi, strict=True))
        return self._on_rows(x)

    def _on_rows(self, x: Point) -> Point | None:
        """x moved onto an equation of the region, along one feature."""
        for row, op, rhs in self.region.rows:
            if op == "==":
                i = self.rng.choice(list(row))
                rest = sum((c * x[j] for j, c in row.items() if j != i), Fraction(0))
                x = tuple((rhs - rest) / row[i] if j == i else v for j, v in enumerate(x))
        return x if self.region.contains(x) else None

    def _segment(self, a: Point, b: Point) -> None:
        way = [v - u for u, v in zip(a, b, strict=True)]
        places = [Fraction(0), *self.world.program.breaks(a, b, self.rng, 24)[0], Fraction(1)]
        for s, t in pairwise(places):
            self.see(on(a, way, s))
            self.see(on(a, way, cut((s + t) / 2, 12)))
        self.see(b)

    def ascend(self, measure: Measure, rounds: int = 2) -> None:
        """Walk along axes through the best point so far, for a greater measure."""
        for _ in range(rounds):
            if len(self.sights) > MOST:
                return
            rated = [(v, k) for k, s in enumerate(self.sights) if (v := measure(s)) is not None]
            if not rated:
                return
            best = self.sights[max(rated)[1]].state.point
            for i in self.region.moving():
                ends = [tuple(side[i] if j == i else v for j, v in enumerate(best))
                        for side in (self.region.lo, self.region.hi)]
                self._segment(*(self._toward(best, e) for e in ends))

    def _toward(self, inner: Point, outer: Point) -> Point:
        """The outer point, or one on the way to it that the region still has."""
        way = [v - u for u, v in zip(inner, outer, strict=True)]
        t = Fraction(1)
        while t > Fraction(1, 64) and not self.region.contains(on(inner, way, t)):
            t /= 2
        return on(inner, way, t) if self.region.contains(on(inner, way, t)) else inner

    # --- lines --------------------------------------------------------------------------------

    def complete(self, signs: Signs) -> None:
        """See all that matters, if at most one feature moves; else leave `whole` as it is."""
        region, moving = self.region, self.region.moving()
        if len(moving) > 1:
            return
        options = region.whole_values()
        if len(options) > 32:
            return
        self.whole = True
        for chosen in options:
            base = tuple(chosen.get(i, v) for i, v in enumerate(region.lo))
            if not moving:
                self.see(base)
                continue
            ends = line_ends(region, base, moving[0])
            if ends is None:
                self.whole = False
            elif ends[0] <= ends[1]:
                start, end = (tuple(v if i == moving[0] else u for i, u in enumerate(base))
                              for v in ends)
                self._line(start, end, signs)

    def _line(self, start: Point, end: Point, signs: Signs) -> None:
        breaks, finished = self.world.program.breaks(start, end, self.rng, 80)
        self.whole &= finished
        way = [v - u for u, v in zip(start, end, strict=True)]
        self.see(start)
        self.see(end)
        if not any(way):
            return
        places = [Fraction(0), *breaks, Fraction(1)]

        def numbers(t: Fraction) -> list[Fraction]:
            return signs(self.world.sides(on(start, way, t), self.rng)[0])

        for s, t in pairwise(places):
            if len(self.see(on(start, way, (s + t) / 2))) > 1:
                self.whole = False  # the whole line lies on a kink
            inner, exact = split(numbers, s, t)
            self.whole &= exact
            for u, v in pairwise(inner):
                self.see(on(start, way, u))
                self.see(on(start, way, cut_between(u, v)))
            self.see(on(start, way, t))


def cut_between(u: Fraction, v: Fraction) -> Fraction:
    """A short number strictly between two."""
    for digits in (3, 6, 12, 24):
        found = cut((u + v) / 2, digits)
        if u < found < v:
            return found
    return (u + v) / 2


def line_ends(region: Region, base: Point, i: int) -> tuple[Fraction, Fraction] | None:
    """The values that feature i may take beside the other features' values; None if not rational.

    The ends may be in the wrong order: then there are none.
    """
    lo, hi = region.lo[i], region.hi[i]
    for row, op, rhs in region.rows:
        rest = rhs - sum((c * base[j] for j, c in row.items() if j != i), Fraction(0))
        if i not in row:
            if not OPS[op](Fraction(0), rest):
                return Fraction(1), Fraction(0)
            continue
        edge = rest / row[i]
        upper = op == "==" or (op == "<=") == (row[i] > 0)
        lower = op == "==" or (op == ">=") == (row[i] > 0)
        lo, hi = max(lo, edge) if lower else lo, min(hi, edge) if upper else hi
    for norm, indices, centre, radius in region.balls:
        away = [abs(base[j] - c) for j, c in zip(indices, centre, strict=True) if j != i]
        if norm == "l2" and any(away):
            return None
        left = radius - sum(away, Fraction(0))
        if i in indices:
            c = centre[indices.index(i)]
            lo, hi = max(lo, c - left), min(hi, c + left)
        elif left < 0:
            return Fraction(1), Fraction(0)
    return lo, hi


def split(numbers: Callable[[Fraction], list[Fraction]], s: Fraction, t: Fraction
          ) -> tuple[list[Fraction], bool]:
    """s, t and all places between where a number changes its sign; whether these are exact.

    The numbers are polynomials of degree at most 2 between the places where those of degree 1 do.
    """
    columns = list(zip(*(numbers(s + (t - s) * q) for q in QUARTERS), strict=True))
    straight = [a + c == 2 * b for a, b, c in columns]
    roots = {r for (a, _, c), even in zip(columns, straight, strict=True) if even
             for r in _straight_root(a, c, s, t)}
    first = [s, *sorted(roots), t]
    if all(straight) and not roots:
        return first, True
    out, exact = [s], True
    for u, v in pairwise(first):
        inner, fine = _bent(numbers, u, v)
        out += [*sorted(inner), v]
        exact &= fine
    return out, exact


def _straight_root(a: Fraction, c: Fraction, s: Fraction, t: Fraction) -> list[Fraction]:
    """Where the line through a (at a quarter) and c (at three quarters) is zero between s and t."""
    if a == c:
        return []
    at = s + (t - s) * (Fraction(1, 4) + Fraction(1, 2) * a / (a - c))
    return [at] if s < at < t else []


def _bent(numbers: Callable[[Fraction], list[Fraction]], u: Fraction, v: Fraction
          ) -> tuple[set[Fraction], bool]:
    """Zeros between u and v of polynomials of degree 2; False where some are not rational."""
    places = (*QUARTERS, Fraction(5, 8))
    out: set[Fraction] = set()
    exact = True
    for a, b, c, d in zip(*(numbers(u + (v - u) * q) for q in places), strict=True):
        # With p = 4 q - 1, values at p = 0, 1, 2 and 3/2.
        square, line = (a - 2 * b + c) / 2, (4 * b - 3 * a - c) / 2
        if a + line * Fraction(3, 2) + square * Fraction(9, 4) != d:
            exact = False  # no polynomial of degree 2
            continue
        found, fine = _roots(square, line, a)
        inside = [u + (v - u) * (p + 1) / 4 for p in found if -1 < p < 3]
        out.update(inside)
        exact &= fine or not inside
    return out, exact


def _roots(square: Fraction, line: Fraction, const: Fraction) -> tuple[list[Fraction], bool]:
    """Roots, and whether they are exact; others are rounded."""
    if square == 0:
        return ([-const / line], True) if line else ([], True)
    inner = line * line - 4 * square * const
    if inner < 0:
        return [], True
    top, bottom = isqrt(inner.numerator), isqrt(inner.denominator)
    fine = top * top == inner.numerator and bottom * bottom == inner.denominator
    root = Fraction(top, bottom) if fine else cut(
        Fraction(isqrt((inner.numerator << 240) // inner.denominator), 1 << 120), 30)
    return [(-line - root) / (2 * square), (-line + root) / (2 * square)], fine
