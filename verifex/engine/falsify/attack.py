"""Falsification: corners, random points, projected gradient on the claim's margin, and pieces.

Floating point steers; every hit is replayed exactly by `witness.refute`. The gradient runs through
the attribution (which is part of the graph), with gates smoothed in the backward pass only. All of
it is numpy: nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget
from verifex.engine.falsify.pieces.local_search import PieceSearch
from verifex.engine.falsify.points import Samples, into_region
from verifex.engine.falsify.witness import refute
from verifex.engine.margin import batch_margin, deciding_forms
from verifex.engine.verdict import Witness
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Formula
from verifex.ir.problem import Problem
from verifex.semantics.claim import NodeBounds
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.pullback import slopes

_REPLAYS = 4  # candidates replayed exactly per batch: an exact evaluation costs milliseconds
_NEAR = 1e-9  # margins so near to a violation are replayed too: a short decimal beside may break it
_TURNS = 128
"""Inputs that are turned one at a time, at most; where there are more, the climb moves them."""
_ROUNDS = 12
_STEPS, _STARTS, _SOFTNESS = 40, 32, 0.1

PIECES = 200
"""Pieces of one attack; the next one, of another seed, begins elsewhere."""


@dataclass(frozen=True)
class AttackResult:
    """The witness, if one was found, how many points were tried, and the point nearest to one."""

    witness: Witness | None
    tried: int
    best_point: FloatArray | None


def attack(
    problem: Problem, budget: Budget, bounds: NodeBounds, *, seed: int = 0, rounds: int = 8,
    gradient: bool = True, near: Sequence[float] = (), pieces: int = 0,
) -> AttackResult:
    """Look for a counterexample until the budget or the rounds are used up (see `Attack`)."""
    found = Attack(problem, bounds, seed=seed, rounds=rounds, gradient=gradient, near=near,
                   pieces=pieces)
    found.run(budget)
    return found.result


class Attack:
    """A search for a counterexample that can be continued: its state lasts between calls of `run`.

    `bounds` of the nodes over the region tell how much the margins computed here may err. `near`,
    if given, is where one may be: points around what the region leaves of it come first. Then come
    `rounds` batches of corners and random points, corners that differ in one input from the best
    one, with `gradient` a climb along the margin's slope, and then the best points of `pieces`
    pieces on which the graph is affine.
    """

    def __init__(
        self, problem: Problem, bounds: NodeBounds, *, seed: int = 0, rounds: int = 8,
        gradient: bool = True, near: Sequence[float] = (), pieces: int = PIECES,
    ) -> None:
        self.problem, self.near, self.rounds, self.pieces = problem, near, rounds, pieces
        self.violation = problem.violation()
        self.samples, self.rng = Samples.of(problem), np.random.default_rng(seed)
        box = problem.region.float_box()
        self.doubt = Rounding(problem.graph, problem.targets(), box, bounds).of_formula(
            self.violation)
        region = problem.region
        self.climbs = gradient and not (region.integers or region.one_hot)
        self.witness: Witness | None = None
        self.best_point: FloatArray | None = None
        self.best, self.tried, self.ended = -np.inf, 0, False
        self._seed, self._steps, self._budget = seed, self._all_steps(), Budget(0.0)

    @property
    def result(self) -> AttackResult:
        """What was found so far."""
        return AttackResult(self.witness, self.tried, self.best_point)

    def run(self, budget: Budget) -> Witness | None:
        """Go on until there is a witness, nothing is left to try (`ended`), or the budget is spent.
        """
        self._budget = budget
        while self.witness is None and not self.ended and not budget.spent:
            self.ended = next(self._steps, self) is self
        return self.witness

    def _all_steps(self) -> Iterator[None]:
        """All that is tried, in steps of a batch each."""
        if self.near:
            self._try(self.samples.around(self.near, self.rng))
            yield
        for batch in self.samples.random_batches(self.rng, self.rounds):
            self._try(batch)
            yield
        corners = self.samples.all_corners()
        if corners is not None:
            self._try(corners)
        elif self.best_point is not None and len(self.samples.free) <= _TURNS:
            yield from self._turn_inputs(self.best_point)
        if self.climbs and self.best_point is not None:
            yield from self._climb(self.best_point)
        if self.pieces and self.best_point is not None:
            yield from self._search_pieces(self.best_point)

    def _try(self, batch: FloatArray) -> FloatArray:
        """Keep the best point of a batch, and a witness if there is one; the margins (B,)."""
        score = margins(self.problem, self.violation, batch)
        self.tried += len(batch)
        order = np.argsort(-score)
        if score[order[0]] > self.best:
            self.best, self.best_point = float(score[order[0]]), batch[order[0]]
        for i in order[:_REPLAYS]:
            if score[i] < -max(_NEAR, self.doubt):  # nearer to zero it may be rounding
                break
            self.witness = self.witness or refute(self.problem, batch[i].tolist())
        return score

    def _turn_inputs(self, point: FloatArray) -> Iterator[None]:
        """From a point to better ones that differ in one input, which is at an end of its range;
        and to the one that takes all the changes that are better by themselves."""
        best, free = margins(self.problem, self.violation, point[None])[0], self.samples.free
        for _ in range(_ROUNDS):
            batch = self.samples.turned(point, free)
            score = self._try(batch)
            yield
            better = np.flatnonzero(score > best)
            if not len(better):
                return
            # Of several better ends of one input the last counts: the best one, in this order.
            together = point.copy()
            for k in better[np.argsort(score[better])].tolist():
                moved = free[k % len(free)]
                together[moved] = batch[k, moved]
            both = self.samples.inside(np.stack([batch[int(score.argmax())], together]))
            values = self._try(both)
            point, best = both[int(values.argmax())], float(values.max())

    def _search_pieces(self, start: FloatArray) -> Iterator[None]:
        """From piece to piece, beginning with that of a point."""
        try:
            search = PieceSearch(self.problem, seed=self._seed, starts=[start])
        except UnsupportedError:
            return  # decision trees have no pieces
        best = self.best
        while search.pieces < self.pieces and not search.ended:
            search.step(self._budget)
            if search.point is not None and search.value > best:
                best = search.value
                self._try(search.point[None])
            yield

    def _climb(self, start: FloatArray) -> Iterator[None]:
        """Projected sign-gradient ascent on the margin from random starts and the best point so
        far."""
        samples, problem = self.samples, self.problem
        x = samples.uniform(self.rng, _STARTS)
        x[0] = start
        centre = start if problem.point is None else samples.centre
        x = into_region(problem.region, x, centre)
        for step in range(_STEPS):
            slope = margin_slopes(problem, self.violation, x, _SOFTNESS)
            if slope is None or not slope.any():
                return
            stride = 0.3 * (1 - step / _STEPS) ** 2
            x = x + stride * (samples.hi - samples.lo) * np.sign(slope)
            x = into_region(problem.region, np.clip(x, samples.lo, samples.hi), centre)
            self._try(x)
            yield


def margins(problem: Problem, violation: Formula, points: FloatArray) -> FloatArray:
    """Margins (B,) of the counterexample formula at flat inputs (B, n), in float64; -inf where
    they are not numbers."""
    with np.errstate(all="ignore"):
        values = evaluate_float(problem.graph, points, problem.targets())
        score = np.asarray(batch_margin(violation, values, np), dtype=np.float64)
    return np.where(np.isnan(score), -np.inf, np.broadcast_to(score, (len(points),)))


def margin_slopes(
    problem: Problem, violation: Formula, points: FloatArray, softness: float = 0.0
) -> FloatArray | None:
    """The slopes (B, n) of these margins at flat inputs (B, n), zero where they are no numbers, and
    with gates that have the slope of a sigmoid; None where nothing has one."""
    size = len(points)
    with np.errstate(all="ignore"):
        values = evaluate_float(problem.graph, points, problem.targets())
        forms, deciding = deciding_forms(violation, values)
        cotangents: dict[int, FloatArray] = {}
        for k in np.unique(deciding[deciding >= 0]).tolist():
            for (node, index), c in forms[k].terms:
                flat = cotangents.setdefault(node, np.zeros((size, values[node][0].size)))
                flat[deciding == k, index] += float(c)
        try:
            shaped = {node: flat.reshape(values[node].shape) for node, flat in cotangents.items()}
            found = slopes(problem.graph, points, shaped, softness)
        except UnsupportedError:
            return None
    return np.where(np.isfinite(found), found, 0.0)
