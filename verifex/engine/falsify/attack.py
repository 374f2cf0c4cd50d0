"""Falsification: corners, random points and projected gradient on the claim's margin, batched.

Floating point steers; every hit is replayed exactly by `witness.refute`. The gradient runs through
the attribution (double backward comes for free, since the attribution is part of the graph), with
gates smoothed in the backward pass only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget
from verifex.engine.falsify.witness import refute, snap
from verifex.engine.margin import batch_margin
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Formula
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.claim import NodeBounds
from verifex.semantics.evaluate import evaluate_float

_BATCH = 256
_REPLAYS = 4  # candidates replayed exactly per batch: an exact evaluation costs milliseconds
_NEAR = 1e-9  # margins so near to a violation are replayed too: a short decimal beside may break it


@dataclass(frozen=True)
class AttackResult:
    """The witness, if one was found, how many points were tried, and the point nearest to one."""

    witness: Witness | None
    tried: int
    best_point: FloatArray | None


def attack(
    problem: Problem, budget: Budget, bounds: NodeBounds, *, seed: int = 0, rounds: int = 8,
    gradient: bool = True, near: Sequence[float] = (),
) -> AttackResult:
    """Look for a counterexample until the budget or the rounds are used up.

    `bounds` of the nodes over the region tell how much the margins computed here may err. `near`,
    if given, is where one may be: points around what the region leaves of it come first.
    """
    rng = np.random.default_rng(seed)
    violation = problem.violation()
    box = problem.region.float_box()
    doubt = Rounding(problem.graph, problem.targets(), box, bounds).of_formula(violation)
    best, best_x, tried = -np.inf, None, 0
    first = [_around(problem.region, near, rng)] if near else []
    for batch in chain(first, _samples(problem, rng, rounds)):
        if budget.spent:
            break
        score = margins(problem, violation, batch)
        tried += len(batch)
        order = np.argsort(-score)
        if score[order[0]] > best:
            best, best_x = float(score[order[0]]), batch[order[0]]
        witness = _replay_best(problem, batch, score, order, doubt)
        if witness is not None:
            return AttackResult(witness, tried, best_x)
    if gradient and not budget.spent and best_x is not None and _continuous(problem.region):
        climbed = _climb(problem, violation, best_x, rng, budget)
        score = margins(problem, violation, climbed)
        tried += len(climbed)
        order = np.argsort(-score)
        if score[order[0]] > best:
            best, best_x = float(score[order[0]]), climbed[order[0]]
        witness = _replay_best(problem, climbed, score, order, doubt)
        return AttackResult(witness, tried, best_x)
    return AttackResult(None, tried, best_x)


def _around(region: Region, near: Sequence[float], rng: np.random.Generator) -> FloatArray:
    """A point, moved into the region's box, and others that differ from it here and there."""
    lo, hi = np.array([float(v) for v in region.lo]), np.array([float(v) for v in region.hi])
    point = np.clip(np.asarray(near, dtype=np.float64), lo, hi)
    corners = np.where(rng.random((_BATCH, region.size)) < 0.5, lo, hi)
    moved = rng.random((_BATCH, region.size)) < 0.15
    batch = np.where(moved, corners, point)
    batch[0] = point
    return into_region(region, batch, point if not region.rows else (lo + hi) / 2)


def margins(problem: Problem, violation: Formula, points: FloatArray) -> FloatArray:
    """Margins (B,) of the counterexample formula at flat inputs (B, n), in float64; -inf where
    they are not numbers."""
    with np.errstate(all="ignore"):
        values = evaluate_float(problem.graph, points, problem.targets())
        score = np.asarray(batch_margin(violation, values, np), dtype=np.float64)
    return np.where(np.isnan(score), -np.inf, np.broadcast_to(score, (len(points),)))


def _replay_best(
    problem: Problem, batch: FloatArray, score: FloatArray, order: NDArray[np.intp], doubt: float
) -> Witness | None:
    """Exact replay of the most promising points; a margin that is nearer to zero than `doubt` may
    be rounding."""
    for i in order[:_REPLAYS]:
        if score[i] < -max(_NEAR, doubt):
            return None
        witness = refute(problem, batch[i].tolist())
        if witness is not None:
            return witness
    return None


def _continuous(region: Region) -> bool:
    return not (region.integers or region.one_hot)


def _samples(problem: Problem, rng: np.random.Generator, rounds: int) -> Iterator[FloatArray]:
    """Batches inside the region: the centre and corners first, then a mixture."""
    region = problem.region
    lo, hi = np.array([float(v) for v in region.lo]), np.array([float(v) for v in region.hi])
    centre = (lo + hi) / 2
    if problem.point is not None:
        centre = np.array([float(v) for v in problem.point])
    for k in range(rounds):
        signs = rng.random((_BATCH, region.size))
        corners = np.where(signs < 0.5, lo, hi)
        uniform = lo + (hi - lo) * rng.random((_BATCH, region.size))
        third = _BATCH // 3
        batch = np.concatenate([corners[:third], uniform[third : 2 * third], corners[2 * third :]])
        # The last third keeps some coordinates at the centre: sparse changes.
        sparse = rng.random(batch[2 * third :].shape) < rng.random((len(batch) - 2 * third, 1))
        batch[2 * third :] = np.where(sparse, batch[2 * third :], centre)
        if k == 0:
            batch[0] = centre
        yield into_region(region, batch, centre)


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


def _climb(
    problem: Problem,
    violation: Formula,
    start: FloatArray,
    rng: np.random.Generator,
    budget: Budget,
    steps: int = 40,
    restarts: int = 32,
) -> FloatArray:
    """Projected sign-gradient ascent on the margin from random starts and the best point so far."""
    import torch

    from verifex.semantics.torch_backend import TorchBackend, evaluate_torch

    region = problem.region
    lo, hi = (np.array([float(v) for v in side]) for side in (region.lo, region.hi))
    x = lo + (hi - lo) * rng.random((restarts, region.size))
    x[0] = start
    centre = start if problem.point is None else np.array([float(v) for v in problem.point])
    x = into_region(region, x, centre)
    backend = TorchBackend(soft_step=0.1)
    best_x, best = x.copy(), margins(problem, violation, x)
    for step in range(steps):
        if budget.spent:
            break
        t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        values = evaluate_torch(problem.graph, t, problem.targets(), backend)
        score = batch_margin(violation, values, torch)
        if not score.requires_grad:
            break
        (slope,) = torch.autograd.grad(score.sum(), t)
        stride = 0.3 * (1 - step / steps) ** 2
        x = np.clip(x + stride * (hi - lo) * np.sign(slope.numpy()), lo, hi)
        x = into_region(region, x, centre)
        now = margins(problem, violation, x)
        better = now > best
        best_x[better], best[better] = x[better], now[better]
    return best_x
