"""Local search over activation patterns: for the best value of a form, or to break a claim.

On the piece of a point the graph is affine, so a linear program finds the piece's best point. The
units whose kinks it lies at lead to neighbouring pieces; the first that is better is gone to. Where
the goal is constant on a piece, as a gradient's component is, all units at its walls are tried, in
the order of the value that they would give. From a piece without a better neighbour the search goes
on elsewhere: near its best point, at random points, and at points that others know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from verifex.engine.budget import Budget
from verifex.engine.falsify.pieces.program import BestOfPiece, PieceGoal, PieceProgram
from verifex.engine.falsify.pieces.tangents import LocalGraph, Signs
from verifex.engine.falsify.points import BATCH, Samples
from verifex.engine.margin import batch_margin, deciding_forms
from verifex.ir.exact import FloatArray
from verifex.ir.formula import TRUE, Atom, Dominance, Form, Formula, Junction, fold
from verifex.ir.problem import Objective, Problem
from verifex.semantics.evaluate import evaluate_float

MOST_NUMBERS = 4_000_000
"""Slopes (inputs times elements of nodes) that are taken at most for a piece."""

_PAIRS = 200
"""Comparisons of a block that are raised together; of a larger block only the deciding one is."""

_TRIES = 16
"""Neighbours of a piece whose linear programs are solved, at most."""

_WALLS = 256
"""Units at the walls of a piece that are turned one at a time, at most."""

_NEAR = 1e-6
"""A unit is at its kink up to this part of the box."""

_OPEN = 8
"""Units at their kinks of which all choices are looked at; of more, random ones."""

_STALE = 40
"""Turns without a new piece or a better value after which nothing more is expected."""

_CHOICES = 24
_BETTER = 1e-12


class PieceSearch:
    """A local search that can be continued: its state lasts between calls of `run`.

    With an objective it looks for the greatest (or least) value of a form where the assumption
    holds, else for a violation of the claim. `starts` (n,) are points to begin with. `value` is
    what it found in floats, times -1 for a minimum, and `point` where: strictly inside a piece,
    unless it is one of the points that were only sampled. Raises UnsupportedError for trees.
    """

    def __init__(
        self, problem: Problem, objective: Objective | None = None, seed: int = 0,
        starts: Sequence[FloatArray] = (),
    ) -> None:
        self.problem, self.samples = problem, Samples.of(problem)
        whole = {*problem.region.integers, *(i for g in problem.region.one_hot for i in g)}
        moved = np.array([i for i in self.samples.free.tolist() if i not in whole], dtype=np.intp)
        self.local = LocalGraph(problem.graph, problem.targets(), moved)
        self.form: Form | None = None
        if objective is not None:
            self.form = objective.form if objective.maximise else -objective.form
        self.wished = problem.assume if objective is not None else problem.violation()
        self.rng, self.value = np.random.default_rng(seed), -np.inf
        self.point: FloatArray | None = None
        self.pieces, self.ended = 0, not len(moved) or self._too_large()
        self._starts, self._seen = deque(starts), set[bytes]()
        self._program: PieceProgram | None = None
        self._budget = Budget(0.0)
        self._steps = self._all_steps()

    def _too_large(self) -> bool:
        graph = self.problem.graph
        numbers = sum(graph.nodes[i].size for i in self.local.order) * len(self.local.moved)
        return numbers > MOST_NUMBERS

    def start_at(self, point: FloatArray) -> None:
        """Begin here next."""
        self._starts.append(point)

    def run(self, budget: Budget, enough: float = np.inf) -> None:
        """Go on until the budget is spent or a value of at least `enough` is found."""
        while not (self.ended or budget.spent or self.value >= enough):
            self.step(budget)

    def step(self, budget: Budget) -> None:
        """Go on by one piece, or one batch of points."""
        self._budget = budget
        self.ended = self.ended or next(self._steps, self) is self

    def values(self, points: FloatArray) -> FloatArray:
        """What is sought at flat inputs (B, n), in floats; -inf where the assumption fails."""
        size = len(points)
        with np.errstate(all="ignore"):
            nodes = evaluate_float(self.problem.graph, points, self.problem.targets())
            score = np.broadcast_to(np.asarray(batch_margin(self.wished, nodes, np)), (size,))
            if self.form is not None:
                total = np.full(size, float(self.form.const))
                for (node, index), c in self.form.terms:
                    total += float(c) * nodes[node].reshape(size, -1)[:, index]
                score = np.where(score >= 0, total, -np.inf)
        return np.where(np.isnan(score), -np.inf, score)

    def _all_steps(self) -> Iterator[None]:
        self._program = PieceProgram(self.local, self.samples)
        self._try(self.samples.inside(self.samples.centre[None]))
        turn, stale = 0, 0
        while stale < _STALE:
            known = self.pieces, self.value
            while self._starts:
                yield from self._from(self._starts.popleft())
            near = turn % 2 == 1 and self.point is not None
            batch = self._beside(self.point, turn) if near and self.point is not None else next(
                self.samples.random_batches(self.rng, 1))
            score = self._try(batch)
            yield
            for k in np.argsort(-score)[: 1 if near else 2].tolist():
                yield from self._from(batch[k])
            turn, stale = turn + 1, 0 if (self.pieces, self.value) != known else stale + 1

    def _beside(self, point: FloatArray, turn: int) -> FloatArray:
        """Points that differ from one in some inputs, by less in every other turn."""
        samples, size = self.samples, self.samples.region.size
        width = 0.5 ** (turn // 2 % 6)
        shift = width * (samples.hi - samples.lo) * self.rng.uniform(-1, 1, (BATCH, size))
        ends = self.rng.random((BATCH, 1)) < 0.5
        moved = self.rng.random((BATCH, size)) < self.rng.random((BATCH, 1))
        changed = np.where(ends, samples.corners(self.rng, BATCH), point + shift)
        batch = np.where(moved, changed, point)
        return samples.inside(np.clip(batch, samples.lo, samples.hi))

    def _try(self, points: FloatArray) -> FloatArray:
        """Keep the best of some points of the region; their values."""
        score = self.values(points)
        k = int(score.argmax())
        if score[k] > self.value:
            self.value, self.point = float(score[k]), points[k].copy()
        return score

    def _goal(self, point: FloatArray) -> PieceGoal | None:
        """What is raised, and kept, near a point."""
        with np.errstate(all="ignore"):
            nodes = evaluate_float(self.problem.graph, point[None], self.problem.targets())
        forms = () if self.wished == TRUE else raised(self.wished, nodes)
        if self.form is not None:
            return PieceGoal((self.form,), forms)
        return PieceGoal(forms) if forms else None

    def _from(self, start: FloatArray) -> Iterator[None]:
        """The best pieces that are reached from a point: from its own, or if it lies at kinks, from
        those of the patterns that meet there, best values first."""
        goal = self._goal(start)
        if goal is None:
            return
        for signs in self._patterns_at(start, goal):
            found = self._solved(start, signs, goal)
            yield
            if found is not None:
                yield from self._ascend(found, goal)

    def _ascend(self, found: BestOfPiece, goal: PieceGoal) -> Iterator[None]:
        """From one piece to better ones beside it until there is none."""
        while True:
            better = None
            for signs in self._neighbours(found, goal):
                one = self._solved(found.point, signs, goal)
                yield
                if one is not None and one.value > found.value + _BETTER * (1 + abs(found.value)):
                    better = one
                    break
            if better is None:
                return
            found = better
            goal = self._goal(found.point) or goal

    def _solved(self, point: FloatArray, signs: Signs, goal: PieceGoal) -> BestOfPiece | None:
        """The best point of a piece that was not looked at before, kept if it is the best."""
        key = np.packbits(signs).tobytes()
        if key in self._seen or self._program is None:
            return None
        self._seen.add(key)
        self.pieces += 1
        found = self._program.best(point, signs, goal, lambda: self._budget.left)
        if found is not None:
            # What tangents leave of a ball reaches beyond it, and rows are met but for rounding.
            self._try(self.samples.inside(found.point[None]))
        return found

    def _patterns_at(self, point: FloatArray, goal: PieceGoal) -> list[Signs]:
        """The patterns of the pieces that meet at a point, those with the best values first."""
        signs = self.local.signs(point[None])[0]
        there = self.local.at(point, signs[None], goal.raised)
        half = (self.samples.hi - self.samples.lo)[self.local.moved] / 2
        reach = np.linalg.norm(there.unit_slopes[0] * half, axis=1)
        near = np.flatnonzero((np.abs(there.units[0]) <= _NEAR * reach) & (reach > 0))
        if not len(near):
            return [signs]
        if len(near) <= _OPEN:
            choices = np.array(list(product((False, True), repeat=len(near))))
        else:
            choices = self.rng.random((2**_OPEN, len(near))) < 0.5
        patterns = np.repeat(signs[None], len(choices), axis=0)
        patterns[:, near] = choices
        return self._best_first(point, patterns, goal)[:_CHOICES]

    def _best_first(self, point: FloatArray, patterns: Signs, goal: PieceGoal) -> list[Signs]:
        values = self.local.at(point, patterns, goal.raised, slopes=False).values.min(axis=1)
        return [patterns[k] for k in np.argsort(-values, kind="stable")]

    def _neighbours(self, found: BestOfPiece, goal: PieceGoal) -> list[Signs]:
        """Patterns that differ from a piece's in one unit, those that may be better first."""
        units: NDArray[np.intp] = found.walls if found.flat else found.at_point
        if len(units) > _WALLS:
            units = self.rng.choice(units, _WALLS, replace=False)
        if not len(units):
            return []
        patterns = np.repeat(found.signs[None], len(units), axis=0)
        patterns[np.arange(len(units)), units] ^= True
        values = self.local.at(found.point, patterns, goal.raised, slopes=False).values.min(axis=1)
        slack = _NEAR * (1 + abs(found.value))
        least = found.value + slack if found.flat else found.value - slack
        order = [k for k in np.argsort(-values, kind="stable").tolist() if values[k] >= least]
        return [patterns[k] for k in order[:_TRIES]]


def raised(formula: Formula, values: dict[int, FloatArray]) -> tuple[Form, ...]:
    """The forms the least of which is a formula's margin at a point (values of a batch of one), of
    each disjunction those of its best part: as they rise, so does the margin."""

    def atom(formula: Atom) -> tuple[float, tuple[Form, ...]]:
        form = formula.form
        value = float(form.const) + sum(
            float(c) * float(values[node].reshape(-1)[i]) for (node, i), c in form.terms)
        return value, (form,)

    def block(formula: Dominance) -> tuple[float, tuple[Form, ...]]:
        if len(formula.winners) * len(formula.losers) <= _PAIRS:
            return fold(formula.expand(), atom, join)
        forms, deciding = deciding_forms(formula, values)
        margin = float(np.asarray(batch_margin(formula, values, np)).reshape(-1)[0])
        return margin, (forms[deciding[0]],) if deciding[0] >= 0 else ()

    def join(
        junction: Junction, parts: list[tuple[float, tuple[Form, ...]]]
    ) -> tuple[float, tuple[Form, ...]]:
        needed = junction.needed
        if not 0 < needed <= len(parts):
            return (np.inf if needed <= 0 else -np.inf), ()
        best = sorted(parts, key=lambda part: -part[0])[:needed]
        return best[-1][0], tuple(dict.fromkeys(form for _, forms in best for form in forms))

    with np.errstate(all="ignore"):
        return fold(formula, atom, join, block)[1]
