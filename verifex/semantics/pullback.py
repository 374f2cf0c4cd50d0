"""Derivatives at points, in numpy: what `vjp` builds as nodes, here as numbers for a batch.

Reverse accumulation, for searches that only follow a slope: nothing is concluded from it, and torch
need not be loaded. A gate has no derivative; `softness` > 0 gives it that of a sigmoid of this
temperature, so that a climb can move gates as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import apply_numpy, transpose
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
from verifex.semantics.evaluate import NumpyBackend, evaluate_float, run, split_input
from verifex.semantics.functions import find
from verifex.semantics.support.table import Table

Slopes: TypeAlias = Sequence[FloatArray | None]
"""One array of cotangents (B, *shape) for each argument; None for zero."""

pullback: Table[Callable[..., Slopes]] = Table("pullback")


@pullback.rule(Input)
def _input(op: Input, args: Sequence[FloatArray], grad: FloatArray, softness: float) -> Slopes:
    return ()


@pullback.rule(Const)
def _const(op: Const, args: Sequence[FloatArray], grad: FloatArray, softness: float) -> Slopes:
    return ()


@pullback.rule(Affine)
def _affine(op: Affine, args: Sequence[FloatArray], grad: FloatArray, softness: float) -> Slopes:
    return [apply_numpy(transpose(m), grad) for m in op.maps]


@pullback.rule(Relu)
def _relu(op: Relu, args: Sequence[FloatArray], grad: FloatArray, softness: float) -> Slopes:
    return [grad * (args[0] > 0)]


@pullback.rule(Step)
def _step(op: Step, args: Sequence[FloatArray], grad: FloatArray, softness: float) -> Slopes:
    if not softness:
        return [None]
    with np.errstate(over="ignore"):
        decay = np.exp(-np.abs(args[0]) / softness)
    return [grad * decay / (softness * (1.0 + decay) ** 2)]


@pullback.rule(Gate)
@pullback.rule(Mul)
def _product(
    op: Gate | Mul, args: Sequence[FloatArray], grad: FloatArray, softness: float
) -> Slopes:
    return [grad * args[1], grad * args[0]]


@pullback.rule(Concat)
def _concat(op: Concat, args: Sequence[FloatArray], grad: FloatArray, softness: float) -> Slopes:
    ends = np.cumsum([a.shape[op.axis + 1] for a in args])[:-1]
    return list(np.split(grad, ends, axis=op.axis + 1))


@pullback.rule(Univariate)
def _univariate(
    op: Univariate, args: Sequence[FloatArray], grad: FloatArray, softness: float
) -> Slopes:
    return [grad * derivative(op.name, args[0])]


pullback.refuse(TreeLeaves, "what decision trees compute is constant between jumps")


def derivative(name: str, operand: FloatArray) -> FloatArray:
    """The derivative of a smooth function at the elements of an array."""
    graph, slope = _derivative(name)
    with np.errstate(all="ignore"):
        found = evaluate_float(graph, operand.reshape(-1, 1), [slope])[slope]
    return np.asarray(found.reshape(operand.shape))


@lru_cache(maxsize=64)
def _derivative(name: str) -> tuple[Graph, int]:
    """The graph of a smooth function's derivative at one number, and its node."""
    builder = Builder()
    operand = builder.input("x", (1,))
    value = builder.univariate(name, operand)
    slope = find(name).derivative(builder, operand, value)
    graph = builder.build({"slope": slope})
    return graph, graph.outputs["slope"]


def slopes(
    graph: Graph, points: FloatArray, cotangents: Mapping[int, FloatArray], softness: float = 0.0
) -> FloatArray:
    """The slopes (B, n) of `sum cotangents[node] * value[node]` along the flat inputs, at `points`
    (B, n); cotangents have the shape (B, *shape of the node). UnsupportedError for trees."""
    size, wanted = len(points), sorted(cotangents)
    order = list(graph.ancestors(wanted))
    values = run(graph, NumpyBackend(), split_input(graph, points), order)
    full = {i: np.broadcast_to(v, (size, *graph.nodes[i].shape)) for i, v in values.items()}
    summed = {i: np.array(cotangents[i], dtype=np.float64) for i in wanted}
    out = np.zeros((size, graph.input_size))
    for i in reversed(order):
        grad, node = summed.pop(i, None), graph.nodes[i]
        if grad is None:
            continue
        if isinstance(node.op, Input):
            at = graph.input_offsets[i]
            out[:, at : at + node.size] = grad.reshape(size, -1)
            continue
        parts = pullback[node.op](node.op, [full[a] for a in node.args], grad, softness)
        for a, part in zip(node.args, parts, strict=True):
            if part is not None:
                part = part.reshape(size, *graph.nodes[a].shape)
                summed[a] = part if a not in summed else summed[a] + part
    return out
