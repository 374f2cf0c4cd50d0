"""The value of a graph at a point: the same rules on numpy float64, torch and exact rationals.

Values carry one leading batch axis. A backend supplies the arithmetic; the rules below never name
a library. Exact evaluation has no value for functions that leave the rationals and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, FloatArray, Values, as_exact, as_float
from verifex.ir.graph import Graph
from verifex.ir.linmap import LinearMap, apply_exact, apply_numpy
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
from verifex.ir.trees.forest import Flags, Forest
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.functions import find
from verifex.semantics.support.cost import cost
from verifex.semantics.support.table import Table


class Backend(Protocol):
    """Arithmetic on batched arrays of one kind."""

    def const(self, value: Values) -> Any: ...
    def linear(self, linear_map: LinearMap, operand: Any) -> Any: ...
    def add(self, left: Any, right: Any) -> Any: ...
    def mul(self, left: Any, right: Any) -> Any: ...
    def relu(self, preact: Any) -> Any: ...
    def step(self, preact: Any) -> Any: ...
    def concat(self, parts: Sequence[Any], axis: int) -> Any: ...
    def univariate(self, name: str, operand: Any) -> Any: ...
    def leaves(self, forest: Forest, operand: Any) -> Any: ...


evaluate: Table[Callable[..., Any]] = Table("evaluate")


@evaluate.rule(Const)
def _const(op: Const, xp: Backend) -> Any:
    return xp.const(op.value)


@evaluate.rule(Affine)
def _affine(op: Affine, xp: Backend, *args: Any) -> Any:
    out = xp.linear(op.maps[0], args[0])
    for m, x in zip(op.maps[1:], args[1:], strict=True):
        out = xp.add(out, xp.linear(m, x))
    return out if op.bias is None else xp.add(out, xp.const(op.bias))


@evaluate.rule(Relu)
def _relu(op: Relu, xp: Backend, preact: Any) -> Any:
    return xp.relu(preact)


@evaluate.rule(Step)
def _step(op: Step, xp: Backend, preact: Any) -> Any:
    return xp.step(preact)


@evaluate.rule(Gate)
def _gate(op: Gate, xp: Backend, gate: Any, value: Any) -> Any:
    return xp.mul(gate, value)


@evaluate.rule(Mul)
def _mul(op: Mul, xp: Backend, value: Any, other: Any) -> Any:
    return xp.mul(value, other)


@evaluate.rule(Concat)
def _concat(op: Concat, xp: Backend, *args: Any) -> Any:
    return xp.concat(args, op.axis + 1)


@evaluate.rule(Univariate)
def _univariate(op: Univariate, xp: Backend, operand: Any) -> Any:
    return xp.univariate(op.name, operand)


@evaluate.rule(TreeLeaves)
def _leaves(op: TreeLeaves, xp: Backend, operand: Any) -> Any:
    return xp.leaves(op.forest, operand)


evaluate.refuse(Input, "an input has no value of its own; it is supplied by the caller")


def run(
    graph: Graph, xp: Backend, inputs: Mapping[int, Any], targets: Iterable[int]
) -> dict[int, Any]:
    """Values of the nodes that `targets` need; `inputs` maps input nodes to (B, *shape) arrays."""
    values: dict[int, Any] = {}
    for i in graph.ancestors(targets):
        checkpoint()
        node = graph.nodes[i]
        if isinstance(node.op, Input):
            values[i] = inputs[i]
        else:
            try:
                values[i] = evaluate[node.op](node.op, xp, *(values[a] for a in node.args))
            except UnsupportedError as error:
                raise error.at(key=graph.describe(i)) from None
    return values


# --- numpy ----------------------------------------------------------------------------------


class NumpyBackend:
    """float64 arithmetic."""

    def __init__(self) -> None:
        self._rounded: dict[int, tuple[ExactArray, FloatArray]] = {}

    def tensor(self, values: Values) -> FloatArray:
        """A constant, without an axis for the batch; one that is exact is rounded once and kept."""
        if not isinstance(values, ExactArray):
            return values
        if id(values) not in self._rounded:
            # The value is kept alive: its id stays its own.
            self._rounded[id(values)] = values, as_float(values)
        return self._rounded[id(values)][1]

    def zeros(self, *shape: int) -> FloatArray:
        """Zeros of this shape."""
        return np.zeros(shape)

    def const(self, value: Values) -> FloatArray:
        return as_float(value)[None]

    def linear(self, linear_map: LinearMap, operand: FloatArray) -> FloatArray:
        return apply_numpy(linear_map, operand)

    def add(self, left: FloatArray, right: FloatArray) -> FloatArray:
        return left + right

    def mul(self, left: FloatArray, right: FloatArray) -> FloatArray:
        return left * right

    def relu(self, preact: FloatArray) -> FloatArray:
        return np.maximum(preact, 0.0)

    def step(self, preact: FloatArray) -> FloatArray:
        return (preact > 0).astype(np.float64)

    def concat(self, parts: Sequence[FloatArray], axis: int) -> FloatArray:
        # Constants have a batch of one.
        batch = max(p.shape[0] for p in parts)
        full = [np.broadcast_to(p, (batch, *p.shape[1:])) for p in parts]
        return np.concatenate(full, axis=axis)

    def univariate(self, name: str, operand: FloatArray) -> FloatArray:
        return find(name).value(operand)

    def leaves(self, forest: Forest, operand: FloatArray) -> FloatArray:
        beyond = forest.beyond(operand.reshape(operand.shape[0], -1))
        return forest.reached(beyond, beyond).astype(np.float64)


def split_input(graph: Graph, point: Any) -> dict[int, Any]:
    """A batch of flat input vectors (B, n) as one array per input node."""
    return {
        i: point[:, at : at + graph.nodes[i].size].reshape(point.shape[0], *graph.nodes[i].shape)
        for i, at in graph.input_offsets.items()
    }


def evaluate_float(
    graph: Graph, points: FloatArray, targets: Iterable[int]
) -> dict[int, FloatArray]:
    """float64 values of `targets` at flat inputs `points` of shape (B, n); each (B, *shape). Where
    a point costs much, some are evaluated at a time."""
    wanted = list(targets)
    most = cost(graph, wanted).together
    parts = []
    for at in range(0, max(1, len(points)), most):
        some = np.asarray(points[at : at + most], dtype=np.float64)
        values = run(graph, NumpyBackend(), split_input(graph, some), wanted)
        shape = {i: (len(some), *graph.nodes[i].shape) for i in wanted}
        parts.append({i: np.broadcast_to(values[i], shape[i]) for i in wanted})
    return parts[0] if len(parts) == 1 else {
        i: np.concatenate([part[i] for part in parts]) for i in wanted}


# --- exact ----------------------------------------------------------------------------------


class ExactBackend:
    """Exact rational arithmetic on `ExactArray`."""

    def const(self, value: Values) -> ExactArray:
        exact = as_exact(value)
        return exact.reshape((1, *exact.shape))

    def linear(self, linear_map: LinearMap, operand: ExactArray) -> ExactArray:
        return apply_exact(linear_map, operand)

    def add(self, left: ExactArray, right: ExactArray) -> ExactArray:
        return left + right

    def mul(self, left: ExactArray, right: ExactArray) -> ExactArray:
        return left * right

    def relu(self, preact: ExactArray) -> ExactArray:
        return ExactArray(np.asarray(np.maximum(preact.num, 0), dtype=object), preact.den)

    def step(self, preact: ExactArray) -> ExactArray:
        return ExactArray((preact.num > 0).astype(int).astype(object))

    def concat(self, parts: Sequence[ExactArray], axis: int) -> ExactArray:
        # One denominator for the whole array: the least common one of the parts.
        den = 1
        for p in parts:
            den = den * p.den // np.gcd.reduce(np.array([den, p.den], dtype=object))
        batch = max(p.shape[0] for p in parts)
        full = [np.broadcast_to(p.over(den), (batch, *p.shape[1:])) for p in parts]
        return ExactArray(np.concatenate(full, axis=axis), den)

    def univariate(self, name: str, operand: ExactArray) -> ExactArray:
        exact = find(name).exact
        if exact is None:
            raise UnsupportedError(f"{name} has no exact rational value", key="evaluate")
        return exact(operand)

    def leaves(self, forest: Forest, operand: ExactArray) -> ExactArray:
        beyond = exactly_beyond(forest, operand)
        return ExactArray(forest.reached(beyond, beyond).astype(int).astype(object))


def exactly_beyond(forest: Forest, operand: ExactArray) -> Flags:
    """Whether each node goes right, (B, nodes), for exact vectors (B, ...)."""
    own = operand.num.reshape(operand.num.shape[0], -1)[:, forest.feature]
    threshold = ExactArray.from_float(forest.threshold)
    left, right = own * threshold.den, threshold.num[None] * operand.den
    return np.asarray((left > right) | ((left == right) & ~forest.strict), dtype=bool)


def exact_inputs(graph: Graph, point: Sequence[Fraction]) -> dict[int, ExactArray]:
    """One exact point of the flat input vector as a batch of one per input node."""
    if len(point) != graph.input_size:
        raise ValueError(f"{len(point)} values for {graph.input_size} inputs")
    return {
        i: ExactArray.from_numbers(point[at : at + graph.nodes[i].size], (1, *graph.nodes[i].shape))
        for i, at in graph.input_offsets.items()
    }


def evaluate_exact(
    graph: Graph, point: Sequence[Fraction], targets: Iterable[int]
) -> dict[int, ExactArray]:
    """Exact values of `targets` at the flat input `point`, in the nodes' shapes (no batch axis)."""
    wanted = list(targets)
    values = run(graph, ExactBackend(), exact_inputs(graph, point), wanted)
    return {i: values[i].reshape(graph.nodes[i].shape) for i in wanted}
