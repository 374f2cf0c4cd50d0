"""The best point of one piece: a linear program over the region and the piece's half-spaces.

Units keep a little off their kinks, so that what comes out lies strictly inside the piece. Floats
propose; whoever asks replays the point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.single_lp import LeafSolver
from verifex.engine.falsify.pieces.tangents import LocalGraph, Signs
from verifex.engine.falsify.points import Samples
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form
from verifex.semantics.support.balls import float_balls, inside, tangents

_OFF = 1e-9
"""How far every unit stays off its kink, where the box is 2 wide and its slope has the length 1."""

_TOLERANCE = 1e-10
_TANGENTS = 20
"""Rounds of tangents to a ball at most."""

_TIGHT = 1e-6
_SECONDS, _LEAST_SECONDS = 2.0, 0.05
"""Of one linear program, at most; and what it may take in any case."""


@dataclass(frozen=True)
class PieceGoal:
    """What is looked for: the least of `raised` is to be as great as it can, and every form of
    `kept` at least 0."""

    raised: tuple[Form, ...]
    kept: tuple[Form, ...] = ()


@dataclass(frozen=True)
class BestOfPiece:
    """The greatest value of a goal on a piece, as far as floats tell; the point (n,) that has it;
    the units whose kinks cut the piece; and which of these the point lies at."""

    value: float
    point: FloatArray
    signs: Signs
    walls: NDArray[np.intp]
    at_point: NDArray[np.intp]
    flat: bool
    """Whether the goal is constant on the piece."""


class PieceProgram:
    """Solves the linear programs of pieces of one graph, one after the other."""

    def __init__(self, local: LocalGraph, samples: Samples) -> None:
        self.local, self.samples = local, samples
        self._solver = LeafSolver(_TOLERANCE)
        self._balls = float_balls(samples.region)
        free = local.moved
        self._half = (samples.hi - samples.lo)[free] / 2
        region, rows = samples.region, len(samples.region.rows)
        self._rows, self._right = np.zeros((rows, region.size)), np.zeros(rows)
        for k, row in enumerate(region.rows):
            self._right[k] = float(row.rhs)
            for i, c in row.coefs.items():
                self._rows[k, i] = float(c)

    def best(
        self, point: FloatArray, signs: Signs, goal: PieceGoal, left: Callable[[], float]
    ) -> BestOfPiece | None:
        """The best point of the piece with the pattern `signs` (units,), whose tangents are taken
        at `point`; None where there is no such piece, or no answer in the seconds `left`."""
        local, free, half = self.local, self.local.moved, self._half
        forms = [*goal.raised, *goal.kept]
        there = local.at(point, signs[None], forms)
        # In coordinates where the box is 2 wide: x = point + half * u.
        lo = (self.samples.lo[free] - point[free]) / half
        hi = (self.samples.hi[free] - point[free]) / half
        rows, right, walls = self._piece(there.units[0], there.unit_slopes[0], signs, lo, hi)
        if rows is None:
            return None
        region_rows, region_right = self._region(point)
        slopes, values = there.slopes[0] * half, there.values[0]
        many = len(goal.raised)
        kept = slopes[many:], -values[many:]
        a = np.concatenate([rows, region_rows, kept[0]])
        b = np.concatenate([right, region_right, kept[1]])
        found = self._maximise(slopes[:many], values[:many], (a, b), (lo, hi), point, left)
        if found is None:
            return None
        moved = point.copy()
        moved[free] += half * found
        moved = np.clip(moved, self.samples.lo, self.samples.hi)
        tight = rows @ found <= right + _TIGHT
        flat = not slopes[:many].any()
        value = float((values[:many] + slopes[:many] @ found).min())
        return BestOfPiece(value, moved, signs, walls, walls[tight], flat)

    def _piece(
        self, units: FloatArray, slopes: FloatArray, signs: Signs, lo: FloatArray, hi: FloatArray
    ) -> tuple[FloatArray | None, FloatArray, NDArray[np.intp]]:
        """The half-spaces `rows . u >= right` of a piece that cut the box, and their units; no
        rows where the box has no point of one."""
        turn = np.where(signs, 1.0, -1.0)
        rows = slopes * self._half * turn[:, None]
        length = np.linalg.norm(rows, axis=1)
        scale = np.where(length > 0, length, 1.0)
        rows, right = rows / scale[:, None], _OFF - units * turn / scale
        least = np.where(rows > 0, rows * lo, rows * hi).sum(axis=1)
        most = np.where(rows > 0, rows * hi, rows * lo).sum(axis=1)
        still = length == 0
        if (most < right)[~still].any() or (units * turn < 0)[still].any():
            return None, right, np.zeros(0, dtype=np.intp)
        walls = np.flatnonzero(~still & (least < right))
        return rows[walls], right[walls], walls

    def _region(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The region's rows as `a . u >= b`."""
        a = -self._rows[:, self.local.moved] * self._half
        return a, self._rows @ point - self._right

    def _maximise(
        self, slopes: FloatArray, values: FloatArray, rows: tuple[FloatArray, FloatArray],
        box: tuple[FloatArray, FloatArray], point: FloatArray, left: Callable[[], float],
    ) -> FloatArray | None:
        """Where the least of the forms `values + slopes . u` is greatest; balls by tangents."""
        (a, b), (lo, hi) = rows, box
        n, least = slopes.shape[1], len(slopes) > 1
        cost = -slopes[0]
        if least:  # a further variable t, below every form
            level = float(np.abs(values).max() + np.abs(slopes).sum(axis=1).max() * 2 + 1)
            a = np.concatenate([np.pad(a, ((0, 0), (0, 1))),
                                np.pad(slopes, ((0, 0), (0, 1)), constant_values=-1.0)])
            b = np.concatenate([b, -values])
            lo, hi = np.append(lo, -level), np.append(hi, level)
            cost = np.append(np.zeros(n), -1.0)
        for _ in range(1 + _TANGENTS * bool(self._balls)):
            # One that was begun is not lost where a slice of time ends.
            seconds = min(_SECONDS, max(_LEAST_SECONDS, left()))
            answer = self._solver.minimise(cost, 0.0, a, b, lo, hi, seconds)
            if answer.x is None:
                return None
            u = answer.x[:n]
            there = point.copy()
            there[self.local.moved] += self._half * u
            if not self._balls or inside(self._balls, there[None])[0]:
                return u
            more, right = tangents(self._balls, there[None])
            turned = more[0][:, self.local.moved] * self._half
            a = np.concatenate([a, np.pad(turned, ((0, 0), (0, int(least))))])
            b = np.concatenate([b, right[0] - more[0] @ point])
        return u

