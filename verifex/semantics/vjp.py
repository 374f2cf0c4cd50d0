"""Reverse-mode differentiation as a graph-to-graph transform: the result is nodes of the same ops.

Source of the scheme: reverse accumulation (Griewank and Walther, Evaluating Derivatives, ch. 3).
Because the op set is closed under it, the gradient of a gradient needs nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.graph import Builder
from verifex.ir.linmap import gather, transpose
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
from verifex.semantics.functions import find
from verifex.semantics.support.table import Table

Cotangents = Sequence[int | None]
"""One node (or None for zero) per argument."""

vjp: Table[Callable[..., Cotangents]] = Table("vjp")


@vjp.rule(Input)
def _input(op: Input, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return ()


@vjp.rule(Const)
def _const(op: Const, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return ()


@vjp.rule(Affine)
def _affine(op: Affine, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return [builder.affine(transpose(m), grad) for m in op.maps]


@vjp.rule(Relu)
def _relu(op: Relu, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return [builder.gate(builder.step(args[0]), grad)]


@vjp.rule(Step)
def _step(op: Step, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return [None]  # constant off the kink; on the kink a gate has no derivative


@vjp.rule(Gate)
def _gate(op: Gate, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return [None, builder.gate(args[0], grad)]  # d is locally constant


@vjp.rule(Mul)
def _mul(op: Mul, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    return [builder.mul(args[1], grad), builder.mul(args[0], grad)]


@vjp.rule(Concat)
def _concat(op: Concat, builder: Builder, args: tuple[int, ...], out: int, grad: int) -> Cotangents:
    whole = np.arange(builder.node(out).size).reshape(builder.shape(out))
    parts, at = [], 0
    for a in args:
        n = builder.shape(a)[op.axis]
        picked = np.take(whole, range(at, at + n), axis=op.axis)
        parts.append(builder.affine(gather(builder.shape(out), picked), grad))
        at += n
    return parts


@vjp.rule(Univariate)
def _univariate(
    op: Univariate, builder: Builder, args: tuple[int, ...], out: int, grad: int
) -> Cotangents:
    return [builder.mul(find(op.name).derivative(builder, args[0], out), grad)]


vjp.refuse(TreeLeaves, "decision trees have no gradient: it is zero wherever it exists. "
                   "Claims about outputs are decided")


def gradients(builder: Builder, output: int, wrt: Sequence[int]) -> list[int]:
    """Nodes holding d output / d wrt[k], one per entry of `wrt`; `output` must have one element.

    Walks back over the nodes between; nodes that do not depend on `wrt` are left alone.
    """
    if builder.node(output).size != 1:
        raise ValueError(f"the output has {builder.node(output).size} elements, not one")
    below = _reachable(builder, output, set(wrt))
    # Cotangents of a node are only summed once all its users have been passed.
    cotangent: dict[int, list[int]] = {output: [builder.const(np.ones(builder.shape(output)))]}
    totals: dict[int, int] = {}
    for i in sorted(below, reverse=True):
        if i not in cotangent:
            continue
        totals[i] = g = builder.sum(cotangent.pop(i))
        node = builder.node(i)
        if isinstance(node.op, TreeLeaves):
            raise UnsupportedError(
                "the attribution depends on decision trees, whose gradient is zero wherever there "
                "is one", expected="claims about outputs (class, output)")
        # An input ends the walk; a hidden node of `wrt` may lie before another one.
        if i in wrt and not node.args:
            continue
        for a, part in zip(node.args, vjp[node.op](node.op, builder, node.args, i, g), strict=True):
            if part is not None and a in below:
                cotangent.setdefault(a, []).append(part)
    return [totals[w] if w in totals else builder.const(np.zeros(builder.shape(w))) for w in wrt]


def _reachable(builder: Builder, output: int, wrt: set[int]) -> set[int]:
    """Ancestors of `output` that depend on one of `wrt`."""
    depends: set[int] = set()
    for i in builder.ancestors([output]):
        if i in wrt or any(a in depends for a in builder.node(i).args):
            depends.add(i)
    return depends
