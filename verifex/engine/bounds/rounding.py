"""How much float64 may err in the value of a form: what is nearer to zero decides nothing.

Every node gets a size: the greatest sum of magnitudes that floats may add up to get one of its
elements anywhere in the box. Numbers that cancel leave a small value, but their error stays.
"""

from __future__ import annotations

import math

import numpy as np

from verifex.ir.exact import FloatArray, as_float
from verifex.ir.formula import Dominance, Form, Formula, Junction, fold
from verifex.ir.graph import Graph
from verifex.ir.linmap import absolute, apply_numpy
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
from verifex.semantics.claim import NodeBounds

UNITS = 2.0**-46
"""Error of a value relative to its size: 64 units in the last place of float64, the worst case for
sums of 128 terms and far beyond what longer sums lose in practice. It steers; nothing is proved
by it."""


class Rounding:
    """Sizes of the nodes that `targets` need, over a box (n,) with these bounds of the nodes."""

    def __init__(
        self, graph: Graph, targets: list[int], box: tuple[FloatArray, FloatArray],
        bounds: NodeBounds,
    ) -> None:
        self.sizes: dict[int, FloatArray] = {}
        widest = np.maximum(np.abs(box[0]), np.abs(box[1]))
        for i in graph.ancestors(targets):
            node = graph.nodes[i]
            if isinstance(node.op, Input):
                at = graph.input_offsets[i]
                self.sizes[i] = widest[at : at + node.size].reshape(node.shape)
            elif isinstance(node.op, Univariate):
                ends = [np.abs(side[i]).reshape(node.shape) for side in bounds if i in side]
                known = np.maximum(*ends) if len(ends) == 2 else np.ones(node.shape)
                self.sizes[i] = np.where(np.isfinite(known), known, 1.0)
            else:
                with np.errstate(over="ignore"):
                    found = self._size(node.op, [self.sizes[a] for a in node.args], node.shape)
                self.sizes[i] = found

    @staticmethod
    def _size(op: object, args: list[FloatArray], shape: tuple[int, ...]) -> FloatArray:
        match op:
            case Const():
                return np.abs(as_float(op.value))
            case Affine():
                parts = [apply_numpy(absolute(m), v[None])[0]
                         for m, v in zip(op.maps, args, strict=True)]
                bias = np.zeros(shape) if op.bias is None else np.abs(as_float(op.bias))
                return np.asarray(sum(parts, bias))
            case Relu():
                return args[0]
            case Step() | TreeLeaves():
                return np.ones(shape)
            case Gate():
                return args[1]
            case Mul():
                return args[0] * args[1]
            case Concat():
                return np.concatenate(args, axis=op.axis)
        raise TypeError(f"no size of {type(op).__name__}")

    def of(self, form: Form) -> float:
        """What a value of the form may err by; infinite beyond the floats."""
        total = abs(_near(form.const)) + sum(
            abs(_near(c)) * float(self.sizes[node].flat[index]) for (node, index), c in form.terms)
        return UNITS * total if math.isfinite(total) else math.inf

    def of_formula(self, formula: Formula) -> float:
        """What the margin of a formula may err by."""

        def block(dominance: Dominance) -> float:
            return 2 * UNITS * float(self.sizes[dominance.node].max(initial=0.0))

        def join(_: Junction, parts: list[float]) -> float:
            return max(parts, default=0.0)

        return fold(formula, lambda atom: self.of(atom.form), join, block)


def _near(value: object) -> float:
    """A fraction as a float, infinite beyond them."""
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
