"""Constants of a network as further inputs, so that they may move within a region of their own.

A bias that is lifted is added from an input; a weight matrix or a scale that is lifted is
multiplied from one, by the ops that there are already. With the inputs at the constants' values the
graph computes what it did.

Lift before attributions are built: a gradient holds the weights again, transposed, and these would
not move along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import prod

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import Values, as_exact
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import Dense, Diag, LinearMap, ScatterAdd, gather, identity
from verifex.ir.ops import Affine, Const, Input


class ConstantPart(Enum):
    """Which of a node's constants is meant."""

    VALUE = "value"
    """Of a Const: all of it."""

    BIAS = "bias"
    """Of an affine step: what it adds, of the node's own shape."""

    WEIGHT = "weight"
    """Of an affine step: the matrix (outputs, inputs) of a Dense map, or the scale of a Diag."""


@dataclass(frozen=True)
class ConstantPlace:
    """Where a constant lies: its node, which part of it, and for a weight, of which argument."""

    node: int
    part: ConstantPart
    argument: int = 0

    def name(self, graph: Graph) -> str:
        """A name for messages and for the input that it becomes, such as `fc1.weight`."""
        base = f"{graph.labels.get(self.node) or f'node{self.node}'}.{self.part.value}"
        return f"{base}{self.argument}" if self.argument else base


@dataclass(frozen=True)
class Lifted:
    """The graph with its further inputs, which come after the ones it had, in the order asked.

    `place` says where each node of the old graph is now; `values` are the constants' own values,
    flat and one after the other: the old point with these is the same point of the new graph.
    """

    graph: Graph
    place: dict[int, int]
    values: tuple[Fraction, ...]


def constants(graph: Graph) -> list[ConstantPlace]:
    """Every constant that can be lifted."""
    found = []
    for i, node in enumerate(graph.nodes):
        if isinstance(node.op, Const):
            found.append(ConstantPlace(i, ConstantPart.VALUE))
        if isinstance(node.op, Affine):
            found += [
                ConstantPlace(i, ConstantPart.WEIGHT, k)
                for k, m in enumerate(node.op.maps) if isinstance(m, Dense | Diag)
            ]
            if node.op.bias is not None:
                found.append(ConstantPlace(i, ConstantPart.BIAS))
    return found


def value_of(graph: Graph, place: ConstantPlace) -> Values:
    """The constant; UnsupportedError for one that cannot be lifted, InputError where there is
    none."""
    if not 0 <= place.node < len(graph.nodes):
        raise InputError(f"no node {place.node}", expected=f"0..{len(graph.nodes) - 1}")
    op, key = graph.nodes[place.node].op, graph.describe(place.node)
    match op, place.part:
        case Const(), ConstantPart.VALUE:
            return op.value
        case Affine(), ConstantPart.BIAS if op.bias is not None:
            return op.bias
        case Affine(), ConstantPart.WEIGHT if 0 <= place.argument < len(op.maps):
            chosen = op.maps[place.argument]
            if isinstance(chosen, Dense):
                return chosen.weight
            if isinstance(chosen, Diag):
                return chosen.scale
            raise UnsupportedError(
                f"{type(chosen).__name__} as a moving weight", key=key,
                expected="a Dense matrix, a Diag scale, a bias or a Const",
            )
    raise InputError(f"no {place.part.value} there", expected="a constant of the node", key=key)


def lift(graph: Graph, places: Sequence[ConstantPlace]) -> Lifted:
    """The graph with these constants as inputs; raises as `value_of` does."""
    if len(set(places)) != len(places):
        raise InputError("a constant is lifted twice", expected="each once")
    builder, moved = Builder(), dict[ConstantPlace, int]()
    # Inputs first, in their order: the old flat input stays the beginning of the new one.
    place = {i: builder.add(graph.nodes[i].op, label=graph.labels.get(i, ""))
             for i in graph.inputs}
    values: list[Fraction] = []
    for at in places:
        value = value_of(graph, at)
        moved[at] = builder.input(_free(builder, at.name(graph)), value.shape)
        values += as_exact(value).fractions()
    for i, node in enumerate(graph.nodes):
        if i in place:
            continue
        args = [place[a] for a in node.args]
        if isinstance(node.op, Affine):
            place[i] = _affine(builder, i, node.op, args, moved)
        elif isinstance(node.op, Const) and ConstantPlace(i, ConstantPart.VALUE) in moved:
            place[i] = moved[ConstantPlace(i, ConstantPart.VALUE)]
        else:
            place[i] = builder.add(node.op, *args)
        if i in graph.labels:
            builder.labels.setdefault(place[i], graph.labels[i])
    builder.notes += graph.notes
    made = builder.build({name: place[i] for name, i in graph.outputs.items()})
    return Lifted(made, place, tuple(values))


def _affine(
    builder: Builder, index: int, op: Affine, args: list[int], moved: dict[ConstantPlace, int]
) -> int:
    """An affine step of which some constants are nodes of the builder."""
    shape = op.maps[0].out_shape
    maps, terms = list(op.maps), list(args)
    for k, linear_map in enumerate(op.maps):
        weight = moved.get(ConstantPlace(index, ConstantPart.WEIGHT, k))
        if weight is not None:
            terms[k] = _product(builder, linear_map, weight, args[k])
            maps[k] = identity(shape)
    bias = moved.get(ConstantPlace(index, ConstantPart.BIAS))
    if bias is not None:
        maps.append(identity(shape))
        terms.append(bias)
    return builder.add(Affine(tuple(maps), op.bias if bias is None else None), *terms)


def _product(builder: Builder, linear_map: LinearMap, weight: int, operand: int) -> int:
    """The map of the operand with a node in place of its weight."""
    if not isinstance(linear_map, Dense):
        return builder.mul(weight, operand)
    rows, columns = linear_map.weight.shape
    # y[j] = sum_i w[j, i] x[i]: x once for each output, times w, and summed up by outputs.
    each = np.broadcast_to(np.arange(columns), (rows, columns))
    wide = builder.affine(gather(linear_map.in_shape, np.ascontiguousarray(each)), operand)
    products = builder.mul(weight, wide)
    output = np.repeat(np.arange(prod(linear_map.out_shape)), columns).reshape(rows, columns)
    return builder.affine(
        ScatterAdd((rows, columns), linear_map.out_shape, output), products)


def _free(builder: Builder, name: str) -> str:
    """The name, with underscores until no input has it."""
    ops = [builder.node(i).op for i in builder.inputs]
    taken = {op.name for op in ops if isinstance(op, Input)}
    while name in taken:
        name += "_"
    return name
