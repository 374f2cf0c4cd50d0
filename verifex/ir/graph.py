"""Graphs: immutable, shape-checked, hash-consed lists of operations, and their builder.

A node is an op on earlier nodes, named by its position. `Builder` gives equal nodes the same
position, checks shapes and kinds as nodes are added, and folds affine steps of constants exactly.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np

from verifex.errors import InputError
from verifex.ir.exact import ExactArray, Number, Values, as_exact
from verifex.ir.linmap import (
    Gather,
    LinearMap,
    Shape,
    apply_exact,
    identity,
    is_identity,
    is_zero,
    scale,
)
from verifex.ir.ops import (
    Affine,
    Concat,
    Const,
    Gate,
    Input,
    Mul,
    Op,
    Relu,
    Step,
    TreeLeaves,
    Univariate,
)
from verifex.pictures import DrawnNode, graph_picture


class GraphError(InputError):
    """A node that does not fit its arguments; the message names the node."""


@dataclass(frozen=True)
class Node:
    """An operation on earlier nodes. `boolean` marks values that are 0 or 1 only (gates)."""

    op: Op
    args: tuple[int, ...]
    shape: Shape
    boolean: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)


HEADS = ("softmax", "log_softmax", "sigmoid", "normalized_sigmoid")
"""Kinds of heads: softmax(z) and its logarithm over all elements, sigmoid(z) of each element, and
sigmoid(z) divided by the sum of all sigmoids (one-vs-rest)."""


@dataclass(frozen=True)
class Head:
    """The last layer of a classifier: an output that is a smooth function of its logits.

    `logits` is the node of z, of as many elements as the output and in the same flat order.
    """

    kind: str
    logits: int


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, the inputs in the order of the flat input, named outputs.

    `labels` names nodes after the file they came from (for messages and drawings); `notes` are
    sentences that a verdict about this graph must repeat, such as a folded BatchNormalization.
    `heads` says of outputs, by name, that they are heads; their nodes are there all the same.
    `whole_inputs` names elements of the flat input that are whole numbers, with the least and the
    greatest that they may be: at others the graph is not what the file says.
    `onnx` holds the bytes of the ONNX file that this graph is the meaning of, if it is all of it.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: Mapping[str, int]
    labels: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    heads: Mapping[str, Head] = field(default_factory=dict)
    whole_inputs: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    onnx: bytes | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        return (f"Graph({len(self.nodes)} nodes, {self.input_size} inputs, outputs "
                f"{', '.join(self.outputs)})")

    def _repr_html_(self) -> str:
        """For notebooks: the graph drawn from left to right."""
        drawn = [DrawnNode(type(n.op).__name__, n.args, n.shape) for n in self.nodes]
        return graph_picture(drawn, self.outputs, self.input_size, self.notes)

    @cached_property
    def input_size(self) -> int:
        """The length of the flat input vector: all inputs one after the other."""
        return sum(self.nodes[i].size for i in self.inputs)

    @cached_property
    def input_offsets(self) -> Mapping[int, int]:
        """Where each input node starts in the flat input vector."""
        offsets, at = {}, 0
        for i in self.inputs:
            offsets[i] = at
            at += self.nodes[i].size
        return offsets

    def ancestors(
        self, targets: Iterable[int], *, zeros: bool = True, stop: Container[int] = ()
    ) -> list[int]:
        """The nodes that the targets depend on (themselves included), in order.

        Without `zeros`, what is only multiplied by zeros does not count. What lies behind the
        nodes `stop` does not count either, unless it is needed on another way.
        """
        return _ancestors(self.nodes, targets, zeros, stop)

    def describe(self, index: int) -> str:
        """A node as a person would name it."""
        label, op = self.labels.get(index), self.nodes[index].op
        kind = op.name if isinstance(op, Univariate) else type(op).__name__
        return f"{kind} node {index}" + (
            f" ({label})" if label else ""
        )


@dataclass(frozen=True)
class NamedNetwork:
    """One of several networks that share a graph: where its inputs and its outputs lie there.

    `inputs` are any nodes of the graph: two networks may be asked about the same inputs, about
    parts of them, or one about what the other computes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: Mapping[str, int]
    heads: Mapping[str, Head] = field(default_factory=dict)


def _ancestors(
    nodes: Sequence[Node], targets: Iterable[int], zeros: bool, stop: Container[int]
) -> list[int]:
    """See `Graph.ancestors`."""
    needed, stack = set(), list(targets)
    while stack:
        i = stack.pop()
        if i in needed:
            continue
        needed.add(i)
        node = nodes[i]
        if i in stop:
            continue
        if zeros or not isinstance(node.op, Affine):
            stack.extend(node.args)
        else:
            pairs = zip(node.op.maps, node.args, strict=True)
            stack.extend(a for m, a in pairs if not is_zero(m))
    return sorted(needed)


class Builder:
    """Grows a graph. Every method returns the position of the (new or equal) node."""

    def __init__(self, start: Graph | None = None) -> None:
        self._nodes: list[Node] = []
        self._index: dict[tuple[Op, tuple[int, ...]], int] = {}
        self._inputs: list[int] = []
        self.labels: dict[int, str] = {}
        self.notes: list[str] = []
        self.outputs: dict[str, int] = {}
        self.heads: dict[str, Head] = {}
        self.whole_inputs: dict[int, tuple[int, int]] = {}
        if start is not None:
            self._nodes = list(start.nodes)
            self._index = {(n.op, n.args): i for i, n in enumerate(start.nodes)}
            self._inputs = list(start.inputs)
            self.labels, self.notes = dict(start.labels), list(start.notes)
            self.outputs, self.heads = dict(start.outputs), dict(start.heads)
            self.whole_inputs = dict(start.whole_inputs)

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, index: int) -> Node:
        return self._nodes[index]

    def shape(self, index: int) -> Shape:
        return self._nodes[index].shape

    @property
    def inputs(self) -> tuple[int, ...]:
        """The input nodes, in the order of the flat input."""
        return tuple(self._inputs)

    def ancestors(self, targets: Iterable[int], *, stop: Container[int] = ()) -> list[int]:
        """As `Graph.ancestors`, of the graph as it has grown."""
        return _ancestors(self._nodes, targets, True, stop)

    def build(self, outputs: Mapping[str, int] | None = None) -> Graph:
        """The finished graph; `outputs` defaults to those set on the builder."""
        outputs = dict(outputs or self.outputs)
        return Graph(
            tuple(self._nodes),
            tuple(self._inputs),
            outputs,
            dict(self.labels),
            tuple(dict.fromkeys(self.notes)),
            {name: head for name, head in self.heads.items() if name in outputs},
            dict(self.whole_inputs),
        )

    def hold_whole(self, place: int, least: int, greatest: int) -> None:
        """An element of the flat input is a whole number within these ends, and within those that
        it was held to before."""
        low, high = self.whole_inputs.get(place, (least, greatest))
        self.whole_inputs[place] = max(low, least), min(high, greatest)

    def add(self, op: Op, *args: int, label: str = "") -> int:
        """Add a node after checking that `op` fits its arguments (GraphError if not)."""
        if isinstance(op, Affine):
            known = [self._nodes[a].op for a in args]
            values = [k.value for k in known if isinstance(k, Const)]
            # Sound: folded in exact arithmetic, so that no rounding hides in a constant.
            if args and len(values) == len(args):
                self._check(op, args)
                op, args = Const(_fold(op, values)), ()
        found = self._index.get((op, args))
        if found is not None:
            return found
        shape, boolean = self._check(op, args)
        self._nodes.append(Node(op, args, shape, boolean))
        i = len(self._nodes) - 1
        self._index[(op, args)] = i
        if isinstance(op, Input):
            self._inputs.append(i)
        if label:
            self.labels[i] = label
        return i

    # --- shorthands -------------------------------------------------------------------------

    def input(self, name: str, shape: Shape) -> int:
        return self.add(Input(name, tuple(shape)), label=name)

    def const(self, value: Values, label: str = "") -> int:
        return self.add(Const(value), label=label)

    def affine(
        self, linear_map: LinearMap, node: int, bias: Values | None = None, label: str = ""
    ) -> int:
        """`linear_map node + bias`; a map that keeps everything in place and shape adds no node."""
        if bias is None and is_identity(linear_map) and linear_map.out_shape == self.shape(node):
            return node
        return self.add(Affine((linear_map,), bias), node, label=label)

    def sum(
        self, terms: Sequence[int], factors: Sequence[int | Fraction] | None = None, label: str = ""
    ) -> int:
        """`sum_i factors[i] * terms[i]` of tensors of one shape, exactly; without factors the sum.

        Equal terms become one, or none: what cancels leaves no node, so that Max(x, x) has no gate.
        """
        shape = self.shape(terms[0])
        merged: dict[int, int | Fraction] = dict.fromkeys(terms, 0)
        for term, factor in zip(terms, factors or [1] * len(terms), strict=True):
            merged[term] += factor
        # Zero factors go: a term that is multiplied by zero would keep its gates alive.
        left = {term: factor for term, factor in merged.items() if factor}
        if not left:
            return self.const(np.zeros(shape))
        if list(left.values()) == [1]:
            return next(iter(left))
        maps = tuple(identity(shape) if f == 1 else scale(shape, f) for f in left.values())
        return self.add(Affine(maps), *left, label=label)

    def scaled(self, node: int, factor: Number, label: str = "") -> int:
        return self.affine(scale(self.shape(node), factor), node, label=label)

    def relu(self, preact: int, label: str = "") -> int:
        return self.add(Relu(), preact, label=label)

    def step(self, preact: int, label: str = "") -> int:
        return self.add(Step(), preact, label=label)

    def gate(self, gate_node: int, value: int, label: str = "") -> int:
        return self.add(Gate(), gate_node, value, label=label)

    def mul(self, value: int, other: int, label: str = "") -> int:
        return self.add(Mul(), value, other, label=label)

    def univariate(self, name: str, node: int, label: str = "") -> int:
        return self.add(Univariate(name), node, label=label)

    def absolute(self, node: int, label: str = "") -> int:
        """`|node| = 2 relu(node) - node`, exactly."""
        return self.add(
            Affine((scale(self.shape(node), 2), scale(self.shape(node), -1))),
            self.relu(node),
            node,
            label=label,
        )

    # --- checks -----------------------------------------------------------------------------

    def _fail(self, op: Op, args: tuple[int, ...], what: str, expected: str) -> GraphError:
        names = ", ".join(f"{a}{list(self._nodes[a].shape)}" for a in args)
        key = f"node {len(self._nodes)} {type(op).__name__}({names})"
        return GraphError(what, expected=expected, key=key)

    def _check(self, op: Op, args: tuple[int, ...]) -> tuple[Shape, bool]:
        """The shape and kind of the result; raises GraphError where the arguments do not fit."""
        for a in args:
            if not 0 <= a < len(self._nodes):
                raise GraphError(f"argument {a} does not exist", expected="an earlier node")
        nodes = [self._nodes[a] for a in args]
        arity = {Input: 0, Const: 0, Relu: 1, Step: 1, Gate: 2, Mul: 2, Univariate: 1,
                 TreeLeaves: 1}
        wanted = arity.get(type(op))
        if wanted is not None and len(args) != wanted:
            raise self._fail(op, args, f"{len(args)} arguments", f"{wanted}")
        match op:
            case Input():
                if any(d < 0 for d in op.shape):
                    raise self._fail(op, args, f"shape {list(op.shape)}", "dimensions >= 0")
                taken = {self._nodes[i].op for i in self._inputs}
                if op.name in {o.name for o in taken if isinstance(o, Input)}:
                    raise self._fail(op, args, f"a second input '{op.name}'", "distinct names")
                return op.shape, False
            case Const():
                return op.value.shape, False
            case Affine():
                return self._check_affine(op, args, nodes)
            case Concat():
                return self._check_concat(op, args, nodes)
            case Gate():
                if not nodes[0].boolean:
                    raise self._fail(op, args, "the gate can take values besides 0 and 1", "a Step")
                return self._same_shape(op, args, nodes), nodes[1].boolean
            case Mul():
                return self._same_shape(op, args, nodes), False
            case TreeLeaves():
                if nodes[0].size != op.forest.inputs:
                    expected = f"{op.forest.inputs} elements"
                    raise self._fail(op, args, "trees over another vector", expected)
                return (op.forest.leaves,), False
            case Univariate() if not op.name.isidentifier():
                raise self._fail(op, args, f"function '{op.name}'", "the name of a function")
            case _:
                return nodes[0].shape, isinstance(op, Step)

    def _same_shape(self, op: Op, args: tuple[int, ...], nodes: list[Node]) -> Shape:
        if nodes[0].shape != nodes[1].shape:
            raise self._fail(op, args, "the shapes of the arguments differ", "equal shapes")
        return nodes[0].shape

    def _check_affine(
        self, op: Affine, args: tuple[int, ...], nodes: list[Node]
    ) -> tuple[Shape, bool]:
        if len(op.maps) != len(args) or not args:
            raise self._fail(op, args, f"{len(op.maps)} maps for {len(args)} arguments", "as many")
        for m, n in zip(op.maps, nodes, strict=True):
            if m.in_shape != n.shape:
                raise self._fail(op, args, f"the map takes {list(m.in_shape)}", f"{list(n.shape)}")
            if m.out_shape != op.maps[0].out_shape:
                raise self._fail(op, args, "the maps give different shapes", "one shape")
        shape = op.maps[0].out_shape
        if op.bias is not None and op.bias.shape != shape:
            raise self._fail(op, args, f"bias of shape {list(op.bias.shape)}", f"{list(shape)}")
        first = op.maps[0]
        # Whatever adds or scales makes other numbers of gates; moving them does not.
        picks = len(args) == 1 and op.bias is None and isinstance(first, Gather)
        return shape, picks and nodes[0].boolean  # gathered gates are gates (a -1 picks 0)

    def _check_concat(
        self, op: Concat, args: tuple[int, ...], nodes: list[Node]
    ) -> tuple[Shape, bool]:
        if not nodes:
            raise self._fail(op, args, "nothing to concatenate", "at least one argument")
        first = nodes[0].shape
        if not 0 <= op.axis < len(first):
            raise self._fail(op, args, f"axis {op.axis}", f"0..{len(first) - 1}")
        for n in nodes:
            rest = [d for k, d in enumerate(n.shape) if k != op.axis]
            if len(n.shape) != len(first) or rest != [
                d for k, d in enumerate(first) if k != op.axis
            ]:
                raise self._fail(op, args, "the shapes differ off the axis", "equal shapes there")
        length = sum(n.shape[op.axis] for n in nodes)
        return (*first[: op.axis], length, *first[op.axis + 1 :]), all(n.boolean for n in nodes)


def _fold(op: Affine, values: list[Values]) -> Values:
    """The exact value of an affine step whose arguments are all constant."""
    move = op.maps[0]
    if len(op.maps) == 1 and op.bias is None and isinstance(move, Gather):
        moved = values[0]
        if not isinstance(moved, ExactArray):  # floats that only change places stay floats
            flat = np.append(moved.ravel(), 0.0)  # position -1 picks zero
            return np.asarray(flat[move.index].reshape(move.out_shape))
    out = None if op.bias is None else as_exact(op.bias)
    for m, v in zip(op.maps, values, strict=True):
        exact = as_exact(v)
        batched = ExactArray(exact.num.reshape(1, *exact.shape), exact.den)
        term = apply_exact(m, batched)
        term = ExactArray(np.asarray(term.num[0], dtype=object).reshape(m.out_shape), term.den)
        out = term if out is None else out + term
    if out is None:
        raise GraphError("an affine step without arguments", expected="at least one")
    return out
