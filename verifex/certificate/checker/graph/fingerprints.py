"""Fingerprints: names of elements that do not depend on how a graph was put together.

The whole graph is evaluated modulo a prime at one pseudo-random point: an input is a hash of its
place, an affine step is computed, and a relaxed element is a hash of its kind and its arguments.
Elements that are the same function by affine algebra have one name, in whatever order, and with
whatever steps between, they were built; others have different names, but for chance.

Sound: nothing rests on that. A certificate uses names to say which element its multipliers are for,
which it splits on, and which bounds it wants derived; all of that is sound for any element.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from hashlib import blake2b

from .forests import Path
from .forms import Form
from .network_graph import AFFINE, INPUT, LEAVES, PRODUCT, NetworkGraph

PRIME = (1 << 61) - 1
WIDTH = 8
"""Bytes of a fingerprint, the least significant first."""


def hashed(kind: str, *arguments: int) -> int:
    """The fingerprint of an element of this kind; `I` has its place in the flat input."""
    text = b"".join(argument.to_bytes(WIDTH, "little") for argument in arguments)
    digest = blake2b(kind.encode() + text, digest_size=WIDTH).digest()
    return int.from_bytes(digest, "little") % PRIME


def residue(value: Fraction) -> int:
    """A fraction modulo the prime (0 if its denominator is a multiple of it)."""
    return value.numerator * pow(value.denominator, PRIME - 2, PRIME) % PRIME


class Fingerprints:
    """Those of a graph, worked out when they are asked for."""

    def __init__(self, graph: NetworkGraph) -> None:
        self.graph = graph
        self._known: dict[int, list[int]] = {}
        self._thresholds: dict[Fraction, int] = {}

    def of(self, position: int) -> list[int]:
        """One for each element of a node."""
        for node in sorted(self.graph.nodes[position].cone):
            if node not in self._known:
                self._known[node] = self._computed(node)
        return self._known[position]

    def of_form(self, form: Form) -> int:
        """That of a form of elements."""
        refs, constant = form
        found = residue(constant)
        for (node, i), c in refs.items():
            found += residue(c) * self.of(node)[i]
        return found % PRIME

    def _computed(self, position: int) -> list[int]:
        node, known = self.graph.nodes[position], self._known
        if node.kind == INPUT:
            return [hashed(INPUT, node.start + i) for i in range(node.size)]
        if node.kind == AFFINE:
            return self._affine(position)
        if node.kind == LEAVES:
            return [self._leaf(path, known[node.args[0]]) for path in node.forest.paths]
        arguments = zip(*(known[a] for a in node.args), strict=True)
        if node.kind == PRODUCT:
            return [hashed(PRODUCT, *sorted(pair)) for pair in arguments]
        return [hashed(node.kind, *elements) for elements in arguments]

    def _leaf(self, path: Path, argument: list[int]) -> int:
        """A hash of all comparisons on the way, in any order."""
        total = 0
        for element, threshold, strict, beyond in path:
            if threshold not in self._thresholds:
                self._thresholds[threshold] = residue(threshold)
            sides = 2 * strict + beyond
            total += hashed("C", argument[element], self._thresholds[threshold], sides)
        return hashed(LEAVES, total % PRIME)

    def _affine(self, position: int) -> list[int]:
        step = self.graph.nodes[position].step
        found = [0] * self.graph.nodes[position].size
        for part in step.parts:
            products = part.rows.product(self._known[part.argument])
            found = [a + b for a, b in zip(found, products, strict=True)]
        inverse = residue(Fraction(1, step.denominator))
        biases: Mapping[Fraction, int] = {b: residue(b) for b in set(step.bias)}
        return [(v * inverse + biases[b]) % PRIME for v, b in zip(found, step.bias, strict=True)]
