"""A graph near a point under a given activation pattern: values, and their slopes along the inputs.

With the pattern fixed a ReLU network and its gradient are affine, so values and slopes at one point
say what they are on the whole piece; of products and smooth functions they are the tangents there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray, as_float
from verifex.ir.formula import Form
from verifex.ir.graph import Graph
from verifex.ir.linmap import apply_numpy
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
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.functions import find
from verifex.semantics.pullback import derivative

Signs: TypeAlias = NDArray[np.bool_]
"""Which units are open, (B, units): all elements of the pre-activations, node after node."""

Tangent: TypeAlias = tuple[FloatArray, FloatArray | None]
"""Values (B or 1, *shape) and slopes (B or 1, inputs, *shape); no slopes where nothing moves."""


@dataclass(frozen=True)
class Local:
    """What a graph is at one point under B patterns: `values` (B, forms) and `slopes` (B, forms,
    inputs) of forms, and the same of all units. Slopes are along the inputs asked for."""

    values: FloatArray
    slopes: FloatArray
    units: FloatArray
    unit_slopes: FloatArray


class LocalGraph:
    """The part of a graph that some nodes need, as values and slopes under activation patterns.

    Raises UnsupportedError for decision trees, which have no pieces of this kind.
    """

    def __init__(self, graph: Graph, targets: Sequence[int], moved: NDArray[np.intp]) -> None:
        self.graph, self.targets, self.moved = graph, list(targets), moved
        self.order = graph.ancestors(self.targets)
        if any(isinstance(graph.nodes[i].op, TreeLeaves) for i in self.order):
            raise UnsupportedError("decision trees have no activation patterns")
        units = {graph.nodes[i].args[0] for i in self.order
                 if isinstance(graph.nodes[i].op, Relu | Step)}
        self.moving = self._moving()
        # What only gates move has one sign on a piece: its own value says which.
        self.preactivations = sorted(units & self.moving)
        ends = np.cumsum([0, *(graph.nodes[z].size for z in self.preactivations)]).tolist()
        self.places = {z: slice(a, b) for z, a, b in zip(
            self.preactivations, ends, ends[1:], strict=False)}
        self.units = ends[-1]

    def _moving(self) -> set[int]:
        """The nodes that an input moves otherwise than by turning gates."""
        graph, moving = self.graph, set[int]()
        for i in self.order:
            op, args = graph.nodes[i].op, graph.nodes[i].args
            if isinstance(op, Input) or (
                not isinstance(op, Step) and any(a in moving for a in args)
            ):
                moving.add(i)
        return moving

    def signs(self, points: FloatArray) -> Signs:
        """The pattern at each of the flat inputs (B, n)."""
        found = evaluate_float(self.graph, points, self.preactivations)
        parts = [found[z].reshape(len(points), -1) > 0 for z in self.preactivations]
        return np.concatenate([np.zeros((len(points), 0), dtype=bool), *parts], axis=1)

    def at(
        self, point: FloatArray, signs: Signs, forms: Sequence[Form], slopes: bool = True
    ) -> Local:
        """Forms and units near a flat input (n,), under the patterns (B, units). Without `slopes`
        these are empty: only values are computed."""
        count, size = len(signs), len(self.moved) if slopes else 0
        known: dict[int, Tangent] = {}
        for i in self.order:
            known[i] = self._step(i, known, point, signs, size)

        def full(node: int) -> tuple[FloatArray, FloatArray]:
            value, slope = known[node]
            width = self.graph.nodes[node].size
            values = np.broadcast_to(value, (count, *value.shape[1:])).reshape(count, width)
            if slope is None:
                return values, np.zeros((count, size, width))
            return values, np.broadcast_to(slope, (count, *slope.shape[1:])).reshape(
                count, size, width)

        of_units = [full(z) for z in self.preactivations]
        units = np.concatenate([np.zeros((count, 0)), *(v for v, _ in of_units)], axis=1)
        unit_slopes = np.concatenate(
            [np.zeros((count, size, 0)), *(s for _, s in of_units)], axis=2)
        nodes = {node: full(node) for form in forms for (node, _), _ in form.terms}
        values = np.empty((count, len(forms)))
        out = np.zeros((count, len(forms), size))
        for k, form in enumerate(forms):
            values[:, k] = float(form.const)
            for (node, index), c in form.terms:
                values[:, k] += float(c) * nodes[node][0][:, index]
                out[:, k] += float(c) * nodes[node][1][:, :, index]
        return Local(values, out, units, unit_slopes.swapaxes(1, 2))

    def _step(
        self, i: int, known: dict[int, Tangent], point: FloatArray, signs: Signs, size: int
    ) -> Tangent:
        """One node's values and slopes from those of its arguments."""
        node = self.graph.nodes[i]
        args = [known[a] for a in node.args]
        match node.op:
            case Input():
                return self._input(i, point, size)
            case Const():
                return as_float(node.op.value)[None], None
            case Affine():
                return self._affine(node.op, args, i)
            case Relu() | Step():
                z = node.args[0]
                value, slope = args[0]
                open_ = value > 0
                if z in self.places:
                    open_ = signs[:, self.places[z]].reshape(len(signs), *value.shape[1:])
                gate = open_.astype(np.float64)
                if isinstance(node.op, Step):
                    return gate, None
                return value * gate, None if slope is None else slope * gate[:, None]
            case Gate() | Mul():
                (left, left_slope), (right, right_slope) = args
                parts = [s * other[:, None] for s, other in (
                    (left_slope, right), (right_slope, left)) if s is not None]
                return left * right, sum(parts[1:], parts[0]) if parts else None
            case Concat():
                return _joined(args, node.op.axis, size)
            case Univariate():
                value, slope = args[0]
                if slope is not None:
                    slope = slope * derivative(node.op.name, value)[:, None]
                return find(node.op.name).value(value), slope
            case _:
                raise UnsupportedError("decision trees have no activation patterns")

    def _input(self, node: int, point: FloatArray, size: int) -> Tangent:
        at, shape = self.graph.input_offsets[node], self.graph.nodes[node].shape
        width = self.graph.nodes[node].size
        value = point[None, at : at + width].reshape(1, *shape)
        if not size:
            return value, None
        slope, mine = np.zeros((1, size, width)), np.flatnonzero(
            (self.moved >= at) & (self.moved < at + width))
        slope[0, mine, self.moved[mine] - at] = 1.0
        return value, slope.reshape(1, size, *shape)

    def _affine(self, op: Affine, args: Sequence[Tangent], node: int) -> Tangent:
        shape = self.graph.nodes[node].shape
        value: FloatArray = np.zeros((1, *shape)) if op.bias is None else as_float(op.bias)[None]
        total: FloatArray | None = None
        for m, (v, slope) in zip(op.maps, args, strict=True):
            value = value + apply_numpy(m, v)
            if slope is not None:
                flat = slope.reshape(-1, *slope.shape[2:])
                moved = apply_numpy(m, flat).reshape(*slope.shape[:2], *shape)
                total = moved if total is None else total + moved
        return value, total


def _joined(args: Sequence[Tangent], axis: int, size: int) -> Tangent:
    batch = max(part.shape[0] for pair in args for part in pair if part is not None)
    values = [np.broadcast_to(v, (batch, *v.shape[1:])) for v, _ in args]
    value = np.concatenate(values, axis=axis + 1)
    if all(slope is None for _, slope in args):
        return value, None
    slopes = [np.broadcast_to(np.zeros((1, size, *v.shape[1:])) if s is None else s,
                              (batch, size, *v.shape[1:])) for v, s in args]
    return value, np.concatenate(slopes, axis=axis + 2)
