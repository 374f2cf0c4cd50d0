"""Bounds of rows with torch: projected Adam by its derivatives, on any device.

`bounder.py` says what a bounder is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from verifex.engine.bounds.bounder import (
    SHORT,
    Bounds,
    Effort,
    Params,
    RowArithmetic,
    RowTask,
)
from verifex.engine.bounds.region_rows import Linear
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Graph
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import REGION_ROWS, Parameter
from verifex.semantics.support.balls import FloatBall
from verifex.semantics.torch_backend import TorchBackend, evaluate_torch

Tensor = torch.Tensor


class TorchBounder:
    """Bounds rows of one graph. Keeps constants as tensors; not for use by two threads at once.

    What is given and what comes back are arrays of numpy; the arithmetic is done on `device`. With
    `coarse`, multipliers are searched for in float32, at half the cost where matrix products
    dominate; the bound that comes with them is of the full type all the same. Once `stopped` says
    so, the parameters found so far will do.
    """

    def __init__(
        self,
        graph: Graph,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        linear: Linear | None = None,
        balls: Sequence[FloatBall] = (),
        *,
        coarse: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.graph, self.linear, self.balls = graph, linear, tuple(balls)
        self._stopped = stopped
        self.xp = TorchBackend(dtype, device)
        far = None
        if linear is not None:
            far = Linear(self._to(linear.a), self._to(linear.b), linear.groups, linear.group_of)
        self.arithmetic = RowArithmetic(graph, self.xp, far, self.balls)
        self._steer = self
        if coarse:
            self._steer = TorchBounder(graph, device, torch.float32, linear, balls, stopped=stopped)

    @property
    def groups(self) -> int:
        """One-hot groups, whose rows have multipliers that are known at sight."""
        return 0 if self.linear is None else self.linear.groups

    @property
    def threads(self) -> int:
        """Threads inside one operation; those of the whole process."""
        return torch.get_num_threads()

    @threads.setter
    def threads(self, count: int) -> None:
        torch.set_num_threads(count)

    @property
    def forks(self) -> bool:
        """Whether a forked process can use it: neither a GPU nor, where torch sees one, its
        automatic derivatives work there."""
        return self.xp.device == "cpu" and not torch.accelerator.is_available()

    def _to(self, value: Any) -> Tensor:
        """An array on the device, with its own memory where it may not be written to."""
        if isinstance(value, np.ndarray) and not value.flags.writeable:
            value = value.copy()
        return torch.as_tensor(value, dtype=self.xp.dtype, device=self.xp.device)

    def _all(self, values: Mapping[Any, Any]) -> dict[Any, Tensor]:
        return {key: self._to(v) for key, v in values.items()}

    def _rows(self, rows: Rows) -> Rows:
        domain = torch.as_tensor(rows.domain, device=self.xp.device)
        return Rows(self._all(rows.lo), self._all(rows.hi), domain, self._all(rows.split))

    def _task(
        self, rows: Rows, start: Mapping[int, Any], lo: Any, hi: Any
    ) -> RowTask:
        """The task on the device, in the type of this bounder."""
        return RowTask(self._rows(rows), self._all(start), self._to(lo), self._to(hi))

    def start(self, rows: Rows, targets: Sequence[int]) -> Params:
        """See `Bounder`."""
        found = self.arithmetic.begin(self._rows(rows), targets)
        return {key: _back(v) for key, v in found.items()}

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
        arrived: dict[int, Tensor] = {}
        with torch.no_grad():
            found = self.arithmetic.evaluated(
                self._task(rows, start, lo, hi), self._all(params),
                None if reached is None else arrived)
        return _all_back(found, arrived, reached)

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
        mine = self._all(params)
        arrived: dict[int, Tensor] = {}
        with torch.no_grad():
            found = self.arithmetic.grouped(
                self._task(rows, start, lo, hi), mine, None if reached is None else arrived)
        if REGION_ROWS in params:
            params[REGION_ROWS] = _back(mine[REGION_ROWS])
        return _all_back(found, arrived, reached)

    def values(self, points: FloatArray, nodes: Sequence[int]) -> dict[int, FloatArray]:
        """See `Bounder`."""
        with torch.no_grad():
            found = evaluate_torch(self.graph, self._to(points), nodes, self.xp)
            return {i: _back(v.reshape(len(points), -1)) for i, v in found.items()}

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
        task, steer = self._task(rows, start, lo, hi), self._steer
        with torch.no_grad():
            first = self.arithmetic.first(task, self._all(warm or {}))
        goals = self._to(goal).expand(rows.count)
        if steer is self:
            best = self._best(task, first, effort, goals, stopped)
        else:
            # Sound: float32 only finds the multipliers with which the bound is then taken.
            reached = steer._to(goals + 1e-6 * goals.abs())
            coarse = steer._task(task.rows, task.start, task.lo, task.hi)
            best = self._all(steer._best(coarse, steer._all(first), effort, reached, stopped))
        with torch.no_grad():
            found = self.arithmetic.final(task, best, bits)
        return Bounds(
            _back(found.value), {k: _back(v) for k, v in found.params.items()},
            _back(found.coefs), _back(found.const),
            {i: _back(v) for i, v in found.reached.items()})

    def _best(
        self, task: RowTask, first: dict[Parameter, Tensor], effort: Effort, goals: Tensor,
        stopped: Callable[[], bool],
    ) -> dict[Parameter, Tensor]:
        """The best parameters that were seen, beginning with `first`."""
        best = {k: v.clone() for k, v in first.items()}
        least = torch.full_like(goals, -torch.inf)
        known = self.linear is not None and self.linear.groups and not self.linear.before_groups
        free = {k: v.clone() for k, v in first.items() if k != REGION_ROWS or not known}
        run = _TensorAdam(task, free, effort)
        for step in range(effort.iterations + 1):
            for v in run.params.values():
                v.requires_grad_()
            t = run.task
            value = self.arithmetic.steered(t, run.params)
            better = value.detach() > least[run.at]
            improved = run.at[better]
            least[improved] = value.detach()[better]
            for k, v in run.params.items():
                best[k][improved] = v.detach()[better]
            going = least[run.at] <= goals[run.at]
            if step == effort.iterations or not run.params or not bool(going.any()):
                break
            # Thousands of rows take seconds an iteration. Sound: any parameters will do.
            if self._stopped() or stopped():
                break
            if not value.requires_grad:  # no undecided node has a part in any of the rows
                break
            grads = torch.autograd.grad(
                value[going].sum(), list(run.params.values()), allow_unused=True
            )
            run.step(dict(zip(run.params, grads, strict=True)), going)
        return best


def _back(value: Any) -> FloatArray:
    """A tensor as an array of numpy."""
    return np.asarray(value.cpu().numpy())


def _all_back(
    found: tuple[Any, Any, Any], arrived: Mapping[int, Tensor],
    reached: dict[int, FloatArray] | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What an evaluation found, with the coefficients that arrived put where they are wanted."""
    if reached is not None:
        reached.update((i, _back(v)) for i, v in arrived.items())
    value, coefs, const = map(_back, found)
    return value, coefs, const


class _TensorAdam:
    """Rows that are still improved (`at`: which), by Adam (Kingma and Ba, 2015) ascending.

    Projected on [0, 1] or, for multipliers, on >= 0. What comes of a row does not depend on others.
    """

    def __init__(self, task: RowTask, params: dict[Parameter, Tensor], effort: Effort) -> None:
        self.task, self.params, self.effort, self.t = task, params, effort, 0
        self.at = torch.arange(task.rows.count, device=task.rows.domain.device)
        self.m = {k: torch.zeros_like(v) for k, v in params.items()}
        self.v = {k: torch.zeros_like(v) for k, v in params.items()}

    @torch.no_grad()
    def step(self, grads: dict[Parameter, Tensor | None], going: Tensor) -> None:
        """One step of the rows that are `going`; the others are left out from here on."""
        if not bool(going.all()):
            grads = {k: None if g is None else g[going] for k, g in grads.items()}
            self.at, self.task = self.at[going], self.task.part(going)
            for held in (self.params, self.m, self.v):
                for k, v in held.items():
                    held[k] = v.detach()[going]
        self.t += 1
        rate = self.effort.step * self.effort.decay**self.t
        for k, g in grads.items():
            if g is None:
                continue
            self.m[k].mul_(0.9).add_(g, alpha=0.1)
            self.v[k].mul_(0.99).addcmul_(g, g, value=0.01)
            m = self.m[k] / (1 - 0.9**self.t)
            v = self.v[k] / (1 - 0.99**self.t)
            moved = self.params[k].detach() + rate * m / (v.sqrt() + 1e-12)
            limit = None if k.is_multiplier else 1.0
            self.params[k] = moved.clamp(0.0, limit)
