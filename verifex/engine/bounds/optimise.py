"""Optimised linear bounds for a batch of rows: projected Adam on the relaxations' free parameters.

Steering in floating point. The parameters that come back are rounded to short dyadics
(multiples of 2**-`BITS`), and the bound that comes with them was computed with the rounded ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from verifex.engine.bounds.facts import BITS
from verifex.engine.bounds.region_rows import Linear, group_multipliers, levelled
from verifex.engine.bounds.rounding import UNITS
from verifex.ir.graph import Graph
from verifex.ir.ops import Gate
from verifex.semantics.linear import (
    Rows,
    concretise,
    gate_mix,
    node_params,
    relu_planes,
    substitute,
)
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind
from verifex.semantics.support.balls import FloatBall
from verifex.semantics.torch_backend import TorchBackend

Tensor = torch.Tensor


SHORT, FINE = 12, 40
"""Significant bits of multipliers: of those that were optimised, and of duals of linear programs,
which are exact up to rounding and close leaves that nothing less exact would."""


@dataclass
class Bounds:
    """Lower bounds (R,) with the parameters (R, size each) that attain them.

    `coefs` (R, n) and `const` (R,) are the linear bound itself, `reached` the coefficients that
    arrived at every node.
    """

    value: Tensor
    params: dict[Parameter, Tensor]
    coefs: Tensor
    const: Tensor
    reached: dict[int, Tensor]


@dataclass(frozen=True)
class Effort:
    """How long to optimise: iterations and the step length at the start."""

    iterations: int = 20
    step: float = 0.15
    decay: float = 0.97


class Bounder:
    """Bounds rows of one graph. Keeps constants as tensors; not for use by two threads at once.

    What is given and what comes back lies on the CPU; the arithmetic is done on `device`. With
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
        self.host = self.xp if device == "cpu" else TorchBackend(dtype)
        self._far: Linear | None = None
        if linear is not None:
            a, b = (self._to(v).to(dtype) for v in (linear.a, linear.b))
            of = None if linear.group_of is None else self._to(linear.group_of)
            self._far = Linear(a, b, linear.groups, of)
        self._steer = self
        if coarse:
            self._steer = Bounder(graph, device, torch.float32, linear, balls, stopped=stopped)

    def _to(self, value: Tensor) -> Tensor:
        return value.to(self.xp.device)

    def _rows_to(self, rows: Rows) -> Rows:
        if self.host is self.xp:
            return rows
        return rows.to(device=self.xp.device)

    def start(self, rows: Rows, targets: list[int]) -> dict[Parameter, Tensor]:
        """What to begin with: adaptive slopes, chords for gates, half ties, no multipliers."""
        out: dict[Parameter, Tensor] = {}
        for key, size in node_params(self.graph, targets):
            node = self.graph.nodes[key.node]
            if key.kind is ParameterKind.ALPHA:
                out[key] = relu_planes(*rows.box(node.args[0]))[0]
            elif isinstance(node.op, Gate):
                below, above = gate_mix(*rows.box(node.args[1]))
                # Rounded: at the chord itself the gate's coefficient is zero up to rounding, and
                # the noise's sign would choose the gradient (and so differ from batch to batch).
                first = key.kind is ParameterKind.MIX_BELOW
                out[key] = shorten(key, below if first else above)
            else:
                out[key] = torch.full((rows.count, size), 0.5, dtype=self.xp.dtype)
        needed = set(self.graph.ancestors(targets))
        for z in rows.split:
            if z in needed:
                size = self.graph.nodes[z].size
                beta = Parameter(ParameterKind.BETA, z)
                out[beta] = torch.zeros((rows.count, size), dtype=self.xp.dtype)
        if self.linear is not None:
            shape = (rows.count, self.linear.b.shape[0])
            out[REGION_ROWS] = torch.zeros(shape, dtype=self.xp.dtype)
        return {k: v.to(rows.domain.device) for k, v in out.items()}

    def evaluate(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        params: Mapping[Parameter, Tensor],
        lo: Tensor,
        hi: Tensor,
        reached: dict[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(lower bounds, input coefficients, constants) for given parameters."""
        start = {i: self._to(v) for i, v in start.items()}
        params = {k: self._to(v) for k, v in params.items()}
        rows, lo, hi = self._rows_to(rows), self._to(lo), self._to(hi)
        value, coefs, const = self._evaluate(rows, start, params, lo, hi, reached)
        return sure(value, coefs, const, lo, hi).cpu(), coefs.cpu(), const.cpu()

    @property
    def groups(self) -> int:
        """One-hot groups, whose rows have multipliers that are known at sight."""
        return 0 if self.linear is None else self.linear.groups

    def evaluate_grouped(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        params: dict[Parameter, Tensor],
        lo: Tensor,
        hi: Tensor,
        reached: dict[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`evaluate` with the best multipliers of the rows of groups, which are put into the
        parameters; all on the CPU."""
        linear = self.linear
        if linear is None or not linear.groups:
            return self.evaluate(rows, start, params, lo, hi, reached)
        gamma = params[REGION_ROWS].clone()
        gamma[:, linear.before_groups :] = 0.0
        without = {**params, REGION_ROWS: gamma}
        _, coefs, const = self.evaluate(rows, start, without, lo, hi, reached)
        more = group_multipliers(linear, coefs, hi)
        params[REGION_ROWS] = gamma + more
        coefs, const = coefs + more @ linear.a, const - more @ linear.b
        value = concretise(coefs, const, lo, hi, self.balls)
        return sure(value, coefs, const, lo, hi), coefs, const

    def _evaluate(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        params: Mapping[Parameter, Tensor],
        lo: Tensor,
        hi: Tensor,
        reached: dict[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`evaluate` with everything on the device."""
        coefs, const = self._form(rows, start, params, reached)
        return concretise(coefs, const, lo, hi, self.balls), coefs, const

    def _form(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        params: Mapping[Parameter, Tensor],
        reached: dict[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Input coefficients and constants for given parameters."""
        coefs, const = substitute(self.graph, rows, start, params, self.xp, reached)
        gamma = params.get(REGION_ROWS)
        if self._far is not None and gamma is not None:
            # Sound: gamma >= 0 and a x <= b, so f >= f + gamma (a x - b) on the region.
            coefs = coefs + gamma @ self._far.a
            const = const - gamma @ self._far.b
        return coefs, const

    def _steered(self, task: _Task, params: Mapping[Parameter, Tensor]) -> Tensor:
        """Lower bounds (R,) with the best multipliers of the rows of groups."""
        coefs, const = self._form(task.rows, task.start, params)
        if self._far is not None and self._far.groups:
            least, coefs = levelled(self._far, coefs, task.hi)
            const = const + least.sum(dim=1)
        return concretise(coefs, const, task.lo, task.hi, self.balls)

    def bound(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        lo: Tensor,
        hi: Tensor,
        effort: Effort,
        warm: Mapping[Parameter, Tensor] | None = None,
        goal: float | Tensor = float("inf"),
        bits: int = SHORT,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Bounds:
        """Optimised lower bounds; a row stops as soon as it exceeds `goal`. Multipliers are kept to
        so many `bits`. Once `stopped` says so, too, the parameters found so far will do."""
        rows, lo, hi = self._rows_to(rows), self._to(lo), self._to(hi)
        start = {i: self._to(v) for i, v in start.items()}
        first = self._first(rows, start, lo, hi, warm or {})
        goals = torch.as_tensor(goal, dtype=self.xp.dtype, device=self.xp.device).expand(rows.count)
        task, steer = _Task(rows, start, lo, hi), self._steer
        if steer is self:
            best = self._best(task, first, effort, goals, stopped)
        else:
            # Sound: float32 only finds the multipliers with which the bound is then taken.
            dtype = steer.xp.dtype
            begun = {k: v.to(dtype) for k, v in first.items()}
            reached = (goals + 1e-6 * goals.abs()).to(dtype)
            found = steer._best(task.cast(dtype), begun, effort, reached, stopped)
            best = {k: v.to(self.xp.dtype) for k, v in found.items()}
        return self._final(rows, start, lo, hi, best, bits)

    def _best(
        self, task: _Task, first: dict[Parameter, Tensor], effort: Effort, goals: Tensor,
        stopped: Callable[[], bool],
    ) -> dict[Parameter, Tensor]:
        """The best parameters that were seen, beginning with `first`."""
        best = {k: v.clone() for k, v in first.items()}
        least = torch.full_like(goals, -torch.inf)
        known = self._far is not None and self._far.groups and not self._far.before_groups
        free = {k: v.clone() for k, v in first.items() if k != REGION_ROWS or not known}
        run = _Run(task, free, effort)
        for step in range(effort.iterations + 1):
            for v in run.params.values():
                v.requires_grad_()
            t = run.task
            value = self._steered(t, run.params)
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

    def _first(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        lo: Tensor,
        hi: Tensor,
        warm: Mapping[Parameter, Tensor],
    ) -> dict[Parameter, Tensor]:
        """For every row the best of three starts: what it inherits, afresh, and slopes afresh with
        inherited multipliers (slopes that suited wider bounds can be far worse than none)."""
        fresh = self.start(rows, list(start))
        if not warm.keys() & fresh.keys():
            return fresh
        old = {k: self._to(warm[k]) if k in warm else v for k, v in fresh.items()}
        mixed = {k: (old if k.is_multiplier else fresh)[k] for k in fresh}
        starts = [old, fresh, mixed]
        with torch.no_grad():
            task = _Task(rows, start, lo, hi)
            values = [self._steered(task, p) for p in starts]
        # What is no number is the worst start, not the best.
        best = torch.stack([v.nan_to_num(nan=-torch.inf) for v in values]).argmax(dim=0)
        row = torch.arange(rows.count, device=best.device)
        return {k: torch.stack([p[k] for p in starts])[best, row] for k in fresh}

    def _final(
        self,
        rows: Rows,
        start: Mapping[int, Tensor],
        lo: Tensor,
        hi: Tensor,
        params: dict[Parameter, Tensor],
        bits: int,
    ) -> Bounds:
        """The bound with parameters as a certificate will hold them."""
        short = {k: shorten(k, v, bits) for k, v in params.items()}
        reached: dict[int, Tensor] = {}
        with torch.no_grad():
            if self._far is not None and self._far.groups:
                short[REGION_ROWS][:, self._far.before_groups :] = 0.0
                _, coefs, _ = self._evaluate(rows, start, short, lo, hi)
                more = group_multipliers(self._far, coefs, hi)
                short[REGION_ROWS] = short[REGION_ROWS] + more
            value, coefs, const = self._evaluate(rows, start, short, lo, hi, reached)
        return Bounds(
            sure(value, coefs, const, lo, hi).cpu(),
            {k: v.cpu() for k, v in short.items()},
            coefs.cpu(),
            const.cpu(),
            {i: v.cpu() for i, v in reached.items()},
        )


def sure(value: Tensor, coefs: Tensor, const: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Bounds less what floats are likely to err in them: the greater the coefficients, the more.

    A gate whose pre-activation is all but constant is tied to it with a factor that is huge, and
    what cancels in the sum over the inputs leaves its rounding error behind. A measure and no
    bound: what cancels on the way there is not seen. Certificates are checked exactly.
    """
    size = (coefs.abs() * torch.maximum(lo.abs(), hi.abs())).sum(dim=-1) + const.abs()
    # Sound: infinite bounds of a node may leave no number, which is no bound at all. Kept as one,
    # it would drop out of every comparison and every minimum.
    lower = value - UNITS * size
    return torch.where(torch.isnan(lower), torch.full_like(lower, -torch.inf), lower)


def shorten(key: Parameter, value: Tensor, bits: int = SHORT) -> Tensor:
    """Parameters as short dyadics: fractions to BITS bits, multipliers to so many significant
    bits."""
    if key.is_multiplier:
        mantissa, exponent = torch.frexp(value)
        short: Tensor = torch.ldexp(torch.round(mantissa * 2**bits) / 2**bits, exponent)
        return short
    fraction: Tensor = torch.round(value * 2**BITS) / 2**BITS
    return fraction


@dataclass
class _Task:
    """Rows to bound: start coefficients and input boxes (R, n) each."""

    rows: Rows
    start: Mapping[int, Tensor]
    lo: Tensor
    hi: Tensor

    def cast(self, dtype: torch.dtype) -> _Task:
        """With numbers of another type."""
        start = {i: v.to(dtype) for i, v in self.start.items()}
        return _Task(self.rows.to(dtype), start, self.lo.to(dtype), self.hi.to(dtype))

    def part(self, which: Tensor) -> _Task:
        """The rows `which` (R,), a mask."""
        start = {i: v[which] for i, v in self.start.items()}
        return _Task(self.rows.part(which), start, self.lo[which], self.hi[which])


class _Run:
    """Rows that are still improved (`at`: which), by Adam (Kingma and Ba, 2015) ascending.

    Projected on [0, 1] or, for multipliers, on >= 0. What comes of a row does not depend on others.
    """

    def __init__(self, task: _Task, params: dict[Parameter, Tensor], effort: Effort) -> None:
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
