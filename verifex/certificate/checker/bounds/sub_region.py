"""Parts of the region and the bounds that hold there."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Iterator
from fractions import Fraction
from itertools import repeat
from operator import add, floordiv, gt, mul, sub
from typing import Any

from ..failures import Empty
from ..graph.forms import ZERO
from ..graph.packed_rows import Box
from .balls import shares

F, E = 64, 52  # coefficients are multiples of 2^-F, bounds of 1 / (Q 2^E) with a short odd Q
Scale = namedtuple("Scale", "graph unit odd bits shut relu_of biases balls")  # see the bounds


class SubRegion:
    """A part of the region: a box cut by facts and by signs of units; bounds are made on demand."""

    def __init__(self, scale: Scale, box: Box, parent: SubRegion | None = None) -> None:
        self.scale, self.graph, self.box = scale, scale.graph, box
        self.path: tuple[SubRegion, ...] = (*parent.path, self) if parent else (self,)
        self.cache: dict[int, Box] = {}
        self.homes: dict[int, SubRegion] = {}  # sound if old: a domain above holds all of this one
        self.facts: dict[int, dict[tuple[int, int], int]] = {}  # node, (element, sign), bound
        self.units: tuple[tuple[int, int, int], ...] = parent.units if parent else ()
        self.pending: list[dict[str, Any]] = []
        self.dead: set[int] = set()  # atoms that are false here, and -1 if there is no point
        self.joint: list[set[int]] = []  # atoms not all of which hold here
        self.spent = 0

    def split(self, n: int, i: int, sign: int, at: Fraction | None = None) -> SubRegion:
        """The part with sign * element >= sign * at; without `at`, where a unit has this sign."""
        child = SubRegion(self.scale, self.box, self)
        child.units += () if at is not None else ((n, i, sign),)
        child.learn(n, i, sign, math.floor(sign * (at or ZERO) * self.scale.unit))
        return child

    def learn(self, n: int, i: int, sign: int, bound: int) -> None:
        """Take the fact that sign * element >= bound."""
        known = self.facts.setdefault(n, {})
        known[i, sign] = max(bound, known.get((i, sign), bound))
        nodes = self.graph.nodes
        self.homes = {}
        self.cache = {m: box for m, box in self.cache.items() if n not in nodes[m].cone}

    def home(self, n: int) -> SubRegion:
        """The topmost domain with the same bounds of n."""
        if n not in self.homes:
            cone = self.scale.graph.nodes[n].cone
            own = (d for d in self.path[:0:-1] if not cone.isdisjoint(d.facts))
            self.homes[n] = next(own, self.path[0])
        return self.homes[n]

    def get(self, n: int) -> Box:
        """Bounds of a node; raises Empty where they contradict each other."""
        d = self.home(n)
        if n not in d.cache:
            for m in sorted(self.graph.nodes[n].cone):
                h = self.home(m)
                if m not in h.cache:
                    h.cache[m] = h.refined(m, *h.compute(m))
        return d.cache[n]

    def refined(self, n: int, lo: list[int], hi: list[int]) -> Box:
        """Bounds cut by the facts of this domain."""
        facts = [f for d in self.path for f in d.facts.get(n, {}).items()]
        lo, hi = (list(lo), list(hi)) if facts else (lo, hi)
        for (i, sign), bound in facts:
            lo[i] = max(lo[i], bound) if sign > 0 else lo[i]
            hi[i] = min(hi[i], -bound) if sign < 0 else hi[i]
        if any(map(gt, lo, hi)):
            self.dead.add(-1)
            raise Empty
        return lo, hi

    def compute(self, n: int) -> Box:
        """Bounds of a node from those of its arguments."""
        (kind, args, size, data, _), unit = self.graph.nodes[n], self.scale.unit
        if kind == "I":
            return self.box[0][data : data + size], self.box[1][data : data + size]
        boxes = [self.home(a).cache[a] for a in args]
        if kind == "A":
            parts, den, _ = data
            mid, rad = [0] * size, [0] * size  # twice centre and radius, times den
            for (_, rows, sizes, _), (lo, hi) in zip(parts, boxes, strict=True):
                mid = list(map(add, mid, rows.times(list(map(add, lo, hi)))))
                rad = list(map(add, rad, sizes.times(list(map(sub, hi, lo)))))
            low, high = self.bias(n)
            return ([b + (c - r) // (2 * den) for b, c, r in zip(low, mid, rad, strict=True)],
                    [b - (-c - r) // (2 * den) for b, c, r in zip(high, mid, rad, strict=True)])
        (lo, hi), (low, high) = boxes[0], boxes[-1]
        if kind == "R":
            return [max(v, 0) for v in lo], [max(v, 0) for v in hi]
        if kind == "S":
            signs, least = {i: s for z, i, s in self.units if z == args[0]}, int(self.scale.shut)
            return ([unit * (v > 0 or signs.get(i, 0) > 0) for i, v in enumerate(lo)],
                    [unit * (v >= least and signs.get(i, 0) >= 0) for i, v in enumerate(hi)])
        ends = [sorted((a * c, a * d, b * c, b * d)) for a, b, c, d in zip(lo, hi, low, high)]
        floors = [max(0, e[0]) if args[0] == args[1] else e[0] for e in ends]
        return [v // unit for v in floors], [-(-e[-1] // unit) for e in ends]

    def bias(self, n: int) -> Box:
        known: dict[int, Box] = self.scale.biases
        if n not in known:
            scaled = [b * self.scale.unit for b in self.graph.nodes[n].data[2]]
            known[n] = list(map(math.floor, scaled)), list(map(math.ceil, scaled))
        return known[n]

    def lower(self, terms: list[tuple[int, int, int]], param: dict[Any, bytes]) -> int:
        """A lower bound of terms (node, element, coefficient in 2^-F) by backward substitution.

        It is in 2^-F / unit; any multipliers are sound.
        """
        coefs, const = dict[int, list[int]](), 0
        for n, i, c in terms:
            coefs.setdefault(n, [0] * self.graph.nodes[n].size)[i] += c
        while computed := [n for n in coefs if self.graph.nodes[n].kind != "I"]:
            n, self.spent = max(computed), 0
            for m, values in self.passed(n, coefs.pop(n), param):
                coefs[m] = list(map(add, coefs[m], values)) if m in coefs else values
            const += self.spent
        return const + self.least(coefs)

    def least(self, coefs: dict[int, list[int]]) -> int:
        """A lower bound of a form of the inputs over the box, or over what a ball leaves of it."""
        balls, best = self.scale.balls, 0
        boxes = {n: self.get(n) for n in {*coefs, *(n for _, _, at in balls for n, _ in at)}}
        for power, radius, centre in balls:
            rows = [(coefs[n][i] if n in coefs else 0, x - boxes[n][1][i], x - boxes[n][0][i])
                    for (n, i), x in centre.items()]
            left = radius**power - sum(abs(min(max(a, 0), b)) ** power for _, a, b in rows)
            if left < 0:
                self.dead.add(-1)
                raise Empty
            for es in shares(power, radius, left, rows):
                # Sound: e (centre - x) is at most radius times the dual norm of e on the ball.
                size = max(map(abs, es)) if power == 1 else 1 + math.isqrt(sum(e * e for e in es))
                best = max(best, sum(max(c * a, c * b) - max((c - e) * a, (c - e) * b)
                                     for e, (c, a, b) in zip(es, rows)) - radius * size)
        return best + sum(v * (lo if v > 0 else hi) for n, c in coefs.items()
                          for v, lo, hi in zip(c, *boxes[n]) if v)

    def passed(self, n: int, c: list[int], param: Any) -> Iterator[tuple[int, list[int]]]:
        """What a plane below c * node passes on to its arguments; `spent` takes its constant."""
        (kind, args, _, data, _), relu_of = self.graph.nodes[n], self.scale.relu_of
        unit, odd, bits = self.scale.unit, self.scale.odd, self.scale.bits

        def fraction(key: str, i: int, default: int) -> int:
            found = param.get((key, n), param.get(({"H": "G", "N": "M"}.get(key, key), n)))
            return default if found is None else found[i] if i < len(found) else 0

        def divided(value: int, by: int, least: int) -> int:
            # Sound: v x >= floor(v) x + min(0, x's lower bound), the remainder being in [0, 1).
            self.spent += min(0, least) if value % by else 0
            return value // by

        if kind == "A":
            lo, hi = self.bias(n)
            # Sound: the upper end of a rounded bias is at most 1 more than the lower one.
            rest = (v for v, a, b in zip(c, lo, hi) if v < 0 and a != b) if lo != hi else ()
            self.spent += sum(map(mul, c, lo)) + sum(rest)
            for a, _, _, columns in data[0]:
                lo, hi = self.get(a)
                found = columns.times(c, (lo, hi))
                if min(lo) < 0:
                    self.spent += sum(b for v, b in zip(found, lo, strict=True)
                                      if b < 0 and v % data[1])
                yield a, list(map(floordiv, found, repeat(data[1])))
            return
        (lo, hi), (low, high) = self.get(args[0]), self.get(args[-1])
        off, on = self.get(n)
        other, back = [0] * len(c), [v if kind == "R" and b > 0 else 0 for v, b in zip(c, hi)]
        for i in [i for i, v in enumerate(c) if v and (kind != "R" or lo[i] < 0 < hi[i])]:
            v, a, b = c[i], lo[i], hi[i]
            if kind == "R" and v < 0:
                # Sound: above the chord's ends, a plane is above the convex R between them.
                k = -v * b // (b - a)
                back[i] = -k
                self.spent -= max(-k * a, (-v - k) * b)
            elif kind == "R":
                back[i] = v * fraction("R", i, 128 * (b > -a)) >> 7
            elif kind == "S":
                self.spent += v * unit if off[i] or (on[i] and v < 0) else 0
                if not off[i] and on[i] and (b > 0 if v > 0 else a < 0):
                    # Sound: rounding a tie down weakens it, since y >= 0 and y >= z.
                    k = abs(v) * fraction("S", i, 0) * unit // (128 * (b if v > 0 else -a))
                    tied = relu_of.get(args[0], n) < n
                    other[i] = k if tied else 0
                    back[i] = -k if v < 0 else 0 if tied else k
            elif kind == "M" and args[0] == args[1]:
                p, q, mix = a // odd, -(-b // odd), fraction("M", i, 64)
                t = (p * (128 - mix) + q * mix) // 128
                slope, cross = (2 * t, t * t) if v > 0 else (p + q, p * q)
                back[i] = divided(v * slope, 1 << bits, a)
                self.spent += -v * cross * odd >> bits
            elif kind in "GM" and (a == b or low[i] == high[i]):
                other[i] = divided(v * a, unit, low[i]) if a == b else 0
                back[i] = 0 if a == b else divided(v * low[i], unit, a)
            elif kind in "GM":
                # Sound: each of the two planes is below v times the product, so any mix is.
                p, q, r, s = a // odd, -(-b // odd), low[i] // odd, -(-high[i] // odd)
                chord = min(128, max(0, 128 * (s if v > 0 else -r) // (s - r)))
                mix = fraction("GMHN"[2 * (v < 0) + (kind == "M")], i, 64 if kind == "M" else chord)
                first = v * (128 - mix if kind == "G" and v < 0 else mix) // 128
                p, q = (p, q) if v > 0 else (q, p)
                other[i] = divided(first * p + (v - first) * q, 1 << bits, low[i])
                back[i] = divided(first * r + (v - first) * s, 1 << bits, a)
                self.spent += -(first * p * r + (v - first) * q * s) * odd >> bits
        yield args[0], back
        if kind == "S":
            yield relu_of.get(args[0], args[0]), other
        elif len(args) > 1 and args[0] != args[1]:
            yield args[1], other
