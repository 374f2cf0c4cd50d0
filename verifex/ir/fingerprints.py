"""Fingerprints of the elements of a graph: names that do not depend on how it was put together.

The graph is evaluated modulo a prime at one pseudo-random point: an input is a hash of its place in
the flat input, affine steps are computed, and every other element is a hash of its kind and of its
arguments. Certificates name elements by them (certificate/format.md, section 3); the checker works
them out by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from hashlib import blake2b

import numpy as np

from verifex.ir.exact import ExactArray, as_exact
from verifex.ir.formula import Atom
from verifex.ir.graph import Graph
from verifex.ir.linmap import LinearMap, apply_exact
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
from verifex.ir.trees.forest import Forest

PRIME = (1 << 61) - 1
WIDTH = 8
"""Bytes of a fingerprint, the least significant first."""


def hashed(kind: str, *arguments: int) -> int:
    """The fingerprint of an element of this kind with these arguments' fingerprints."""
    text = b"".join(argument.to_bytes(WIDTH, "little") for argument in arguments)
    digest = blake2b(kind.encode() + text, digest_size=WIDTH).digest()
    return int.from_bytes(digest, "little") % PRIME


def residue(value: Fraction) -> int:
    """A fraction modulo the prime (0 if its denominator is a multiple of it)."""
    return value.numerator * pow(value.denominator, PRIME - 2, PRIME) % PRIME


class GraphFingerprints:
    """Those of a graph's elements, one for each in C order, worked out when they are asked for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: dict[int, list[int]] = {}

    def of(self, node: int) -> list[int]:
        """Those of a node's elements."""
        for i in self.graph.ancestors([node], stop=self._known):
            if i not in self._known:
                self._known[i] = self._computed(i)
        return self._known[node]

    def of_atom(self, atom: Atom) -> int:
        """The name of an atom: twice the fingerprint of its form, and 1 more if it is strict."""
        found = residue(atom.form.const)
        for (node, i), factor in atom.form.terms:
            found += residue(factor) * self.of(node)[i]
        return 2 * (found % PRIME) + atom.strict

    def _computed(self, index: int) -> list[int]:
        node = self.graph.nodes[index]
        arguments = [self._known[a] for a in node.args]
        match node.op:
            case Input():
                start = self.graph.input_offsets[index]
                return [hashed("I", start + i) for i in range(node.size)]
            case Const():
                return _residues(as_exact(node.op.value))
            case Affine():
                shapes = [self.graph.nodes[a].shape for a in node.args]
                return _affine(node.op, arguments, shapes, node.size)
            case Concat():
                pieces = [
                    np.array(values, dtype=object).reshape(self.graph.nodes[a].shape)
                    for values, a in zip(arguments, node.args, strict=True)
                ]
                joined = np.concatenate(pieces, axis=node.op.axis)
                return [int(v) for v in joined.ravel()]
            case TreeLeaves():
                return _leaves(node.op.forest, arguments[0])
            case Mul():
                return [hashed("M", *sorted(pair)) for pair in zip(*arguments, strict=True)]
            case op:
                return [hashed(_kind(op), *pair) for pair in zip(*arguments, strict=True)]


def _leaves(forest: Forest, argument: list[int]) -> list[int]:
    """A leaf is named by what has to hold for it, in any order: a hash of each comparison's
    element, threshold and sides, summed and hashed once more."""
    sums, paths = [0] * forest.leaves, forest.paths
    thresholds = [residue(Fraction(t)) for t in forest.threshold.tolist()]
    for leaf, node, right in zip(*(column.tolist() for column in paths), strict=True):
        sides = 2 * bool(forest.strict[node]) + right
        sums[leaf] += hashed("C", argument[forest.feature[node]], thresholds[node], sides)
    return [hashed("T", total % PRIME) for total in sums]


def _kind(op: Op) -> str:
    match op:
        case Relu():
            return "R"
        case Step():
            return "S"
        case Gate():
            return "G"
        case Univariate():
            return f"U {op.name} "
    raise TypeError(f"no kind of relaxed element: {op!r:.40}")


def _residues(values: ExactArray) -> list[int]:
    inverse = residue(Fraction(1, values.den))
    return [int(v) * inverse % PRIME for v in values.num.ravel().tolist()]


def _affine(
    op: Affine, arguments: Iterable[list[int]], shapes: Iterable[tuple[int, ...]], size: int
) -> list[int]:
    found = [0] * size if op.bias is None else _residues(as_exact(op.bias))
    for linear_map, values, shape in zip(op.maps, arguments, shapes, strict=True):
        for k, value in enumerate(_mapped(linear_map, values, shape)):
            found[k] += value
    return [value % PRIME for value in found]


def _mapped(linear_map: LinearMap, values: list[int], shape: tuple[int, ...]) -> list[int]:
    array = np.array(values, dtype=object).reshape((1, *shape))
    return _residues(apply_exact(linear_map, ExactArray(array, 1)))


def names_of(fingerprints: Iterable[int]) -> bytes:
    """Fingerprints one after the other, `WIDTH` bytes each."""
    return b"".join(value.to_bytes(WIDTH, "little") for value in fingerprints)


