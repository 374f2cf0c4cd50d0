"""Tensors whose elements are linear forms of the values of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import product, zip_longest
from operator import mul
from typing import Any

from ..failures import MAX_MADE, MAX_SIZE, need
from .element_types import KINDS
from .forms import ZERO, Form, total
from .network_graph import NetworkGraph


class SymbolicTensor:
    """A shape and, in C order, its elements as linear forms of the values of a graph.

    `kind` is its ONNX element type (0 on the way through a rule), `derived` says whether integers
    were computed by arithmetic on integers.
    """

    def __init__(self, graph: NetworkGraph, shape: Iterable[int], items: list[Form], kind: int = 0,
                 derived: bool = False) -> None:
        self.graph, self.shape, self.items = graph, tuple(shape), items
        self.kind, self.derived = kind, derived
        graph.made += len(items)
        need(graph.made <= MAX_MADE, "too many values")
        need(min((0, *self.shape)) == 0 and math.prod(self.shape) == len(items), "a wrong shape")
        self.strides = [math.prod(self.shape[k + 1 :]) * (d > 1) for k, d in enumerate(self.shape)]
        self.fixed: bool = not any(refs for refs, _ in items)

    def at(self, index: Sequence[int]) -> Form:
        """An element; axes of 1 stretch, and further axes may lead the index."""
        return self.items[int(sum(map(mul, index[len(index) - len(self.shape) :], self.strides)))]

    def shaped(self, shape: Iterable[int]) -> SymbolicTensor:
        return SymbolicTensor(self.graph, shape, self.items)

    def typed(self, kind: int, derived: bool = False) -> SymbolicTensor:
        """The same elements as another tensor of this element type."""
        if (self.kind, self.derived) == (kind, derived):
            return self
        return SymbolicTensor(self.graph, self.shape, self.items, kind, derived).within()

    def within(self) -> SymbolicTensor:
        """The tensor itself; refused where a constant is none of its element type.

        Sound: arithmetic on integers wraps around, on floats it ends in infinities. Only constants
        can be compared with the range; computed floats are taken as real numbers.
        """
        name, low, high = KINDS[self.kind]
        need(self.fixed or self.kind not in (6, 7), f"unsupported computed {name}")
        need(not self.fixed or all(low <= c <= high for _, c in self.items),
             f"a constant beyond the range of {name}")
        return self

    def consts(self) -> list[Fraction]:
        need(self.fixed, "a constant is needed")
        return [c for _, c in self.items]

    def ints(self) -> list[int]:
        need(all(c.denominator == 1 for c in self.consts()), "whole numbers are needed")
        return [int(c) for c in self.consts()]

    def solid(self) -> SymbolicTensor:
        """The tensor as elements of one node, unless it is constant."""
        g = self.graph
        return self if self.fixed else SymbolicTensor(g, self.shape, g.refs(g.rows(self.items)))

    def __add__(self, other: SymbolicTensor) -> SymbolicTensor:
        return combine((self, 1), (other, 1))

    def __sub__(self, other: SymbolicTensor) -> SymbolicTensor:
        return combine((self, 1), (other, -1))

    def __mul__(self, other: SymbolicTensor) -> SymbolicTensor:
        a, b = (self, other) if other.fixed else (other, self)
        shape, g = stretched(a, b), self.graph
        if b.fixed:
            return built(g, shape, lambda i: total([(a.at(i), b.at(i)[1])]))
        pair = [t if t.shape == tuple(shape) else built(g, shape, t.at) for t in (self, other)]
        gates = [t for t in pair if t.binary()][:1]
        if gates and gates[0] is pair[1]:
            pair.reverse()
        factors = [g.rows(t.items) for t in pair]
        need(gates or factors[0] != factors[1], "unsupported square of a computed tensor")
        return SymbolicTensor(g, shape, g.refs(g.op("G" if gates else "M", *factors)))

    def binary(self) -> bool:
        """Whether each element is the gate of some unit."""
        return all(not c and len(refs) == 1 and all(
            v == 1 and self.graph.nodes[n].kind == "S" for (n, _), v in refs.items())
            for refs, c in self.items)

    def relu(self) -> SymbolicTensor:
        g = self.graph
        return SymbolicTensor(g, self.shape, g.refs(g.op("R", g.rows(self.items))))

    def gate(self) -> SymbolicTensor:
        """1 where an element is above 0, else 0."""
        g = self.graph
        return SymbolicTensor(g, self.shape, g.refs(g.op("S", g.rows(self.items))))

    def absolute(self) -> SymbolicTensor:
        t = self.solid()
        return combine((t.relu(), 2), (t, -1))


def constants(
    graph: NetworkGraph, shape: Iterable[int], values: Iterable[Any], kind: int = 0
) -> SymbolicTensor:
    return SymbolicTensor(graph, shape, [({}, Fraction(v)) for v in values], kind)


def built(graph: NetworkGraph, shape: Sequence[int], cell: Callable[[Any], Form]) -> SymbolicTensor:
    """The tensor with this element at every index."""
    need(math.prod(shape) <= MAX_SIZE, "a tensor is too big")
    return SymbolicTensor(graph, shape, [cell(i) for i in product(*map(range, shape))])


def stretched(*tensors: SymbolicTensor, inner: int = 0) -> list[int]:
    """The common shape of tensors without their inner axes, where axes of 1 stretch."""
    shapes = [t.shape[::-1][inner:] for t in tensors]
    axes = [{*dims} - {1} for dims in zip_longest(*shapes, fillvalue=1)]
    need(all(len(sizes) < 2 for sizes in axes), "shapes do not fit")
    return [max(sizes, default=1) for sizes in axes[::-1]]


def combine(*terms: tuple[SymbolicTensor, Any]) -> SymbolicTensor:
    """sum of factor * tensor."""
    shape = stretched(*(t for t, _ in terms))
    return built(terms[0][0].graph, shape, lambda i: total((t.at(i), f) for t, f in terms))


def along(axis: int, where: Sequence[tuple[SymbolicTensor, int]]) -> SymbolicTensor:
    """Slices of tensors, each at a position, one after the other along an axis; zeros at -1."""
    ((lead, tail),) = {(t.shape[:axis], t.shape[axis + 1 :]) for t, _ in where}
    need(all(k < t.shape[axis] for t, k in where), "an index is out of range")

    def cell(i: tuple[int, ...]) -> Form:
        t, k = where[i[axis]]
        return t.at((*i[:axis], k, *i[axis + 1 :])) if k >= 0 else ({}, ZERO)

    return built(where[0][0].graph, (*lead, len(where), *tail), cell)


def transposed(t: SymbolicTensor, axes: Sequence[int]) -> SymbolicTensor:
    need(len(axes) == len(t.shape), "a transposition of other axes")
    shape, order = [t.shape[k] for k in axes], sorted(range(len(axes)), key=axes.__getitem__)
    return built(t.graph, shape, lambda i: t.at([i[k] for k in order]))
