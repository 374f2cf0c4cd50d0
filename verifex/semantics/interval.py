"""Interval bounds with outward rounding: arrays of [lo, hi] that contain every exact value.

No rounding modes are used. An affine step is taken in centre/radius form and its rounding error is
bounded beforehand: a dot product of k terms in any order errs by at most k u / (1 - k u) times the
sum of the absolute products (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.1), to which underflow adds less than `TINY`. Arrays carry a leading batch axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, FloatArray, Values, as_float
from verifex.ir.graph import Graph
from verifex.ir.linmap import (
    Conv,
    Dense,
    Diag,
    Gather,
    LinearMap,
    Scaled,
    absolute,
    apply_numpy,
    fan_in,
)
from verifex.ir.ops import (
    Affine,
    Concat,
    Const,
    Gate,
    Input,
    Mul,
    Relu,
    Step,
    TreeLeaves,
    Univariate,
)
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.evaluate import split_input
from verifex.semantics.functions import find
from verifex.semantics.support.outward import TINY, Interval, cleaned, down, square, up
from verifex.semantics.support.table import Table

_ULP = 2.0**-52  # two units of roundoff, so every count below is generous


def constant(value: Values) -> Interval:
    """The tightest floats around a constant, with a batch axis of one."""
    lo, hi = value.float_bounds() if isinstance(value, ExactArray) else (value, value)
    return Interval(lo[None], hi[None])


__all__ = ["Interval", "add", "bound_box", "bound_nodes", "constant", "interval", "linear_image"]

interval: Table[Callable[..., Interval]] = Table("interval")


@interval.rule(Const)
def _const(op: Const) -> Interval:
    return constant(op.value)


@interval.rule(Affine)
def _affine(op: Affine, *args: Interval) -> Interval:
    # Each sum of two images rounds once more, which `add` covers.
    out = linear_image(op.maps[0], args[0])
    for m, x in zip(op.maps[1:], args[1:], strict=True):
        out = add(out, linear_image(m, x))
    return out if op.bias is None else add(out, constant(op.bias))


def add(left: Interval, right: Interval) -> Interval:
    """The sum; exact zeros add nothing and so cost no rounding."""
    lo, hi = left.lo + right.lo, left.hi + right.hi
    lo = np.where((left.lo == 0) | (right.lo == 0), lo, down(lo))
    hi = np.where((left.hi == 0) | (right.hi == 0), hi, up(hi))
    return cleaned(lo, hi)


def linear_image(linear_map: LinearMap, operand: Interval) -> Interval:
    """The image of a box under a linear map, rounded outward."""
    if isinstance(linear_map, Gather):  # moves elements: nothing rounds
        return Interval(apply_numpy(linear_map, operand.lo), apply_numpy(linear_map, operand.hi))
    _refuse_subnormal(linear_map)
    mag = absolute(linear_map)
    # An infinite end has no centre: such elements are left out and what they touch is unknown.
    infinite = ~(np.isfinite(operand.lo) & np.isfinite(operand.hi))
    lo, hi = np.where(infinite, 0.0, operand.lo), np.where(infinite, 0.0, operand.hi)
    # Not (lo + hi) / 2, which may overflow.
    centre = lo + (hi - lo) / 2
    # Sound: each difference rounds by half an ulp at most, which `up` covers.
    radius = np.where(lo == hi, 0.0, up(np.maximum(hi - centre, centre - lo)))
    slack = (fan_in(linear_map) + 4) * _ULP
    with np.errstate(over="ignore", invalid="ignore"):
        mid = apply_numpy(linear_map, centre)
        reach = radius + slack * np.abs(centre)
        spread = apply_numpy(mag, reach) * (1 + 2 * slack)
        # Sound: where no product can underflow, neither of the centre nor of what lies around it, a
        # zero spread means that every product is zero.
        least = _least(linear_map) * min(_least_nonzero(centre), _least_nonzero(reach))
        exact_zero = (spread == 0) & (least > 1e-280)
        spread = np.where(exact_zero, 0.0, spread + TINY)
        low, high = mid - spread, mid + spread
    low, high = np.where(spread == 0, mid, down(low)), np.where(spread == 0, mid, up(high))
    if infinite.any():
        touched = apply_numpy(mag, infinite.astype(np.float64)) > 0
        low, high = np.where(touched, -np.inf, low), np.where(touched, np.inf, high)
    return cleaned(low, high)


def _least_nonzero(values: FloatArray) -> float:
    """The least nonzero magnitude, 1 where there is none."""
    mag = np.abs(values)
    return float(mag.min(where=mag > 0, initial=1.0))


def _least(linear_map: LinearMap) -> float:
    """The least nonzero coefficient magnitude of a map."""
    match linear_map:
        case Dense() | Conv():
            return _least_nonzero(linear_map.weight)
        case Diag():
            return _least_nonzero(as_float(linear_map.scale))
        case Scaled():
            return (
                abs(float(linear_map.factor)) * _least(linear_map.inner)
                if linear_map.factor
                else 1.0
            )
        case _:
            return 1.0


def _refuse_subnormal(linear_map: LinearMap) -> None:
    """A rational factor's relative rounding error is only bounded for normal floats."""
    if isinstance(linear_map, Scaled):
        if linear_map.factor != 0 and abs(float(linear_map.factor)) < TINY:
            raise UnsupportedError(
                f"factor {float(linear_map.factor)!r} is too small", key="interval"
            )
        _refuse_subnormal(linear_map.inner)
    elif isinstance(linear_map, Diag) and isinstance(linear_map.scale, ExactArray):
        small = np.abs(linear_map.scale.to_float()) < TINY
        if (small & (linear_map.scale.num != 0)).any():
            raise UnsupportedError("a rational factor is too small", key="interval")


@interval.rule(Relu)
def _relu(op: Relu, preact: Interval) -> Interval:
    return Interval(np.maximum(preact.lo, 0.0), np.maximum(preact.hi, 0.0))


@interval.rule(Step)
def _step(op: Step, preact: Interval) -> Interval:
    # Sound: at z = 0 both gate values are allowed, so 0 lies in both branches.
    return Interval((preact.lo > 0).astype(np.float64), (preact.hi >= 0).astype(np.float64))


@interval.rule(Gate)
def _gate(op: Gate, gate: Interval, value: Interval) -> Interval:
    """`gate * value`: the value where the gate is open, 0 where shut, else the hull of both."""
    # Gates are 0 or 1, so bounds of one are exactly that where it is decided.
    on, off = gate.lo == 1, gate.hi == 0
    lo = np.where(on, value.lo, np.where(off, 0.0, np.minimum(value.lo, 0.0)))
    hi = np.where(on, value.hi, np.where(off, 0.0, np.maximum(value.hi, 0.0)))
    return Interval(lo, hi)


@interval.rule(Mul)
def _mul(op: Mul, value: Interval, gated: Interval) -> Interval:
    if value is gated:  # one node times itself
        return square(value)
    ends = np.stack(np.broadcast_arrays(value.lo, value.lo, value.hi, value.hi))
    other = np.stack(np.broadcast_arrays(gated.lo, gated.hi, gated.lo, gated.hi))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        product = ends * other
    # Sound: 0 times an infinite bound is 0, since every actual value is finite.
    product = np.where((ends == 0) | (other == 0), 0.0, product)
    # A product with 0 or 1 is exact, and not widening it keeps zeros and gates what they are.
    exact = (ends == 0) | (other == 0) | (np.abs(ends) == 1) | (np.abs(other) == 1)
    return Interval(
        np.where(exact, product, down(product)).min(axis=0),
        np.where(exact, product, up(product)).max(axis=0),
    )


@interval.rule(Concat)
def _concat(op: Concat, *args: Interval) -> Interval:
    batch = max(a.lo.shape[0] for a in args)

    def join(parts: list[FloatArray]) -> FloatArray:
        full = [np.broadcast_to(p, (batch, *p.shape[1:])) for p in parts]
        return np.concatenate(full, axis=op.axis + 1)

    return Interval(join([a.lo for a in args]), join([a.hi for a in args]))


interval.refuse(Input, "an input's interval is its region; it is supplied by the caller")


@interval.rule(Univariate)
def _univariate(op: Univariate, operand: Interval) -> Interval:
    return find(op.name).interval(operand)


@interval.rule(TreeLeaves)
def _leaves(op: TreeLeaves, operand: Interval) -> Interval:
    """[0, 1] for leaves that some vector of the box reaches, [1, 1] where a tree has no other."""
    forest, lo, hi = op.forest, operand.lo, operand.hi
    surely, possibly = (forest.beyond(v.reshape(v.shape[0], -1)) for v in (lo, hi))
    reach = forest.reached(surely, possibly)
    alone = np.add.reduceat(reach, forest.starts, axis=1, dtype=np.int64)[:, forest.tree] == 1
    return Interval((reach & alone).astype(np.float64), reach.astype(np.float64))


# --- running ----------------------------------------------------------------------------------


def bound_nodes(
    graph: Graph,
    lo: FloatArray,
    hi: FloatArray,
    targets: Iterable[int],
    refine: Callable[[int, Interval], Interval] | None = None,
) -> dict[int, Interval]:
    """Bounds of the nodes that `targets` need over boxes lo <= x <= hi, both of shape (B, n).

    `refine(node, bounds)` may tighten the bounds of a node before they are used further; it must
    be sound. Values come back as (B, *shape).
    """
    low, high = split_input(graph, lo), split_input(graph, hi)
    values: dict[int, Interval] = {}
    for i in graph.ancestors(targets):
        checkpoint()
        node = graph.nodes[i]
        if isinstance(node.op, Input):
            values[i] = Interval(low[i], high[i])
        else:
            values[i] = interval[node.op](node.op, *(values[a] for a in node.args))
        if refine is not None:
            values[i] = refine(i, values[i])
    full = {}
    for i, v in values.items():
        shape = (lo.shape[0], *graph.nodes[i].shape)
        full[i] = Interval(np.broadcast_to(v.lo, shape), np.broadcast_to(v.hi, shape))
    return full


def bound_box(
    graph: Graph, lo: FloatArray, hi: FloatArray, targets: Iterable[int]
) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:
    """Lower and upper bounds of nodes over one box lo <= x <= hi, both of shape (n,); unbatched."""
    boxes = bound_nodes(graph, lo[None], hi[None], targets)
    return {i: b.lo[0] for i, b in boxes.items()}, {i: b.hi[0] for i, b in boxes.items()}
