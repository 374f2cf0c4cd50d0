"""From a point that floats place near kinks to one that lies on them exactly.

The extremum of a range may be reached on a kink only, where several pre-activations are zero
together. A search or a solver gives such a point rounded, which is off the kink, on one side or the
other. Here the pre-activations near zero are made zero, in rational arithmetic. What comes out is a
proposal: it is replayed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verifex.engine.falsify.witness import Point, snap
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.formula import Cell
from verifex.ir.problem import Problem
from verifex.semantics.evaluate import ExactBackend, run

MOST_INPUTS = 128
"""Inputs of a network for which slopes are taken one by one."""

MOST_CELLS = 32
"""Pre-activations that are made zero at most."""

_NEAR = Fraction(1, 10**6)
_STEP = Fraction(1, 2**200)
"""So short a step that it crosses no kink, unless it begins on one."""


def onto_kinks(problem: Problem, vector: Sequence[float | int | Fraction]) -> Point | None:
    """A point near `vector` at which the pre-activations that are nearly zero are zero exactly;
    None where there is none to be made zero, or none that can."""
    point = snap(problem.region, vector)
    if problem.region.size > MOST_INPUTS:
        return None
    try:
        for _ in range(3):  # beyond a kink slopes are others
            cells, values, slopes = _near_zero(problem, point)
            if not cells or len(cells) > MOST_CELLS:
                return None
            if not any(values):
                return point
            point = _moved(problem, point, values, slopes)
    except UnsupportedError:
        return None  # smooth functions have no exact values
    return point


def _near_zero(
    problem: Problem, point: Point
) -> tuple[list[Cell], list[Fraction], list[list[Fraction]]]:
    """The elements of pre-activations that are nearly zero at a point, with values and slopes."""
    graph, size = problem.graph, len(point)
    batch = [point] + [
        tuple(v + _STEP * (k == i) for k, v in enumerate(point)) for i in range(size)]
    inputs = {}
    for node, start in graph.input_offsets.items():
        width = graph.nodes[node].size
        numbers = [v for row in batch for v in row[start : start + width]]
        inputs[node] = ExactArray.from_numbers(numbers, (len(batch), *graph.nodes[node].shape))
    found = run(graph, ExactBackend(), inputs, problem.kinks())
    cells, values, slopes = list[Cell](), list[Fraction](), list[list[Fraction]]()
    for node in problem.kinks():
        flat, below = found[node].num.reshape(len(found[node].num), -1), found[node].den
        if len(flat) == 1:  # a constant: no input moves it
            continue
        for i in np.flatnonzero(abs(flat[0]) <= _NEAR * below).tolist():
            cells.append((node, i))
            values.append(Fraction(int(flat[0, i]), below))
            slopes.append([Fraction(int(flat[1 + k, i] - flat[0, i]), below) / _STEP
                           for k in range(size)])
    return cells, values, slopes


def _moved(
    problem: Problem, point: Point, values: Sequence[Fraction],
    slopes: Sequence[Sequence[Fraction]],
) -> Point:
    """The point moved so that the values become zero along these slopes; equations that fit no more
    are left out."""
    region, rows = problem.region, list[tuple[int, list[Fraction], Fraction]]()
    room = [min(v - a, b - v) for v, a, b in zip(point, region.lo, region.hi, strict=True)]
    for value, slope in zip(values, slopes, strict=True):
        left, right = list(slope), -value
        for pivot, line, target in rows:
            factor = left[pivot]
            left = [c - factor * d for c, d in zip(left, line, strict=True)]
            right -= factor * target
        # The input that has to move least, of those with room on both sides.
        free = [k for k, c in enumerate(left) if c and room[k] > 0]
        if not free:
            continue
        pivot = max(free, key=lambda k: abs(left[k]))
        scale = left[pivot]
        left, right = [c / scale for c in left], right / scale
        rows = [(k, [c - line[pivot] * d for c, d in zip(line, left, strict=True)],
                 target - line[pivot] * right) for k, line, target in rows]
        rows.append((pivot, left, right))
    moved = list(point)
    for pivot, _, target in rows:
        moved[pivot] += target  # all other inputs stay
    return snap(region, moved)
