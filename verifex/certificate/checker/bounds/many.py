"""Lower bounds of many forms at once, for facts: `substitution` for all of them side by side.

Most facts of a certificate are bounds of the elements of one node, by the same planes. Their
coefficients stand in lanes of long integers, so that a layer of the network is gone through once
for all of them. Only affine steps by powers of two and relus are known here; `fits` says whether
that is enough. Coefficients and bounds are kept to fewer bits than elsewhere, outward, so that
lanes stay short: what is found is a little below what `substitution` finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import mul

from ..graph.network_graph import AFFINE, INPUT, RELU
from ..graph.packed_rows import Box
from .domain import Domain
from .lanes import Lanes
from .multipliers import ALPHA, NOT_GIVEN, Multipliers, steeper

COEFFICIENT, BOUND, CHORD = 48, 36, 40
"""Bits of coefficients, of bounds, and of the slopes of chords."""

Terms = dict[tuple[int, int], int]
"""Coefficients, in 2^-COEFFICIENT, by node and element."""


def fits(domain: Domain, starts: Iterable[int]) -> bool:
    """Whether forms of elements of these nodes can be bounded here."""
    if domain.grid.balls:
        return False
    nodes = [domain.graph.nodes[n]
             for n in frozenset().union(*(domain.graph.nodes[start].cone for start in starts))]
    return all(
        n.kind in (INPUT, RELU)
        or (n.kind == AFFINE and n.step.denominator & n.step.denominator - 1 == 0)
        for n in nodes)


def lower_bounds(
    domain: Domain, forms: Sequence[Terms], constants: Sequence[int], using: Multipliers
) -> list[int]:
    """A lower bound of every form plus its constant (in 2^-COEFFICIENT / unit), in units."""
    shift = max(0, domain.grid.bits - BOUND)
    boxes = _Boxes(domain, shift)
    start: dict[int, dict[int, dict[int, int]]] = {}
    for lane, terms in enumerate(forms):
        for (node, element), coefficient in terms.items():
            start.setdefault(node, {}).setdefault(element, {})[lane] = coefficient
    largest = {
        node: max(abs(c) for lanes in row.values() for c in lanes.values())
        for node, row in start.items()}
    lanes = Lanes(len(forms), _width(domain, boxes, largest, using.bits))
    pass_back = _ManyForms(domain, boxes, lanes, using)
    for node, row in start.items():
        for element, by_lane in row.items():
            pass_back.add(node, element, lanes.joined(by_lane))
    found = lanes.parted(pass_back.lower())
    return [
        (value << shift) + constant >> COEFFICIENT
        for value, constant in zip(found, constants, strict=True)]


class _Boxes:
    """Bounds of nodes, rounded outward to the bits that are kept here."""

    def __init__(self, domain: Domain, shift: int) -> None:
        self.domain, self.shift = domain, shift
        self._known: dict[int, Box] = {}

    def of(self, node: int) -> Box:
        """The bounds of a node's elements."""
        if node not in self._known:
            self._known[node] = self._outward(self.domain.bounds(node))
        return self._known[node]

    def bias(self, node: int) -> Box:
        """The bias of an affine step."""
        return self._outward(self.domain.grid.bias(node))

    def _outward(self, box: Box) -> Box:
        shift = self.shift
        return [v >> shift for v in box[0]], [-(-v >> shift) for v in box[1]]


def _width(domain: Domain, boxes: _Boxes, largest: dict[int, int], bits: int) -> int:
    """Bits of a lane that nothing leaves: the same way back, with the largest coefficients.

    Sound: every sum and product of the way is at most what is added up here in absolute values;
    coefficients are multiplied with chords of `CHORD` bits and with slopes of `bits`. A lane is
    also wider than each denominator, by which `Lanes.shifted` divides.
    """
    nodes, sizes = domain.graph.nodes, dict(largest)
    total = most = 1
    while computed := [n for n in sizes if nodes[n].kind != INPUT]:
        last = max(computed)
        node, size = nodes[last], sizes.pop(last)
        if node.kind == RELU:
            (argument,) = node.args
            total += size * sum(max(0, high) for high in boxes.of(argument)[1])
            most = max(most, size << max(CHORD + 1, bits))
            sizes[argument] = sizes.get(argument, 0) + 2 * size + 1
            continue
        floor, ceiling = boxes.bias(last)
        total += size * (sum(map(abs, floor)) + sum(map(abs, ceiling)))
        for part in node.step.parts:
            product = size * part.columns.largest_sum
            most = max(most, product, node.step.denominator)
            low, _ = boxes.of(part.argument)
            total += sum(map(abs, low))
            known = sizes.get(part.argument, 0)
            sizes[part.argument] = known + product // node.step.denominator + 1
    for node_position, size in sizes.items():
        low, high = boxes.of(node_position)
        total += size * (sum(map(abs, low)) + sum(map(abs, high)))
    return (max(total, most).bit_length() + 2 + 7) // 8 * 8


class _ManyForms:
    """The forms on their way back, each in its lane."""

    def __init__(
        self, domain: Domain, boxes: _Boxes, lanes: Lanes, using: Multipliers
    ) -> None:
        self.domain, self.boxes, self.lanes, self.using = domain, boxes, lanes, using
        self.nodes = domain.graph.nodes
        self.coefficients: dict[int, list[int]] = {}
        self.constant = 0

    def add(self, node: int, element: int, numbers: int) -> None:
        """Add coefficients of an element."""
        if node not in self.coefficients:
            self.coefficients[node] = [0] * self.nodes[node].size
        self.coefficients[node][element] += numbers

    def lower(self) -> int:
        """The lower bounds, in lanes."""
        while computed := [n for n in self.coefficients if self.nodes[n].kind != INPUT]:
            last = max(computed)
            row = self.coefficients.pop(last)
            if self.nodes[last].kind == RELU:
                self._relu(last, row)
            else:
                self._affine(last, row)
        for node, row in self.coefficients.items():
            for numbers, low, high in zip(row, *self.boxes.of(node), strict=True):
                if numbers:
                    above = self.lanes.positive(numbers)
                    self.constant += above * low + (numbers - above) * high
        return self.constant

    def _affine(self, position: int, row: list[int]) -> None:
        """As in `substitution`; where any lane leaves a remainder, all are charged for it."""
        step, (floor, ceiling) = self.nodes[position].step, self.boxes.bias(position)
        self.constant += sum(map(mul, row, floor))
        for numbers, a, b in zip(row, floor, ceiling, strict=True):
            if a != b and numbers:
                self.constant += (numbers - self.lanes.positive(numbers)) * (b - a)
        bits = step.denominator.bit_length() - 1
        for part in step.parts:
            low, high = self.boxes.of(part.argument)
            for i, (positions, weights) in enumerate(part.columns.rows):
                if not (low[i] or high[i]):
                    continue
                picked = row if positions is None else map(row.__getitem__, positions)
                numbers = sum(map(mul, weights, picked))
                if bits and numbers:
                    numbers, remainder = self.lanes.shifted(numbers, bits)
                    if remainder and low[i] < 0:
                        self.constant += self.lanes.ones * low[i]
                self.add(part.argument, i, numbers)

    def _relu(self, position: int, row: list[int]) -> None:
        """`relu_below` for coefficients above 0, `relu_chord` for those below.

        Sound: a chord's slope is rounded down, so that of the lines with this slope the one through
        the right end of the chord is above both ends, and its constant is (c - slope) * high.
        """
        (argument,), lanes = self.nodes[position].args, self.lanes
        low, high = self.boxes.of(argument)
        given, bits = self.using.of(ALPHA, position), self.using.bits
        for i, numbers in enumerate(row):
            a, b = low[i], high[i]
            if not numbers or b <= 0:
                continue
            if a >= 0:
                self.add(argument, i, numbers)
                continue
            above = lanes.positive(numbers)
            fall = above - numbers  # minus the coefficients below 0
            slope, _ = lanes.shifted(fall * ((b << CHORD) // (b - a)), CHORD)
            self.constant -= (fall - slope) * b
            share = NOT_GIVEN if given is None else given[i]
            if share == NOT_GIVEN:
                share = steeper(a, b) << bits
            if share != 1 << bits:
                above = lanes.shifted(above * share, bits)[0] if share else 0
            self.add(argument, i, above - slope)
