"""The graph that a claim is about: inputs, affine steps, five kinds of relaxed nodes, derivatives.

    relu     y = max(z, 0)                    step     the gate of z: 1 where z > 0, 0 where z < 0,
    gate     s * v for a gate s                        and either of them where z = 0
    product  u * v                            leaves   of decision trees: 1 for those reached, 0
                                                       for all others

Bounds of affine steps are exact; only the other kinds are *relaxed*, that is replaced by
planes (see `bounds`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..failures import MAX_NODES, MAX_SIZE, need
from .forests import NO_PATHS, LeafPaths
from .forms import ONE, ZERO, Form, total
from .packed_rows import PackedRows, packed
from .sparse_rows import (
    PackedRow,
    columns_of,
    divided,
    greatest_divisor,
    is_identity,
    magnitudes,
)

INPUT, AFFINE, RELU, STEP, GATE, PRODUCT, LEAVES = "I", "A", "R", "S", "G", "M", "T"
RELAXED = (RELU, STEP, GATE, PRODUCT)
"""The kinds whose arguments certificates split on; leaves are split at values of inputs."""


class AffinePart(NamedTuple):
    """What one argument adds to an affine step: `rows` times the argument.

    `magnitudes` are the rows without signs, `columns` the same matrix by columns.
    """

    argument: int
    rows: PackedRows
    magnitudes: PackedRows
    columns: PackedRows


class AffineStep(NamedTuple):
    """(sum over the parts of rows * argument) / denominator + bias."""

    parts: tuple[AffinePart, ...] = ()
    denominator: int = 1
    bias: tuple[Fraction, ...] = ()


NO_STEP = AffineStep()


class GraphNode(NamedTuple):
    """One node: its kind, its arguments' positions, the number of its elements.

    `start`: of an input, where it begins in the flat input. `step`: of an affine node, its matrix.
    `forest`: the trees, of leaves. `cone`: the node and all that it depends on.
    """

    kind: str
    args: tuple[int, ...]
    size: int
    cone: frozenset[int]
    start: int = 0
    step: AffineStep = NO_STEP
    forest: LeafPaths = NO_PATHS


class NetworkGraph:
    """Nodes by position, arguments first. Equal nodes are one."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self.index: dict[Hashable, int] = {}
        self.made = 0  # elements of all tensors so far
        # Elements of inputs that are whole numbers, with the ends between which they lie: the graph
        # is the network at these alone. Nodes whose elements are whole then, up to MAX_CODE.
        self.whole: dict[tuple[int, int], tuple[int, int]] = {}
        self.codes: set[int] = set()
        self.gate_products = set[int]()  # products of gates with gates, which are 0 or 1 again
        self._elements = 0  # of all nodes so far
        self.terrains: dict[int, object] = {}  # of nodes of leaves: see bounds/terrain.py

    def _add(
        self, kind: str, args: tuple[int, ...], size: int, key: Hashable = 0, start: int = 0,
        step: AffineStep = NO_STEP, forest: LeafPaths = NO_PATHS,
    ) -> int:
        """The position of this node, which is new or equal to one that is there."""
        position = self.index.setdefault((kind, args, key), len(self.nodes))
        if position == len(self.nodes):
            cone = frozenset({position}.union(*(self.nodes[a].cone for a in args)))
            self.nodes.append(GraphNode(kind, args, size, cone, start, step, forest))
            self._elements += size
            need(position < MAX_NODES and self._elements <= MAX_SIZE, "too many values")
        return position

    def input(self, name: str, size: int) -> int:
        """A new input, behind those that are there in the flat input."""
        start = sum(node.size for node in self.nodes if node.kind == INPUT)
        return self._add(INPUT, (), size, name, start)

    def hold_whole(self, place: tuple[int, int], least: int, greatest: int) -> None:
        """An element of an input is a whole number within these ends, and within earlier ones."""
        low, high = self.whole.get(place, (least, greatest))
        self.whole[place] = max(low, least), min(high, greatest)

    def op(self, kind: str, *args: int) -> int:
        """A relaxed node of these arguments."""
        return self._add(kind, args, self.nodes[args[-1]].size)

    def leaves(self, argument: int, forest: LeafPaths) -> int:
        """The node of the leaves of trees on this node."""
        size = len(forest.paths)
        return self._add(LEAVES, (argument,), size, forest, forest=forest)

    def refs(self, position: int) -> list[Form]:
        """The elements of a node, each as a form."""
        return [({(position, i): ONE}, ZERO) for i in range(self.nodes[position].size)]

    def rows(self, forms: list[Form]) -> int:
        """The node whose elements are these forms."""
        args = tuple(sorted({node for refs, _ in forms for node, _ in refs}))
        if len(args) == 1 and forms == self.refs(args[0]):
            return args[0]
        denominator = math.lcm(*{c.denominator for refs, _ in forms for c in refs.values()})
        by_row: dict[int, list[dict[int, int]]] = {a: [{} for _ in forms] for a in args}
        by_column: dict[int, list[dict[int, int]]] = {
            a: [{} for _ in range(self.nodes[a].size)] for a in args}
        for k, (refs, _) in enumerate(forms):
            for (a, i), c in refs.items():
                whole = c.numerator * (denominator // c.denominator)
                by_row[a][k][i] = by_column[a][i][k] = whole
        parts = tuple(
            affine_part(a, by_row[a], by_column[a]) for a in args)
        bias = tuple(constant for _, constant in forms)
        key = (tuple(part.rows.rows for part in parts), denominator, bias)
        step = AffineStep(parts, denominator, bias)
        return self._add(AFFINE, args, len(forms), key, step=step)

    def affine_node(
        self, argument: int, rows: Sequence[PackedRow], denominator: int,
        bias: Sequence[Fraction],
    ) -> int:
        """The node (rows / denominator) * argument + bias, one of the rows not being empty.

        It is the node that `rows` gives for the same forms, made without a fraction a weight.
        """
        shared = greatest_divisor(rows, denominator)
        if shared > 1:
            rows, denominator = divided(rows, shared), denominator // shared
        width = self.nodes[argument].size
        if denominator == 1 and not any(bias) and is_identity(rows, width):
            return argument
        by_row, by_size = PackedRows(rows, width), PackedRows(magnitudes(rows), width)
        columns = PackedRows(columns_of(rows, width), len(rows))
        step = AffineStep(
            (AffinePart(argument, by_row, by_size, columns),), denominator, tuple(bias))
        key = ((by_row.rows,), denominator, step.bias)
        return self._add(AFFINE, (argument,), len(rows), key, step=step)

    def gradient(self, output: int, inputs: Sequence[int]) -> list[int]:
        """Nodes of d output / d input, for a node of one element, by reverse mode.

        By the chain rule the derivative by a node is the sum over the nodes that use it; nodes are
        taken in falling order, so that all of these come first. d relu(z) = step(z) dz, which holds
        off the kinks; d (s * v) = s dv for a gate s, which is constant off the kinks;
        d (u * v) = v du + u dv.
        """
        terms: dict[int, list[list[tuple[Form, Fraction]]]] = {
            n: [[] for _ in range(self.nodes[n].size)]
            for n in (*self.nodes[output].cone, *inputs)
            if n == output or not self.nodes[n].cone.isdisjoint(inputs)
        }
        terms[output][0].append((({}, ONE), ONE))
        found = {}
        for n in sorted(terms, reverse=True):
            found[n] = self.rows([total(element) for element in terms[n]])
            self._pass_back(self.nodes[n], found[n], terms)
        return [found[x] for x in inputs]

    def _pass_back(
        self, node: GraphNode, derivative: int, terms: dict[int, list[list[tuple[Form, Fraction]]]]
    ) -> None:
        """Add what a node's derivative adds to those of its arguments."""
        need(node.kind != LEAVES, "unsupported gradient of decision trees")
        for part in node.step.parts:
            if part.argument in terms:
                self._pass_affine(node, part, derivative, terms[part.argument])
        if node.kind == RELU:
            (argument,) = node.args
            self._add_each(terms[argument], self.op(GATE, self.op(STEP, argument), derivative))
        if node.kind in (GATE, PRODUCT):
            first, second = node.args
            for argument, other in ((first, second), (second, first)):
                if argument in terms and not (node.kind == GATE and argument == first):
                    self._add_each(terms[argument], self.op(node.kind, other, derivative))

    def _pass_affine(
        self, node: GraphNode, part: AffinePart, derivative: int,
        terms: list[list[tuple[Form, Fraction]]],
    ) -> None:
        """d (W x) = W^T: column j of W, times the derivative, for element j."""
        for element, (positions, weights) in zip(terms, part.columns.rows, strict=True):
            places = range(node.size) if positions is None else positions
            element += [
                (({(derivative, k): ONE}, ZERO), Fraction(weight, node.step.denominator))
                for k, weight in zip(places, weights, strict=True)
            ]

    def _add_each(self, terms: list[list[tuple[Form, Fraction]]], node: int) -> None:
        for element, form in zip(terms, self.refs(node), strict=True):
            element.append((form, ONE))


def affine_part(
    argument: int, by_row: list[dict[int, int]], by_column: list[dict[int, int]]
) -> AffinePart:
    """The part of an argument, its matrix given both ways by position."""
    rows = [packed(row, len(by_column)) for row in by_row]
    sizes = [(positions, tuple(map(abs, weights))) for positions, weights in rows]
    columns = [packed(column, len(by_row)) for column in by_column]
    return AffinePart(
        argument, PackedRows(rows, len(by_column)), PackedRows(sizes, len(by_column)),
        PackedRows(columns, len(by_row)))
