"""A network while it is drawn: every operation goes into an ONNX graph and into a `Program`.

The two are written side by side from one description, so that what verifex reads from the file can
be compared with what the numbers say. Weights are floats of the element type, taken exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import isqrt, prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.soundness.independent.program import Extreme, Program, Sum

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the ONNX graph, and its elements in the program, in C order."""

    name: str
    shape: tuple[int, ...]
    elements: tuple[int, ...]


@dataclass
class Network:
    """Inputs first, then operations, then `output`."""

    opset: int = 13
    double: bool = False
    program: Program = field(default_factory=lambda: Program(0))
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    gates: int = 0
    _nodes: list[Any] = field(default_factory=list)
    _stored: list[Any] = field(default_factory=list)

    # --- the graph ----------------------------------------------------------------------------

    @property
    def kind(self) -> int:
        return int(TensorProto.DOUBLE if self.double else TensorProto.FLOAT)

    def rounded(self, value: float) -> float:
        """The nearest number of the element type."""
        return value if self.double else float(np.float32(value))

    def store(self, values: object) -> str:
        """A constant of the element type; its name."""
        name = f"c{len(self._stored)}"
        array = np.asarray(values, dtype=np.float64 if self.double else np.float32)
        self._stored.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def model(self) -> bytes:
        def info(t: Tensor) -> Any:
            return helper.make_tensor_value_info(t.name, self.kind, list(t.shape))

        graph = helper.make_graph(self._nodes, "network", [info(t) for t in self.inputs],
                                  [info(t) for t in self.outputs], self._stored)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                 ir_version=8)
        onnx.checker.check_model(made)
        return bytes(made.SerializeToString())

    def input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        start = self.program.inputs
        self.program.inputs += prod(shape)
        made = Tensor(name, shape, tuple(range(start, self.program.inputs)))
        self.inputs.append(made)
        return made

    def output(self, x: Tensor, name: str = "y") -> None:
        self._nodes.append(helper.make_node("Identity", [x.name], [name]))
        self.outputs.append(Tensor(name, x.shape, x.elements))

    def _sums(self, rows: Sequence[tuple[Sequence[tuple[int, Fraction]], Fraction]]
              ) -> tuple[int, ...]:
        out = []
        for terms, const in rows:
            total: dict[int, Fraction] = {}
            for e, f in terms:
                total[e] = total.get(e, Fraction(0)) + f
            kept = tuple((e, f) for e, f in total.items() if f)
            out.append(self.program.add(Sum(kept, const)))
        return tuple(out)

    # --- linear -------------------------------------------------------------------------------

    def dense(self, x: Tensor, weight: Rows, bias: Sequence[float], how: int = 0) -> Tensor:
        """`weight` has one row an output; `how` is the way it is written (0 to 2)."""
        columns = np.array(weight).T
        if how == 0 or len(x.shape) != 2:
            name = self.node("MatMul", [x.name, self.store(columns)])
            name = self.node("Add", [name, self.store(bias)])
        elif how == 1:
            name = self.node("Gemm", [x.name, self.store(columns), self.store(bias)])
        else:
            name = self.node("Gemm", [x.name, self.store(weight), self.store(bias)], transB=1)
        rows = [([(e, Fraction(w)) for e, w in zip(x.elements, row, strict=True)], Fraction(b))
                for row, b in zip(weight, bias, strict=True)]
        return Tensor(name, (*x.shape[:-1], len(weight)), self._sums(rows))

    def conv(self, x: Tensor, weight: Any, bias: Sequence[float], stride: int = 1, pad: int = 0
             ) -> Tensor:
        """`weight` of shape (out, in, *kernel), the same stride and pad along every axis."""
        weight = np.asarray(weight)
        kernel, space = weight.shape[2:], x.shape[2:]
        rank = len(kernel)
        name = self.node("Conv", [x.name, self.store(weight), self.store(bias)],
                         kernel_shape=list(kernel), strides=[stride] * rank, pads=[pad] * 2 * rank)
        sizes = tuple((n + 2 * pad - k) // stride + 1 for n, k in zip(space, kernel, strict=True))
        place = _places(x)
        rows = []
        for o, at in product(range(len(weight)), product(*map(range, sizes))):
            terms = []
            for c, k in product(range(weight.shape[1]), product(*map(range, kernel))):
                where = tuple(a * stride - pad + b for a, b in zip(at, k, strict=True))
                if all(0 <= w < n for w, n in zip(where, space, strict=True)):
                    terms.append((place[(0, c, *where)], Fraction(float(weight[(o, c, *k)]))))
            rows.append((terms, Fraction(float(bias[o]))))
        return Tensor(name, (1, len(weight), *sizes), self._sums(rows))

    def average_pool(self, x: Tensor, kernel: Sequence[int], whole: bool = False) -> Tensor:
        rank = len(kernel)
        if whole:
            name = self.node("GlobalAveragePool", [x.name])
        else:
            name = self.node("AveragePool", [x.name], kernel_shape=list(kernel), strides=[1] * rank)
        windows, shape = _windows(x, kernel)
        rows = [([(e, Fraction(1, len(w))) for e in w], Fraction(0)) for w in windows]
        return Tensor(name, shape, self._sums(rows))

    def add(self, x: Tensor, y: Tensor, minus: bool = False) -> Tensor:
        name = self.node("Sub" if minus else "Add", [x.name, y.name])
        other = Fraction(-1 if minus else 1)
        rows = [([(a, Fraction(1)), (b, other)], Fraction(0))
                for a, b in zip(x.elements, y.elements, strict=True)]
        return Tensor(name, x.shape, self._sums(rows))

    def times(self, x: Tensor, factor: float) -> Tensor:
        name = self.node("Mul", [x.name, self.store([factor])])
        rows = [([(e, Fraction(factor))], Fraction(0)) for e in x.elements]
        return Tensor(name, x.shape, self._sums(rows))

    def difference(self, x: Tensor, const: float) -> Tensor:
        """const - x."""
        name = self.node("Sub", [self.store([const]), x.name])
        rows = [([(e, Fraction(-1))], Fraction(const)) for e in x.elements]
        return Tensor(name, x.shape, self._sums(rows))

    def batchnorm(self, x: Tensor, scale: Sequence[float], offset: Sequence[float],
                  mean: Sequence[float], var: Sequence[float], epsilon: float) -> Tensor:
        name = self.node("BatchNormalization",
                         [x.name, *(self.store(v) for v in (scale, offset, mean, var))],
                         epsilon=epsilon)
        share = prod(x.shape) // x.shape[1]
        eps = Fraction(float(np.float32(epsilon)))
        rows = []
        for k, e in enumerate(x.elements):
            c = k // share
            factor = scale_over_root(Fraction(scale[c]), Fraction(var[c]) + eps)
            rows.append(([(e, factor)], Fraction(offset[c]) - factor * Fraction(mean[c])))
        return Tensor(name, x.shape, self._sums(rows))

    def flatten(self, x: Tensor) -> Tensor:
        return Tensor(self.node("Flatten", [x.name]), (1, prod(x.shape)), x.elements)

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        """Along the last axis of tensors (1, n)."""
        name = self.node("Concat", [p.name for p in parts], axis=len(parts[0].shape) - 1)
        elements = tuple(e for p in parts for e in p.elements)
        return Tensor(name, (*parts[0].shape[:-1], len(elements)), elements)

    # --- piecewise linear ---------------------------------------------------------------------

    def _extreme(self, of: Sequence[int], least: bool = False, shut: int | None = None) -> int:
        self.gates += len(of) - 1
        return self.program.add(Extreme(tuple(of), least, shut))

    def _const(self, value: float) -> int:
        return self.program.add(Sum((), Fraction(value)))

    def _scaled(self, e: int, factor: Fraction) -> int:
        return self.program.add(Sum(((e, factor),) if factor else (), Fraction(0)))

    def relu(self, x: Tensor) -> Tensor:
        zero = self._const(0)
        elements = tuple(self._extreme((e, zero), shut=1) for e in x.elements)
        return Tensor(self.node("Relu", [x.name]), x.shape, elements)

    def absolute(self, x: Tensor) -> Tensor:
        elements = tuple(self._extreme((e, self._scaled(e, Fraction(-1))), shut=1)
                         for e in x.elements)
        return Tensor(self.node("Abs", [x.name]), x.shape, elements)

    def leaky(self, x: Tensor, slopes: Sequence[float], each: bool = False) -> Tensor:
        """LeakyRelu with one slope, or with `each` PRelu with one a last axis' element."""
        if each:
            name = self.node("PRelu", [x.name, self.store(slopes)])
        else:
            name = self.node("LeakyRelu", [x.name], alpha=slopes[0])
        elements = []
        for k, e in enumerate(x.elements):
            slope = slopes[k % len(slopes)]
            exact = Fraction(slope) if each else Fraction(float(np.float32(slope)))
            elements.append(self._extreme((e, self._scaled(e, exact)), exact > 1, shut=1))
        return Tensor(name, x.shape, tuple(elements))

    def clip(self, x: Tensor, low: float | None, high: float | None) -> Tensor:
        names = ["" if v is None else self.store(np.array(v)) for v in (low, high)]
        name = self.node("Clip", [x.name, *names] if names[1] else [x.name, names[0]])
        elements = list(x.elements)
        if low is not None:
            end = self._const(low)
            elements = [self._extreme((e, end), shut=1) for e in elements]
        if high is not None:
            end = self._const(high)
            # A shut gate of relu(x - high) lets x through.
            elements = [self._extreme((e, end), True, shut=0) for e in elements]
        return Tensor(name, x.shape, tuple(elements))

    def extreme(self, parts: Sequence[Tensor], const: Sequence[float] | None, least: bool
                ) -> Tensor:
        """Max or Min of tensors of one shape, and of numbers, one an element of the last axis."""
        names, columns = [p.name for p in parts], [list(p.elements) for p in parts]
        if const is not None:
            names.append(self.store(const))
            fixed = [self._const(v) for v in const]
            columns.append([fixed[k % len(fixed)] for k in range(len(columns[0]))])
        name = self.node("Min" if least else "Max", names)
        elements = tuple(self._extreme(of, least) for of in zip(*columns, strict=True))
        return Tensor(name, parts[0].shape, elements)

    def max_pool(self, x: Tensor, kernel: Sequence[int]) -> Tensor:
        name = self.node("MaxPool", [x.name], kernel_shape=list(kernel), strides=[1] * len(kernel))
        windows, shape = _windows(x, kernel)
        elements = tuple(self._extreme(w) if len(w) > 1 else w[0] for w in windows)
        return Tensor(name, shape, elements)


def _places(x: Tensor) -> dict[tuple[int, ...], int]:
    return dict(zip(product(*map(range, x.shape)), x.elements, strict=True))


def _windows(x: Tensor, kernel: Sequence[int]) -> tuple[list[list[int]], tuple[int, ...]]:
    """The elements of every window (stride 1, no padding), and the shape that they fill."""
    sizes = tuple(n - k + 1 for n, k in zip(x.shape[2:], kernel, strict=True))
    place = _places(x)
    windows = [
        [place[(0, c, *(a + b for a, b in zip(at, k, strict=True)))]
         for k in product(*map(range, kernel))]
        for c, at in product(range(x.shape[1]), product(*map(range, sizes)))
    ]
    return windows, (1, x.shape[1], *sizes)


def scale_over_root(scale: Fraction, square: Fraction) -> Fraction:
    """scale / sqrt(square), rounded once to the nearest float64 (its normal range)."""
    ratio = scale * scale / square
    if ratio == 0:
        return Fraction(0)
    # 160 bits of the root are enough to round it, unless it is a float or a tie: then it is exact.
    bits = 160 + max(0, ratio.denominator.bit_length() - ratio.numerator.bit_length())
    root = isqrt((ratio.numerator << 2 * bits) // ratio.denominator)
    found = Fraction(root, 1 << bits)
    if found * found != ratio:
        found += Fraction(1, 1 << (bits + 1))
    return Fraction(float(found)) * (1 if scale > 0 else -1)
