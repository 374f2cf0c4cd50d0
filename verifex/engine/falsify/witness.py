"""Replay of candidate points in exact arithmetic: the only way to `refuted`.

A candidate from anywhere (attack, solver, a person) is snapped into the region exactly and then
evaluated in rationals. It refutes only if it lies in the region, the assumption holds, the
requirement fails and nothing that the claim reads depends on a gate that sits exactly on its kink.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verifex.engine.falsify.replays import replays as float_replays
from verifex.engine.margin import exact_margin
from verifex.engine.verdict import Witness
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, Number
from verifex.ir.formula import TRUE, cells, holds, negate, simplify
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.interval import bound_nodes
from verifex.semantics.kinks import varying, varying_in

Point = tuple[Fraction, ...]


@dataclass(frozen=True)
class Replay:
    """What exact evaluation says about a point."""

    inside: bool
    assumed: bool
    violated: bool
    on_kink: bool
    margin: Fraction | None
    values: Mapping[int, ExactArray]

    @property
    def refutes(self) -> bool:
        return self.inside and self.assumed and self.violated and not self.on_kink


def replay(problem: Problem, point: Point) -> Replay:
    """Evaluate the claim at an exact point.

    Smooth functions have no exact value: there the point is evaluated with outward-rounded
    intervals, and counts as violated only if the violation holds for the whole interval.
    """
    kinks = problem.kinks()
    inside = problem.region.contains(point)
    try:
        values = evaluate_exact(problem.graph, point, [*problem.targets(), *kinks])
    except UnsupportedError:
        return _interval_replay(problem, point, inside)
    on_kink = any((values[z].num == 0).any() for z in kinks) and _varies(problem, point)
    violated = not holds(problem.require, values) and holds(problem.refuted(), values)
    return Replay(
        inside, holds(problem.assume, values), violated, on_kink,
        exact_margin(problem.require, values), values,
    )


def _varies(problem: Problem, point: Point) -> bool:
    """Whether a value that the claim reads may depend on a gate on its kink.

    A gate that is shut further on, or whose two sides agree, is no kink (see semantics/kinks.py).
    """
    try:
        return bool(varying(problem.graph, point, problem.cells()))
    except UnsupportedError:
        return True


def _interval_replay(problem: Problem, point: Point, inside: bool) -> Replay:
    lo, hi = ExactArray.from_numbers(point).float_bounds()
    kinks, targets = problem.kinks(), problem.targets()
    box = bound_nodes(problem.graph, lo[None], hi[None], [*targets, *kinks])
    low, high = {i: b.lo[0] for i, b in box.items()}, {i: b.hi[0] for i, b in box.items()}
    near = any(((low[z] <= 0) & (high[z] >= 0)).any() for z in kinks)
    on_kink = near and bool(varying_in(problem.graph, box, problem.cells()))
    violated = (simplify(negate(problem.require), low, high) == TRUE
                and simplify(problem.refuted(), low, high) == TRUE)
    return Replay(
        inside, simplify(problem.assume, low, high) == TRUE, violated, on_kink, None, {})


def snap(region: Region, point: Sequence[Number]) -> Point:
    """The nearest point of the box and the integer grid, exactly (rows and balls do not count)."""
    out = []
    for i, value in enumerate(point):
        v = Fraction(value)
        if i in region.integers:
            v = Fraction(round(v))
        out.append(min(max(v, region.lo[i]), region.hi[i]))
    for group in region.one_hot:
        # The 1 goes where the box demands it, else to the largest of those that it allows.
        best = max(group, key=lambda i: (region.lo[i] >= 1, region.hi[i] >= 1, out[i]))
        for i in group:
            out[i] = Fraction(int(i == best))
    return tuple(out)


def candidates(problem: Problem, vector: Sequence[Number]) -> Iterator[Point]:
    """Exact points near `vector` worth replaying: short decimals, snapped, drawn inward."""
    point = snap(problem.region, vector)
    tried = {point}
    for digits in (4, 9):
        short = snap(problem.region, [
            _short(v, lo, hi, digits)
            for v, lo, hi in zip(point, problem.region.lo, problem.region.hi, strict=True)
        ])
        if short not in tried:
            tried.add(short)
            yield short
    yield point
    if problem.point is not None and (problem.region.rows or problem.region.balls):
        for pull in (Fraction(1, 10**12), Fraction(1, 10**9), Fraction(1, 10**6)):
            yield snap(problem.region, [
                v + pull * (c - v) for v, c in zip(point, problem.point, strict=True)])


def _short(value: Fraction, lo: Fraction, hi: Fraction, digits: int) -> Fraction:
    """A short decimal near the value, for people to read; the ends stay as they are.

    `digits` count from the first one of the box's width, so narrow boxes keep their shape.
    """
    if value in (lo, hi) or not lo < hi:
        return value
    scale = 10**digits
    while scale * (hi - lo) < 10 ** (digits - 1):
        scale *= 10
    return Fraction(round(value * scale), scale)


def refute(problem: Problem, vector: Sequence[Number]) -> Witness | None:
    """A witness at or next to `vector`, if one of the candidates refutes."""
    for point in candidates(problem, vector):
        found = replay(problem, point)
        if found.refutes:
            return make_witness(problem, point, found)
    return None


def make_witness(problem: Problem, point: Point, found: Replay) -> Witness:
    """The record of a refuting point."""
    values = {}
    read = sorted(cells(problem.require))
    for name, node in problem.graph.outputs.items():
        if node in found.values:
            values[name] = tuple(found.values[node].fractions())
    if not values:
        values["claim"] = tuple(
            Fraction(int(found.values[n].num.flat[i]), found.values[n].den)
            for n, i in read[:64] if n in found.values
        )
    replays = {"exact": "violated", **float_replays(problem, point)}
    return Witness(point, found.margin, values, replays)
