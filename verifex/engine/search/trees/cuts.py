"""Comparisons of decision trees as cuts of inputs, sorted exactly.

A comparison of an affine function of one input says that this input lies beyond a cut, or before
it. Beyond `Cut(q, True)` are the numbers above q, beyond `Cut(q, False)` those from q on. So every
question about boxes between cuts is one of whole numbers: which cuts a box lies beyond.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, as_exact
from verifex.ir.graph import Graph
from verifex.ir.linmap import apply_exact, transpose
from verifex.ir.ops import Affine, Concat, Const, Input
from verifex.ir.region import Region


class Cut(NamedTuple):
    """Beyond it lie the numbers above `at`, or from it on."""

    at: Fraction
    above: bool

    def of_whole(self) -> Cut:
        """The same for whole numbers: those from some whole number on."""
        first = math.floor(self.at) + 1 if self.above else math.ceil(self.at)
        return Cut(Fraction(first), False)


class ScaledInput(NamedTuple):
    """factor * (flat input) + constant, with a factor that is not 0."""

    flat: int
    factor: Fraction
    constant: Fraction


class AffineRows(NamedTuple):
    """Linear forms (rows) of the inputs and of other nodes: coefficients by node, and constants."""

    coefs: dict[int, ExactArray]
    const: list[Fraction]


def pulled_back(graph: Graph, start: Mapping[int, ExactArray], const: list[Fraction],
                stop: frozenset[int]) -> AffineRows:
    """Forms, given by coefficients (rows, size) of nodes, as forms of the inputs and of the nodes
    `stop`. UnsupportedError where anything but affine steps lies between."""
    coefs = dict(start)
    kept: dict[int, ExactArray] = {}
    while coefs:
        i = max(coefs)
        here, node = coefs.pop(i), graph.nodes[i]
        if i in stop or isinstance(node.op, Input):
            kept[i] = here
        elif isinstance(node.op, Const):
            const = _with(const, here, as_exact(node.op.value))
        elif isinstance(node.op, Affine):
            if node.op.bias is not None:
                const = _with(const, here, as_exact(node.op.bias))
            shaped = here.reshape((here.shape[0], *node.shape))
            for m, a in zip(node.op.maps, node.args, strict=True):
                _give(coefs, a, apply_exact(transpose(m), shaped))
        elif isinstance(node.op, Concat):
            sizes = np.cumsum([graph.nodes[a].shape[node.op.axis] for a in node.args])[:-1]
            num = here.num.reshape((here.shape[0], *node.shape))
            for a, part in zip(node.args, np.split(num, sizes, axis=node.op.axis + 1), strict=True):
                _give(coefs, a, ExactArray(part, here.den))
        else:
            raise UnsupportedError(f"{graph.describe(i)} between trees and inputs or outputs",
                                   expected="affine steps")
    return AffineRows(kept, const)


def _with(const: list[Fraction], coefs: ExactArray, value: ExactArray) -> list[Fraction]:
    sums = (coefs.num.reshape(coefs.shape[0], -1) * value.num.reshape(1, -1)).sum(axis=1)
    return [c + Fraction(int(s), coefs.den * value.den) for c, s in zip(const, sums, strict=True)]


def _give(coefs: dict[int, ExactArray], node: int, more: ExactArray) -> None:
    flat = more.reshape((more.shape[0], -1))
    coefs[node] = coefs[node] + flat if node in coefs else flat


def scaled_inputs(graph: Graph, node: int, elements: Sequence[int]) -> dict[int, ScaledInput]:
    """Elements of a node as scaled inputs; UnsupportedError where one is no such thing."""
    if not elements:
        return {}
    unit = np.zeros((len(elements), graph.nodes[node].size), dtype=object)
    unit[np.arange(len(elements)), list(elements)] = 1
    rows = pulled_back(graph, {node: ExactArray(unit)}, [Fraction(0)] * len(elements), frozenset())
    found: dict[int, ScaledInput] = {}
    for i, coefs in rows.coefs.items():
        for row, flat in zip(*np.nonzero(coefs.num), strict=True):
            element = elements[int(row)]
            if element in found:
                raise UnsupportedError("trees that compare several inputs at once",
                                       expected="one input in each comparison")
            found[element] = ScaledInput(
                graph.input_offsets[i] + int(flat), Fraction(int(coefs.num[row, flat]), coefs.den),
                rows.const[int(row)])
    if len(found) != len(elements):
        raise UnsupportedError("trees that compare constants", expected="inputs")
    return found


class InputCuts(NamedTuple):
    """The cuts of one input that a region lies around, in order: some of its points are beyond
    each, some are not. `low` and `high` are the region's ends."""

    flat: int
    low: Fraction
    high: Fraction
    cuts: tuple[Cut, ...]
    """Sorted."""

    @staticmethod
    def between(flat: int, low: Fraction, high: Fraction, cuts: Sequence[Cut]) -> InputCuts:
        """Those of these cuts that the interval lies around."""
        ordered = sorted(set(cuts))
        first = bisect_right(ordered, Cut(low, False))
        last = bisect_right(ordered, Cut(high, False))
        return InputCuts(flat, low, high, tuple(ordered[first:last]))

    def rank(self, cut: Cut) -> int:
        """How many of the cuts come before this one."""
        return bisect_left(self.cuts, cut)

    def interval(self, surely: int, possibly: int) -> tuple[Fraction, bool, Fraction, bool]:
        """The numbers beyond the first `surely` cuts and before those from `possibly` on: the ends,
        and after each whether it is left out."""
        low, low_open, high, high_open = self.low, False, self.high, False
        if surely > 0:
            low, low_open = self.cuts[surely - 1]
        if possibly < len(self.cuts):
            high, beyond = self.cuts[possibly]
            high_open = not beyond
        return low, low_open, high, high_open


def whole_box(region: Region) -> tuple[list[Fraction], list[Fraction]] | None:
    """The region's box, with whole numbers for ends where the region wants them, and with what
    one-hot groups say; None where that leaves no point."""
    low, high = list(region.lo), list(region.hi)
    for i in region.integers.union(*region.one_hot):
        low[i], high[i] = Fraction(math.ceil(low[i])), Fraction(math.floor(high[i]))
    for group in region.one_hot:
        possible = [i for i in group if high[i] >= 1]
        chosen = [i for i in group if low[i] > 0]
        if len(chosen) > 1 or not possible:
            return None
        one = chosen[0] if chosen else possible[0] if len(possible) == 1 else None
        for i in group:
            low[i] = max(low[i], Fraction(int(i == one)))
            high[i] = min(high[i], Fraction(int(one is None or i == one)))
    return None if any(a > b for a, b in zip(low, high, strict=True)) else (low, high)
