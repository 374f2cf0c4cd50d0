"""Regions: what a spec's `[region]` says, and whether an exact point lies in it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.soundness.independent.program import Point
from tests.soundness.independent.shares import draw
from tests.soundness.independent.toml import number, numbers, text

OPS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b,
}


@dataclass
class Region:
    """A box, cut by linear rows and balls, with whole-numbered features and one-hot groups."""

    lo: list[Fraction]
    hi: list[Fraction]
    rows: list[tuple[dict[int, Fraction], str, Fraction]] = field(default_factory=list)
    balls: list[tuple[str, tuple[int, ...], Point, Fraction]] = field(default_factory=list)
    integers: set[int] = field(default_factory=set)
    groups: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.lo)

    def contains(self, x: Sequence[Fraction]) -> bool:
        return (
            all(a <= v <= b for v, a, b in zip(x, self.lo, self.hi, strict=True))
            and all(x[i].denominator == 1 for i in self.integers)
            and all(sorted(x[i] for i in g) == [0] * (len(g) - 1) + [1] for g in self.groups)
            and all(OPS[op](sum((c * x[i] for i, c in row.items()), Fraction(0)), rhs)
                    for row, op, rhs in self.rows)
            and all(_in_ball(x, ball) for ball in self.balls)
        )

    def moving(self) -> list[int]:
        """Features that may take more than one value and are not whole numbers."""
        whole = self.integers.union(*map(set, self.groups))
        return [i for i in range(self.size) if self.lo[i] < self.hi[i] and i not in whole]

    def whole_values(self) -> list[dict[int, Fraction]]:
        """All assignments of the features that take whole numbers."""
        out: list[dict[int, Fraction]] = [{}]
        grouped = {i for g in self.groups for i in g}
        for i in sorted(self.integers - grouped):
            options = range(math.ceil(self.lo[i]), math.floor(self.hi[i]) + 1)
            out = [{**one, i: Fraction(v)} for one in out for v in options]
        for g in self.groups:
            out = [{**one, **{i: Fraction(int(i == hot)) for i in g}} for one in out for hot in g]
        return out


def _in_ball(x: Sequence[Fraction], ball: tuple[str, tuple[int, ...], Point, Fraction]) -> bool:
    norm, indices, centre, radius = ball
    away = [abs(x[i] - c) for i, c in zip(indices, centre, strict=True)]
    if norm == "l1":
        return sum(away, Fraction(0)) <= radius
    return sum((a * a for a in away), Fraction(0)) <= radius * radius


class RegionMaker:
    """Draws a region around a reference point, with its lines in a spec."""

    def __init__(
        self, rng: random.Random, x0: Point, spell: Callable[[int], str], cut: str
    ) -> None:
        self.rng, self.x0, self.spell, self.cut = rng, x0, spell, cut
        self.n = len(x0)
        self.lines: list[str] = []
        self.lo: list[Fraction | None] = [None] * self.n
        self.hi: list[Fraction | None] = [None] * self.n

    def make(self) -> Region:
        rng, n = self.rng, self.n
        free = list(range(n))
        if draw(rng, "free") == "one" and n > 1:
            free = [rng.randrange(n)]
        elif self.cut == "freeze" and n > 1:
            free = sorted(rng.sample(free, rng.randint(1, n - 1)))
        balls = self._main(free)
        if self.cut == "clip":
            self._clip()
        region = Region([], [], balls=balls)
        if self.cut == "integer":
            self._integers(region)
        elif self.cut == "one_hot":
            self._group(region)
        region.lo, region.hi = [v or Fraction(0) for v in self.lo], [v or Fraction(0)
                                                                    for v in self.hi]
        if self.cut == "linear":
            self._linear(region)
        return region

    def _within(self, i: int, lo: Fraction, hi: Fraction) -> None:
        a, b = self.lo[i], self.hi[i]
        self.lo[i], self.hi[i] = lo if a is None else max(a, lo), hi if b is None else min(b, hi)

    def _names(self, features: Sequence[int]) -> str:
        return f"[{', '.join(self.spell(i) for i in features)}]"

    def _main(self, free: Sequence[int]) -> list[tuple[str, tuple[int, ...], Point, Fraction]]:
        rng, n, x0 = self.rng, self.n, self.x0
        kind, r = draw(rng, "region"), Fraction(draw(rng, "radius"))
        if self.cut == "one_hot":
            kind, free = "box", range(n)
        held = [i for i in range(n) if i not in free]
        by_table = bool(held) and kind == "radii"
        if held and not by_table:
            key, named = rng.choice((("freeze", held), ("only", list(free))))
            self.lines.append(f"{key} = {self._names(named)}")
        balls = []
        if kind == "linf":
            self.lines.append(f"linf = {number(r)}")
            self._radii([r] * n)
        elif kind == "radii":
            each = [r * Fraction(rng.choice((0, 1, 1, 2, 4)), 2) for _ in range(n)]
            if by_table or rng.random() < 0.5:
                table = {i: each[i] for i in free}
                each = [table.get(i, Fraction(0)) for i in range(n)]
                inner = ", ".join(f"{self._key(i)} = {number(v)}" for i, v in table.items())
                self.lines.append(f"linf = {{ {inner} }}")
            else:
                self.lines.append(f"linf = {numbers(each)}")
            self._radii(each)
        elif kind == "box":
            ends = [(v - r * Fraction(rng.randint(0, 4), 4), v + r * Fraction(rng.randint(0, 4), 4))
                    for v in x0]
            if self.cut == "one_hot":
                ends = [(min(a, Fraction(0)), max(b, Fraction(1))) for a, b in ends]
            lo, hi = zip(*ends, strict=True)
            self.lines.append(f"box = [{numbers(lo)}, {numbers(hi)}]" if rng.random() < 0.5 else
                              f"box = {{ lo = {numbers(lo)}, hi = {numbers(hi)} }}")
            for i, (a, b) in enumerate(ends):
                self._within(i, a, b)
        else:
            self.lines.append(f"{kind} = {number(r)}")
            balls.append((kind, tuple(free), tuple(x0[i] for i in free), r))
            self._radii([r] * n)
        for i in held:
            self._within(i, x0[i], x0[i])
        return balls

    def _key(self, i: int) -> str:
        """A feature as the key of a table, which is a name always."""
        while not (spelled := self.spell(i)).startswith('"'):
            pass
        return spelled

    def _radii(self, each: Sequence[Fraction]) -> None:
        for i, (v, r) in enumerate(zip(self.x0, each, strict=True)):
            self._within(i, v - r, v + r)

    def _clip(self) -> None:
        rng = self.rng
        low = min(self.x0) - Fraction(rng.randint(0, 4), 16)
        high = max(self.x0) + Fraction(rng.randint(0, 4), 16)
        self.lines.append(f"clip = [{number(low)}, {number(high)}]")
        for i in range(self.n):
            self._within(i, low, high)

    def _integers(self, region: Region) -> None:
        fit = [i for i in range(self.n)
               if math.ceil(self.lo[i] or 0) <= math.floor(self.hi[i] or 0)]
        if not fit:
            return
        picked = self.rng.sample(fit, self.rng.randint(1, len(fit)))
        self.lines.append(f"integer = {self._names(picked)}")
        region.integers = set(picked)
        for i in picked:
            self._within(i, Fraction(math.ceil(self.lo[i] or 0)),
                         Fraction(math.floor(self.hi[i] or 0)))

    def _group(self, region: Region) -> None:
        if self.n < 2:
            return
        group = tuple(sorted(self.rng.sample(range(self.n), self.rng.randint(2, min(3, self.n)))))
        self.lines.append(f"one_hot = [{self._names(group)}]")
        region.groups = [group]
        for i in group:
            self._within(i, Fraction(0), Fraction(1))

    def _linear(self, region: Region) -> None:
        rng = self.rng
        row = {i: Fraction(rng.choice((-3, -2, -1, 1, 2, 3)), rng.choice((1, 1, 2)))
               for i in rng.sample(range(self.n), rng.randint(1, self.n))}
        op = rng.choice(("<=", "<=", ">=", ">=", "=="))
        rhs = sum((c * self.x0[i] for i, c in row.items()), Fraction(0))
        slack = Fraction(rng.choice((0, 1, 2, 4, -1)), 16)
        rhs += {"<=": slack, ">=": -slack, "==": Fraction(0)}[op]
        ends = [sum((c * (side if c > 0 else other)[i] for i, c in row.items()), Fraction(0))
                for side, other in ((region.lo, region.hi), (region.hi, region.lo))]
        if not (ends[0] <= rhs if op == "<=" else ends[1] >= rhs if op == ">=" else
                ends[0] <= rhs <= ends[1]):
            return
        whole = math.lcm(rhs.denominator, *(c.denominator for c in row.values()))
        terms = " + ".join(f"{whole * c}*{self._named(i)}" for i, c in row.items())
        self.lines.append(f"linear = [{text(f'{terms} {op} {whole * rhs}')}]")
        region.rows.append((row, op, rhs))

    def _named(self, i: int) -> str:
        """A feature in a linear constraint."""
        spelled = self._key(i)[1:-1]
        return spelled if "[" in spelled or spelled.isidentifier() else f'x["{spelled}"]'
