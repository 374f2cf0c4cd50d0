"""What depends on a gate that is on its kink, at a point: exactly, and by intervals.

A gate is on a kink of the function only where its two sides differ. Take a point and let every
gate whose argument is exactly zero there be anywhere in [0, 1], all of them at once. The gates that
hold at points nearby are among these choices. So where the chain rule gives one value for all of
them, that value is the limit of the gradients from every side: the generalised (Clarke) gradient,
which lies in the hull of these limits, is that single value, and a function with a single one is
strictly differentiable there. The point is off every kink that matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, Values
from verifex.ir.formula import Cell
from verifex.ir.graph import Graph
from verifex.ir.linmap import LinearMap, absolute, apply_exact
from verifex.ir.ops import Affine, Concat, Gate, Mul, Relu, Step, TreeLeaves, Univariate
from verifex.ir.trees.forest import Forest
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.evaluate import (
    ExactBackend,
    evaluate_exact,
    exact_inputs,
    exactly_beyond,
    run,
)
from verifex.semantics.functions import find
from verifex.semantics.interval import Interval

Hull: TypeAlias = tuple[ExactArray, ExactArray | None]
"""Centre and radius of an exact enclosure; no radius means a point."""


class HullBackend:
    """Exact centre-radius arithmetic in which a gate on its kink is anywhere in [0, 1].

    Sound: centre-radius sums and linear images are exact enclosures, and products use
    |xy - cx cy| <= |cx| ry + |cy| rx + rx ry.
    """

    def const(self, value: Values) -> Hull:
        return ExactBackend().const(value), None

    def linear(self, linear_map: LinearMap, operand: Hull) -> Hull:
        centre, radius = operand
        moved = None if radius is None else apply_exact(absolute(linear_map), radius)
        return apply_exact(linear_map, centre), moved

    def add(self, left: Hull, right: Hull) -> Hull:
        return left[0] + right[0], _plus(left[1], right[1])

    def mul(self, first: Hull, second: Hull) -> Hull:
        cross = None if first[1] is None or second[1] is None else first[1] * second[1]
        left = None if second[1] is None else _abs(first[0]) * second[1]
        right = None if first[1] is None else _abs(second[0]) * first[1]
        return first[0] * second[0], _plus(_plus(left, right), cross)

    def relu(self, preact: Hull) -> Hull:
        if preact[1] is None:
            return ExactBackend().relu(preact[0]), None
        low, high = (
            ExactBackend().relu(preact[0] - preact[1]),
            ExactBackend().relu(preact[0] + preact[1]),
        )
        half = Fraction(1, 2)
        return (low + high).scaled(half), (high - low).scaled(half)

    def step(self, preact: Hull) -> Hull:
        low, high = (
            (preact[0], preact[0])
            if preact[1] is None
            else (preact[0] - preact[1], preact[0] + preact[1])
        )
        # Between: anywhere in [0, 1], as centre 1/2 and radius 1/2.
        on, off = low.num > 0, high.num < 0
        centre = ExactArray(np.where(on, 2, np.where(off, 0, 1)).astype(object), 2)
        return centre, ExactArray(np.where(on | off, 0, 1).astype(object), 2)

    def concat(self, parts: Sequence[Hull], axis: int) -> Hull:
        zero = [p[0] - p[0] if p[1] is None else p[1] for p in parts]
        xp = ExactBackend()
        return xp.concat([p[0] for p in parts], axis), xp.concat(zero, axis)

    def univariate(self, name: str, operand: Hull) -> Hull:
        if find(name).is_product:
            return self.mul(operand, operand)
        if operand[1] is not None and operand[1].num.any():
            raise UnsupportedError(f"{name} of a value that depends on a gate on its kink")
        return ExactBackend().univariate(name, operand[0]), None

    def leaves(self, forest: Forest, operand: Hull) -> Hull:
        if operand[1] is None:
            return ExactBackend().leaves(forest, operand[0]), None
        low, high = operand[0] - operand[1], operand[0] + operand[1]
        reach = forest.reached(exactly_beyond(forest, low), exactly_beyond(forest, high))
        # Leaves that may be reached are 0 or 1, or 1 where a tree has no other.
        alone = np.add.reduceat(reach, forest.starts, axis=1, dtype=int)[:, forest.tree] == 1
        centre = np.where(reach, np.where(alone, 2, 1), 0)
        return (ExactArray(centre.astype(object), 2),
                ExactArray((reach & ~alone).astype(int).astype(object), 2))


def _abs(left: ExactArray) -> ExactArray:
    return ExactArray(np.asarray(np.abs(left.num), dtype=object), left.den)


def _plus(left: ExactArray | None, right: ExactArray | None) -> ExactArray | None:
    if left is None or right is None:
        return left if right is None else right
    return left + right


def varying(graph: Graph, point: Sequence[Fraction], cells: Iterable[Cell]) -> set[Cell]:
    """The cells whose values at the flat input `point` may depend on a gate on its kink.

    The others certainly do not. UnsupportedError where a smooth function has no exact value.
    """
    asked = sorted(set(cells))
    inputs: dict[int, Hull] = {i: (v, None) for i, v in exact_inputs(graph, point).items()}
    hulls = run(graph, HullBackend(), inputs, sorted({node for node, _ in asked}))
    radii = {node: hulls[node][1] for node, _ in asked}
    return {(n, i) for n, i in asked if (r := radii[n]) is not None and r.num.flat[i] != 0}


def zeros(graph: Graph, point: Sequence[Fraction], preactivations: Sequence[int]) -> list[str]:
    """The elements of these nodes that are exactly 0 at the flat input `point`, by the names of
    the file. UnsupportedError where a smooth function has no exact value."""
    values = evaluate_exact(graph, point, preactivations)
    return [
        f"element {i} of {graph.labels.get(z) or f'node {z}'}"
        for z in preactivations for i in np.flatnonzero(values[z].num.ravel() == 0)
    ]


# --- by intervals, where nothing is exact -------------------------------------------------------

Mask: TypeAlias = NDArray[np.bool_]


def varying_in(
    graph: Graph, boxes: Mapping[int, Interval], cells: Iterable[Cell]
) -> set[Cell]:
    """As `varying`, at a point of which only intervals are known (a batch of one box).

    A gate whose argument may be zero is free. Sound: the intervals hold for every choice of such
    gates, so what is zero by them is zero for all, and hides what it multiplies.
    """
    asked = sorted(set(cells))
    masks: dict[int, Mask] = {}
    for i in graph.ancestors({node for node, _ in asked}):
        checkpoint()
        masks[i] = _reached(graph, i, boxes, masks)
    return {(n, i) for n, i in asked if masks[n].flat[i]}


def _reached(
    graph: Graph, target: int, boxes: Mapping[int, Interval], masks: Mapping[int, Mask]
) -> Mask:
    """Which elements of a node may depend on a free gate, from those of its arguments."""
    node = graph.nodes[target]
    ends = [(boxes[a].lo[0], boxes[a].hi[0]) for a in node.args]
    came = [masks[a] for a in node.args]
    match node.op:
        case Affine():
            out = np.zeros(node.shape, dtype=bool)
            for m, mask in zip(node.op.maps, came, strict=True):
                # Exactly, since the product of two small coefficients may be no float.
                moved = apply_exact(absolute(m), ExactArray(mask[None].astype(int).astype(object)))
                out |= np.asarray(moved.num[0] != 0, dtype=bool).reshape(node.shape)
            return out
        case Concat():
            return np.concatenate(came, axis=node.op.axis)
        case Relu():
            return np.asarray(came[0] & (ends[0][1] > 0))
        case Step():
            return np.asarray((ends[0][0] <= 0) & (ends[0][1] >= 0))
        case Gate() | Mul():
            # A factor that is zero at the point hides what it multiplies, whatever that is.
            zero = [(lo == 0) & (hi == 0) for lo, hi in ends]
            return np.asarray((came[0] & ~zero[1]) | (came[1] & ~zero[0]))
        case Univariate():
            return came[0]
        case TreeLeaves():
            return np.full(node.shape, bool(came[0].any()))
        case _:
            return np.zeros(node.shape, dtype=bool)
