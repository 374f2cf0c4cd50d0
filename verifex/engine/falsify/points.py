"""Points of a region to try: corners, random points, and corners that differ in one input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.falsify.witness import snap
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Problem
from verifex.ir.region import Region

BATCH = 256
"""Points that are evaluated at once."""

ALL_CORNERS = 10
"""Inputs that are not fixed up to which every corner is tried."""


@dataclass(frozen=True)
class Samples:
    """Where points of a problem's region are drawn from: its box (n,) in floats, the reference
    input or the centre, and the inputs whose bounds differ."""

    region: Region
    lo: FloatArray
    hi: FloatArray
    centre: FloatArray
    free: NDArray[np.intp]

    @staticmethod
    def of(problem: Problem) -> Samples:
        """Those of a problem."""
        region = problem.region
        lo, hi = (np.array([float(v) for v in side]) for side in (region.lo, region.hi))
        centre = (lo + hi) / 2
        if problem.point is not None:
            centre = np.array([float(v) for v in problem.point])
        return Samples(region, lo, hi, centre, np.flatnonzero(lo < hi))

    def inside(self, batch: FloatArray) -> FloatArray:
        """The points (B, n) moved into the region, as far as floats tell."""
        return into_region(self.region, batch, self.centre)

    def around(self, near: Sequence[float], rng: np.random.Generator) -> FloatArray:
        """A point, moved into the box, and others that differ from it here and there."""
        point = np.clip(np.asarray(near, dtype=np.float64), self.lo, self.hi)
        moved = rng.random((BATCH, self.region.size)) < 0.15
        batch = np.where(moved, self.corners(rng, BATCH), point)
        batch[0] = point
        towards = point if not self.region.rows else (self.lo + self.hi) / 2
        return into_region(self.region, batch, towards)

    def corners(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Random corners of the box."""
        return np.where(rng.random((count, self.region.size)) < 0.5, self.lo, self.hi)

    def uniform(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Random points of the box."""
        return self.lo + (self.hi - self.lo) * rng.random((count, self.region.size))

    def random_batches(self, rng: np.random.Generator, rounds: int) -> Iterator[FloatArray]:
        """Batches inside the region: the centre and corners first, then a mixture."""
        third = BATCH // 3
        for k in range(rounds):
            corners, uniform = self.corners(rng, BATCH), self.uniform(rng, BATCH)
            batch = np.concatenate(
                [corners[:third], uniform[third : 2 * third], corners[2 * third :]])
            # The last third keeps some coordinates at the centre: sparse changes.
            sparse = rng.random(batch[2 * third :].shape) < rng.random((BATCH - 2 * third, 1))
            batch[2 * third :] = np.where(sparse, batch[2 * third :], self.centre)
            if k == 0:
                batch[0] = self.centre
            yield self.inside(batch)

    def all_corners(self) -> FloatArray | None:
        """Every corner of the box, drawn into the region; None where there are too many."""
        free = self.free
        if len(free) > ALL_CORNERS:
            return None
        sides = (np.arange(2 ** len(free))[:, None] >> np.arange(len(free))) & 1
        corners = np.repeat(self.lo[None], len(sides), axis=0)
        corners[:, free] = np.where(sides == 1, self.hi[free], self.lo[free])
        return self.inside(corners)

    def turned(self, point: FloatArray, chosen: NDArray[np.intp]) -> FloatArray:
        """Points (2k, n) that differ from one in one input of `chosen`, at either end of it."""
        out = np.repeat(point[None], 2 * len(chosen), axis=0)
        places = np.arange(len(chosen))
        out[places, chosen] = self.lo[chosen]
        out[len(chosen) + places, chosen] = self.hi[chosen]
        return self.inside(out)


def into_region(region: Region, batch: FloatArray, centre: FloatArray) -> FloatArray:
    """Move points into the cut region, roughly: round integers, draw toward the centre."""
    if region.integers or region.one_hot:
        batch = np.array([[float(v) for v in snap(region, row.tolist())] for row in batch])
    for ball in region.balls:
        index = list(ball.indices)
        c = np.array([float(v) for v in ball.center])
        d = batch[:, index] - c
        order = 1 if ball.norm == "l1" else 2
        norm = np.linalg.norm(d, ord=order, axis=1, keepdims=True)
        shrink = np.minimum(1.0, float(ball.radius) * (1 - 1e-12) / np.maximum(norm, 1e-300))
        batch[:, index] = c + d * shrink
    for row in region.rows:
        a = np.zeros(region.size)
        for i, coef in row.coefs.items():
            a[i] = float(coef)
        excess, room = batch @ a - float(row.rhs), float(row.rhs) - float(centre @ a)
        pull = np.where(excess > 0, excess / np.maximum(excess + max(room, 0.0), 1e-300), 0.0)
        batch = batch + np.minimum(pull * (1 + 1e-9), 1.0)[:, None] * (centre - batch)
    return batch
