"""A network as scalars: sums, and maxima or minima of earlier scalars; exact values and gradients.

Everything piecewise linear is made of these two. Values and gradients (forward mode) are computed
together in whole numbers: every scalar has a scale of its own that depends on the weights alone,
and the denominator of the point is common to all.

On a kink (two candidates of a maximum are equal and their gradients differ) the gradient is that of
a *side*: a frame of directions decides, lexicographically, as if the point were moved along the
first by an infinitesimal, along the second by its square, and so on. A frame that spans the space
always leads into one full-dimensional cell, so that a side is a limit of gradients that exist.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import lcm

Point = tuple[Fraction, ...]
Frame = tuple[tuple[int, ...], ...]
"""Directions, whole numbers, that span the space."""

MAX_SIDES = 24


@dataclass(frozen=True)
class Sum:
    """const + the sum of factor * element."""

    terms: tuple[tuple[int, Fraction], ...]
    const: Fraction


@dataclass(frozen=True)
class Extreme:
    """The largest of some elements, or with `least` the smallest.

    `shut` is the candidate that stands where a gate on its kink is taken as shut; None where the
    language does not say which that is.
    """

    of: tuple[int, ...]
    least: bool = False
    shut: int | None = None


@dataclass(frozen=True)
class State:
    """All elements at a point, on one side of every kink that it lies on.

    Element e is `values[e] / (scale * scales[e])` and its gradient `slopes[e] / scales[e]`.
    """

    point: Point
    scales: Sequence[int]
    scale: int
    values: list[int]
    slopes: list[list[int]]
    chosen: dict[int, int]
    kinks: tuple[int, ...]

    def value(self, e: int) -> Fraction:
        return Fraction(self.values[e], self.scale * self.scales[e])

    def slope(self, e: int) -> tuple[Fraction, ...]:
        return tuple(Fraction(g, self.scales[e]) for g in self.slopes[e])


@dataclass
class Program:
    """`inputs` free elements, then the steps in order."""

    inputs: int
    steps: list[Sum | Extreme] = field(default_factory=list)

    def add(self, step: Sum | Extreme) -> int:
        """The number of the new element."""
        self.__dict__.pop("_plan", None)
        self.steps.append(step)
        return self.inputs + len(self.steps) - 1

    def merged(self, other: Program, where: Sequence[int | None]) -> tuple[
            Program, Callable[[int], int], Callable[[int], int]]:
        """Both programs as one, and where the elements of each are in it.

        `where` says for every input of the other which input of ours it is; None for one of its
        own.
        """
        fresh = sum(w is None for w in where)
        both = Program(self.inputs + fresh)
        place, following = dict[int, int](), self.inputs
        for j, w in enumerate(where):
            place[j] = following if w is None else w
            following += w is None

        def mine(e: int) -> int:
            return e if e < self.inputs else e + fresh

        def theirs(e: int) -> int:
            return place[e] if e < other.inputs else (
                e - other.inputs + both.inputs + len(self.steps))

        for program, moved in ((self, mine), (other, theirs)):
            for step in program.steps:
                if isinstance(step, Sum):
                    both.add(Sum(tuple((moved(e), f) for e, f in step.terms), step.const))
                else:
                    both.add(Extreme(tuple(map(moved, step.of)), step.least, step.shut))
        return both, mine, theirs

    @cached_property
    def _plan(self) -> tuple[list[int], list[list[tuple[int, int]]], list[int]]:
        """Scales of all elements; whole factors and whole constants of all steps."""
        scales, factors, consts = [1] * self.inputs, [], []
        for step in self.steps:
            if isinstance(step, Sum):
                scale = lcm(step.const.denominator,
                            *(f.denominator * scales[e] for e, f in step.terms))
                factors.append([(e, int(f * scale / scales[e])) for e, f in step.terms])
                consts.append(int(step.const * scale))
            else:
                scale = lcm(*(scales[e] for e in step.of))
                factors.append([(e, scale // scales[e]) for e in step.of])
                consts.append(0)
            scales.append(scale)
        return scales, factors, consts

    def at(self, point: Point, frame: Frame | None = None, shut: bool = False) -> State:
        """All elements at a point. Without a frame the side of the first coordinates is taken;
        `shut` takes every gate on its kink as shut instead."""
        scales, factors, consts = self._plan
        scale = lcm(*(v.denominator for v in point))
        values = [int(v * scale) for v in point]
        n = self.inputs
        slopes = [[int(i == j) for j in range(n)] for i in range(n)]
        frame = frame or tuple(tuple(int(i == j) for j in range(n)) for i in range(n))
        chosen, kinks = {}, []
        for k, step in enumerate(self.steps):
            row = factors[k]
            if isinstance(step, Sum):
                values.append(sum(m * values[e] for e, m in row) + consts[k] * scale)
                slopes.append([sum(m * slopes[e][j] for e, m in row) for j in range(n)])
                continue
            sign = -1 if step.least else 1
            best = max(sign * m * values[e] for e, m in row)
            tied = [c for c, (e, m) in enumerate(row) if sign * m * values[e] == best]
            grads = {c: [row[c][1] * g for g in slopes[row[c][0]]] for c in tied}
            pick = tied[0]
            if len(tied) > 1 and any(grads[c] != grads[pick] for c in tied):
                kinks.append(n + k)
                pick = step.shut if shut and step.shut in tied else max(
                    tied, key=lambda c: _along(grads[c], frame, sign))
            chosen[n + k] = pick
            values.append(sign * best)
            slopes.append(grads[pick])
        return State(point, scales, scale, values, slopes, chosen, tuple(kinks))

    def sides(self, point: Point, rng: random.Random) -> list[State]:
        """The sides of the kinks that a point lies on: one off all kinks; else many, not all."""
        first = self.at(point)
        if not first.kinks:
            return [first]
        found = {str(first.slopes): first}
        for frame in frames(self.inputs, rng, MAX_SIDES):
            state = self.at(point, frame)
            found.setdefault(str(state.slopes), state)
        return list(found.values())

    def next_break(self, state: State, direction: Sequence[Fraction]) -> Fraction | None:
        """How far along a direction the next maximum changes hands; None where none does.

        The state must be on the side that the direction leads to.
        """
        _, factors, _ = self._plan
        unit = lcm(*(v.denominator for v in direction))
        along = [int(v * unit) for v in direction]
        nearest: Fraction | None = None
        for e, pick in state.chosen.items():
            step, row = self.steps[e - self.inputs], factors[e - self.inputs]
            sign = -1 if isinstance(step, Extreme) and step.least else 1
            ahead = [(sign * m * state.values[c],
                      sign * m * sum(g * u for g, u in zip(state.slopes[c], along, strict=True)))
                     for c, m in row]
            value, slope = ahead[pick]
            for v, s in ahead:
                if v < value and s > slope:
                    far = Fraction((value - v) * unit, (s - slope) * state.scale)
                    nearest = far if nearest is None else min(nearest, far)
        return nearest

    def breaks(self, start: Point, end: Point, rng: random.Random, most: int = 60
               ) -> tuple[list[Fraction], bool]:
        """Where along a segment (0 to 1) the pattern of maxima changes; whether that is all."""
        way = tuple(b - a for a, b in zip(start, end, strict=True))
        if not any(way):
            return [], True
        unit = lcm(*(v.denominator for v in way))
        frame = (tuple(int(v * unit) for v in way), *frames(self.inputs, rng, 1)[0])
        found: list[Fraction] = []
        t = Fraction(0)
        while len(found) < most:
            state = self.at(on(start, way, t), frame)
            step = self.next_break(state, way)
            if step is None or t + step >= 1:
                return found, True
            t += step
            found.append(t)
        return found, False


def on(start: Point, way: Sequence[Fraction], t: Fraction) -> Point:
    return tuple(a + t * w for a, w in zip(start, way, strict=True))


def frames(n: int, rng: random.Random, count: int) -> list[Frame]:
    """Frames that lead into different cells: signed axes in turn, then random directions."""
    axes = [tuple(s * int(i == j) for j in range(n)) for i in range(n) for s in (1, -1)]
    spanning = [tuple(int(i == j) for j in range(n)) for i in range(n)]
    out: list[Frame] = []
    for k in range(count):
        first = axes[k] if count > 1 and k < len(axes) else tuple(
            rng.randint(-9, 9) for _ in range(n))
        second = tuple(rng.randint(-9, 9) for _ in range(n))
        out.append((first, second, *rng.sample(spanning, n)))
    return out


def _along(gradient: Sequence[int], frame: Frame, sign: int) -> tuple[int, ...]:
    return tuple(sign * sum(g * d for g, d in zip(gradient, way, strict=True)) for way in frame)
