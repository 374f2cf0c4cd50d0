"""Bounds of rows with numpy alone: projected Adam by derivatives written by hand.

For small networks, where the passes take less time than torch takes to be loaded. Steps, starts and
rounding are those of `optimise.py`; a test holds both to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import SHORT, Bounds, Effort, Params, RowArithmetic, RowTask
from verifex.engine.bounds.region_rows import Linear, levelled
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Graph
from verifex.semantics.evaluate import NumpyBackend, evaluate_float
from verifex.semantics.linear import Rows, concretise, minimisers
from verifex.semantics.linear_slopes import parameter_slopes
from verifex.semantics.parameters import REGION_ROWS, Parameter
from verifex.semantics.support.balls import FloatBall


class PlainBounder:
    """Bounds rows of one graph without smooth functions and trees. Once `stopped` says so, the
    parameters found so far will do."""

    forks = True

    def __init__(
        self,
        graph: Graph,
        linear: Linear | None = None,
        balls: Sequence[FloatBall] = (),
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.graph, self.linear, self.balls = graph, linear, tuple(balls)
        self.threads, self._stopped = 1, stopped
        self._xp = NumpyBackend()
        self.arithmetic = RowArithmetic(graph, self._xp, linear, self.balls)

    @property
    def groups(self) -> int:
        """One-hot groups, whose rows have multipliers that are known at sight."""
        return 0 if self.linear is None else self.linear.groups

    def start(self, rows: Rows, targets: Sequence[int]) -> Params:
        """See `Bounder`."""
        with np.errstate(all="ignore"):
            return self.arithmetic.begin(rows, targets)

    def evaluate(
        self,
        rows: Rows,
        start: Mapping[int, FloatArray],
        params: Mapping[Parameter, FloatArray],
        lo: FloatArray,
        hi: FloatArray,
        reached: dict[int, FloatArray] | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Bounder`."""
        with np.errstate(all="ignore"):
            return self.arithmetic.evaluated(RowTask(rows, start, lo, hi), params, reached)

    def evaluate_grouped(
        self,
        rows: Rows,
        start: Mapping[int, FloatArray],
        params: Params,
        lo: FloatArray,
        hi: FloatArray,
        reached: dict[int, FloatArray] | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Bounder`."""
        with np.errstate(all="ignore"):
            return self.arithmetic.grouped(RowTask(rows, start, lo, hi), params, reached)

    def values(self, points: FloatArray, nodes: Sequence[int]) -> dict[int, FloatArray]:
        """See `Bounder`."""
        with np.errstate(all="ignore"):
            found = evaluate_float(self.graph, points, nodes)
        return {i: v.reshape(len(points), -1) for i, v in found.items()}

    def bound(
        self,
        rows: Rows,
        start: Mapping[int, FloatArray],
        lo: FloatArray,
        hi: FloatArray,
        effort: Effort,
        warm: Mapping[Parameter, FloatArray] | None = None,
        goal: float | FloatArray = float("inf"),
        bits: int = SHORT,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Bounds:
        """See `Bounder`."""
        task = RowTask(rows, start, lo, hi)
        goals = np.broadcast_to(np.asarray(goal, dtype=np.float64), (rows.count,))
        with np.errstate(all="ignore"):
            first = self.arithmetic.first(task, warm or {})
            best = self._best(task, first, effort, goals, stopped)
            return self.arithmetic.final(task, best, bits)

    # --- optimising -----------------------------------------------------------------------------

    def _best(
        self, task: RowTask, first: Params, effort: Effort, goals: FloatArray,
        stopped: Callable[[], bool],
    ) -> Params:
        """The best parameters that were seen, beginning with `first`."""
        best = {k: v.copy() for k, v in first.items()}
        least = np.full(len(goals), -np.inf)
        known = self.groups and not (self.linear is None or self.linear.before_groups)
        run = _PlainAdam(
            task, {k: v for k, v in first.items() if k != REGION_ROWS or not known}, effort)
        for step in range(effort.iterations + 1):
            value, slopes = self._climb(run.task, run.params, step < effort.iterations)
            better = value > least[run.at]
            improved = run.at[better]
            least[improved] = value[better]
            for k, v in run.params.items():
                best[k][improved] = v[better]
            going = least[run.at] <= goals[run.at]
            if step == effort.iterations or not going.any():
                break
            # Sound: any parameters will do, so the search for better ones may end at any time.
            if self._stopped() or stopped() or not any(v.any() for v in slopes.values()):
                break
            run.step(slopes, going)
        return best

    def _climb(
        self, task: RowTask, params: Params, climbs: bool
    ) -> tuple[FloatArray, Params]:
        """Lower bounds (R,) as they steer, and their derivatives by the parameters, if wanted."""
        reached: dict[int, FloatArray] = {}
        coefs, const = self.arithmetic.form(task, params, reached if climbs else None)
        gamma, linear = params.get(REGION_ROWS), self.linear
        bare = coefs
        if linear is not None and linear.groups:
            least, coefs = levelled(linear, coefs, task.hi)
            const = const + least.sum(axis=1)
        value = concretise(coefs, const, task.lo, task.hi, self.balls)
        if not climbs:
            return value, {}
        x = minimisers(coefs, task.lo, task.hi, self.balls)
        if linear is not None and linear.groups:
            x = _on_groups(linear, bare, task.hi, x)
        slopes = parameter_slopes(
            self.graph, task.rows, task.start, params, reached, x, self._linear)
        if linear is not None and gamma is not None:
            slopes[REGION_ROWS] = x @ linear.a.T - linear.b
        return value, slopes

    def _linear(self, what: Any, values: FloatArray | None = None) -> FloatArray:
        """A map of values, or a constant as floats."""
        return self._xp.tensor(what) if values is None else self._xp.linear(what, values)


def _on_groups(linear: Linear, coefs: FloatArray, hi: FloatArray, x: FloatArray) -> FloatArray:
    """The derivative (R, n) of levelled bounds by the coefficients, by that of what is left.

    The least coefficient of a group counts once, and is taken from every member of it.
    """
    out, of = x.copy(), linear.group_of
    for group in range(linear.groups if of is not None else 0):
        members = np.flatnonzero(of == group)
        allowed = np.where(hi[:, members] >= 1, coefs[:, members], np.inf)
        if not len(members):
            continue
        least = allowed.argmin(axis=1)
        some = np.isfinite(allowed.min(axis=1))
        rest = np.where(some, 1.0 - x[:, members].sum(axis=1), 0.0)
        out[np.arange(len(out)), members[least]] += rest
    return out


class _PlainAdam:
    """Rows that are still improved (`at`: which), by Adam (Kingma and Ba, 2015) ascending.

    Projected on [0, 1] or, for multipliers, on >= 0. What comes of a row does not depend on others.
    """

    def __init__(self, task: RowTask, params: Params, effort: Effort) -> None:
        self.task, self.params, self.effort, self.t = task, dict(params), effort, 0
        self.at = np.arange(task.rows.count)
        self.m = {k: np.zeros_like(v) for k, v in params.items()}
        self.v = {k: np.zeros_like(v) for k, v in params.items()}

    def step(self, slopes: Mapping[Parameter, FloatArray], going: NDArray[np.bool_]) -> None:
        """One step of the rows that are `going`; the others are left out from here on."""
        if not going.all():
            slopes = {k: g[going] for k, g in slopes.items()}
            self.at, self.task = self.at[going], self.task.part(going)
            for held in (self.params, self.m, self.v):
                held.update({k: v[going] for k, v in held.items()})
        self.t += 1
        rate = self.effort.step * self.effort.decay**self.t
        for k, g in slopes.items():
            self.m[k] = 0.9 * self.m[k] + 0.1 * g
            self.v[k] = 0.99 * self.v[k] + 0.01 * g * g
            m, v = self.m[k] / (1 - 0.9**self.t), self.v[k] / (1 - 0.99**self.t)
            moved = self.params[k] + rate * m / (np.sqrt(v) + 1e-12)
            self.params[k] = np.clip(moved, 0.0, None if k.is_multiplier else 1.0)
