"""Bounds of rows: the interface of what finds them, and what does not depend on how.

A bounder takes arrays of numpy and returns such; how it computes is its own affair
(`optimise.py` with torch, `plain_bounder.py` with numpy alone). Steering in floating point. The
parameters that come back are rounded to short dyadics (multiples of 2**-`BITS`), and the bound that
comes with them was computed with the rounded ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from verifex.engine.bounds.facts import BITS
from verifex.engine.bounds.region_rows import Linear, group_multipliers, levelled
from verifex.engine.bounds.rounding import UNITS
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Graph
from verifex.ir.ops import Gate
from verifex.semantics.linear import (
    LinearBackend,
    Rows,
    concretise,
    gate_mix,
    node_params,
    relu_planes,
    substitute,
)
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind
from verifex.semantics.support.arrays import Array, library
from verifex.semantics.support.balls import FloatBall

Params = dict[Parameter, FloatArray]
"""Values of relaxation parameters, (R, size) each."""

SHORT, FINE = 12, 40
"""Significant bits of multipliers: of those that were optimised, and of duals of linear programs,
which are exact up to rounding and close leaves that nothing less exact would."""


@dataclass
class Bounds:
    """Lower bounds (R,) with the parameters (R, size each) that attain them.

    `coefs` (R, n) and `const` (R,) are the linear bound itself, `reached` the coefficients that
    arrived at every node.
    """

    value: FloatArray
    params: Params
    coefs: FloatArray
    const: FloatArray
    reached: dict[int, FloatArray]


@dataclass(frozen=True)
class Effort:
    """How long to optimise: iterations and the step length at the start."""

    iterations: int = 20
    step: float = 0.15
    decay: float = 0.97


class Bounder(Protocol):
    """Bounds rows of one graph over a region with these rows and balls."""

    graph: Graph
    linear: Linear | None
    balls: tuple[FloatBall, ...]
    threads: int
    """Threads of one pass, where it uses several."""

    @property
    def forks(self) -> bool:
        """Whether it works in a forked process."""

    @property
    def groups(self) -> int:
        """One-hot groups, whose rows have multipliers that are known at sight."""

    def start(self, rows: Rows, targets: Sequence[int]) -> Params:
        """What to begin with: adaptive slopes, chords for gates, half ties, no multipliers."""

    def evaluate(
        self,
        rows: Rows,
        start: Mapping[int, FloatArray],
        params: Mapping[Parameter, FloatArray],
        lo: FloatArray,
        hi: FloatArray,
        reached: dict[int, FloatArray] | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(lower bounds, input coefficients, constants) for given parameters."""

    def evaluate_grouped(
        self,
        rows: Rows,
        start: Mapping[int, FloatArray],
        params: Params,
        lo: FloatArray,
        hi: FloatArray,
        reached: dict[int, FloatArray] | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`evaluate` with the best multipliers of the rows of groups, which are put into the
        parameters."""

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
        """Optimised lower bounds; a row stops as soon as it exceeds `goal`. Multipliers are kept to
        so many `bits`. Once `stopped` says so, the parameters found so far will do."""

    def values(self, points: FloatArray, nodes: Sequence[int]) -> dict[int, FloatArray]:
        """Values (R, size) of nodes at flat inputs (R, n)."""


@dataclass
class RowTask:
    """Rows to bound: start coefficients and input boxes (R, n) each, in one library."""

    rows: Rows
    start: Mapping[int, Array]
    lo: Array
    hi: Array

    def part(self, which: Array) -> RowTask:
        """The rows `which` (R,), a mask."""
        start = {i: v[which] for i, v in self.start.items()}
        return RowTask(self.rows.part(which), start, self.lo[which], self.hi[which])


class RowArithmetic:
    """What all bounders compute alike, in the arrays of the library of `xp`."""

    def __init__(
        self, graph: Graph, xp: LinearBackend, linear: Linear | None, balls: tuple[FloatBall, ...]
    ) -> None:
        self.graph, self.xp, self.linear, self.balls = graph, xp, linear, balls

    def begin(self, rows: Rows, targets: Sequence[int]) -> dict[Parameter, Array]:
        """See `Bounder.start`."""
        out: dict[Parameter, Array] = {}
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
                out[key] = self.xp.zeros(rows.count, size) + 0.5
        needed = set(self.graph.ancestors(targets))
        for z in rows.split:
            if z in needed:
                beta = Parameter(ParameterKind.BETA, z)
                out[beta] = self.xp.zeros(rows.count, self.graph.nodes[z].size)
        if self.linear is not None:
            out[REGION_ROWS] = self.xp.zeros(rows.count, len(self.linear.b))
        return out

    def form(
        self, task: RowTask, params: Mapping[Parameter, Array],
        reached: dict[int, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Input coefficients and constants for given parameters."""
        coefs, const = substitute(self.graph, task.rows, task.start, params, self.xp, reached)
        gamma = params.get(REGION_ROWS)
        if self.linear is not None and gamma is not None:
            # Sound: gamma >= 0 and a x <= b, so f >= f + gamma (a x - b) on the region.
            coefs = coefs + gamma @ self.linear.a
            const = const - gamma @ self.linear.b
        return coefs, const

    def steered(self, task: RowTask, params: Mapping[Parameter, Array]) -> Array:
        """Lower bounds (R,) with the best multipliers of the rows of groups."""
        coefs, const = self.form(task, params)
        if self.linear is not None and self.linear.groups:
            least, coefs = levelled(self.linear, coefs, task.hi)
            const = const + least.sum(axis=1)
        return concretise(coefs, const, task.lo, task.hi, self.balls)

    def evaluated(
        self, task: RowTask, params: Mapping[Parameter, Array],
        reached: dict[int, Array] | None = None,
    ) -> tuple[Array, Array, Array]:
        """(lower bounds less what floats err by, input coefficients, constants)."""
        coefs, const = self.form(task, params, reached)
        value = concretise(coefs, const, task.lo, task.hi, self.balls)
        return sure(value, coefs, const, task.lo, task.hi), coefs, const

    def grouped(
        self, task: RowTask, params: dict[Parameter, Array], reached: dict[int, Array] | None = None
    ) -> tuple[Array, Array, Array]:
        """The same with the best multipliers of the rows of groups put into the parameters."""
        linear = self.linear
        if linear is None or not linear.groups:
            return self.evaluated(task, params, reached)
        gamma = self.xp.zeros(task.rows.count, len(linear.b))
        gamma[:, : linear.before_groups] = params[REGION_ROWS][:, : linear.before_groups]
        _, coefs, const = self.evaluated(task, {**params, REGION_ROWS: gamma}, reached)
        more = group_multipliers(linear, coefs, task.hi)
        params[REGION_ROWS] = gamma + more
        coefs, const = coefs + more @ linear.a, const - more @ linear.b
        value = concretise(coefs, const, task.lo, task.hi, self.balls)
        return sure(value, coefs, const, task.lo, task.hi), coefs, const

    def first(self, task: RowTask, warm: Mapping[Parameter, Array]) -> dict[Parameter, Array]:
        """For every row the best of three starts: what it inherits, afresh, and slopes afresh with
        inherited multipliers (slopes that suited wider bounds can be far worse than none)."""
        fresh = self.begin(task.rows, list(task.start))
        if not warm.keys() & fresh.keys():
            return fresh
        old = {k: warm.get(k, v) for k, v in fresh.items()}
        mixed = {k: (old if k.is_multiplier else fresh)[k] for k in fresh}
        starts = [old, fresh, mixed]
        values = [self.steered(task, p) for p in starts]
        lib = library(values[0])
        # What is no number is the worst start, not the best.
        least = [lib.where(lib.isnan(v), -lib.inf, v) for v in values]
        best = lib.stack(least).argmax(0)
        out = {}
        for k in fresh:
            choice = starts[0][k]
            for which, params in enumerate(starts[1:], 1):
                choice = lib.where((best == which)[:, None], params[k], choice)
            out[k] = choice
        return out

    def final(self, task: RowTask, params: Mapping[Parameter, Array], bits: int) -> Bounds:
        """The bound with parameters as a certificate will hold them, all in this library."""
        short = {k: shorten(k, v, bits) for k, v in params.items()}
        reached: dict[int, Array] = {}
        if self.linear is not None and self.linear.groups:
            short[REGION_ROWS][:, self.linear.before_groups :] = 0.0
            _, coefs, _ = self.evaluated(task, short)
            more = group_multipliers(self.linear, coefs, task.hi)
            short[REGION_ROWS] = short[REGION_ROWS] + more
        value, coefs, const = self.evaluated(task, short, reached)
        return Bounds(value, short, coefs, const, reached)


def sure(value: Array, coefs: Array, const: Array, lo: Array, hi: Array) -> Array:
    """Bounds less what floats are likely to err in them: the greater the coefficients, the more.

    A gate whose pre-activation is all but constant is tied to it with a factor that is huge, and
    what cancels in the sum over the inputs leaves its rounding error behind. A measure and no
    bound: what cancels on the way there is not seen. Certificates are checked exactly.
    """
    lib = library(value)
    size = (abs(coefs) * lib.maximum(abs(lo), abs(hi))).sum(axis=-1) + abs(const)
    # Sound: infinite bounds of a node may leave no number, which is no bound at all. Kept as one,
    # it would drop out of every comparison and every minimum.
    lower = value - UNITS * size
    return lib.where(lib.isnan(lower), -lib.inf, lower)


def shorten(key: Parameter, value: Array, bits: int = SHORT) -> Array:
    """Parameters as short dyadics: fractions to BITS bits, multipliers to so many significant
    bits."""
    lib = library(value)
    if key.is_multiplier:
        mantissa, exponent = lib.frexp(value)
        return lib.ldexp(lib.round(mantissa * 2**bits) / 2**bits, exponent)
    return lib.round(value * 2**BITS) / 2**BITS
