"""The same bounds in fractions, where nothing rounds: the plain version of `domain` and
`substitution`, and what exact leaves are checked with.

Its rules are those of `planes`, word for word. The fast version is compared with it by tests: its
bounds of nodes are never tighter, those of forms differ by rounding alone, and where nothing rounds
all are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from ..failures import Empty
from ..graph.forms import Form
from ..graph.network_graph import AFFINE, GATE, INPUT, LEAVES, PRODUCT, RELU, STEP, GraphNode
from .domain import Domain
from .multipliers import ABOVE, ALPHA, BELOW, NOT_GIVEN, TIE, Multipliers, default_mix, steeper
from .planes import (
    Plane,
    gate_above,
    gate_below,
    product_above,
    product_below,
    relu_below,
    relu_chord,
    square_below,
    square_chord,
    step_above,
    step_below,
)

ZERO, ONE = Fraction(0), Fraction(1)
Interval = tuple[Fraction, Fraction]
Coefficients = dict[int, dict[int, Fraction]]
"""By node and element."""


class PlainBounds:
    """Bounds over one domain, in fractions."""

    def __init__(self, domain: Domain) -> None:
        self.domain, self.graph = domain, domain.graph
        self._known: dict[int, list[Interval]] = {}

    # the interval pass

    def bounds(self, position: int) -> list[Interval]:
        """The least and greatest value of every element of a node; Empty if there are none."""
        for node in sorted(self.graph.nodes[position].cone):
            if node not in self._known:
                self._known[node] = self._refined(node, self._computed(self.graph.nodes[node]))
        return self._known[position]

    def _refined(self, position: int, intervals: list[Interval]) -> list[Interval]:
        """Cut by splits and facts of the domain and of those around it."""
        found = list(intervals)
        unit = self.domain.grid.unit
        known = [
            (element, sign, Fraction(bound, unit))
            for d in self.domain.path
            for (element, sign), bound in d.facts.get(position, {}).items()
        ]
        known += [
            (s.element, s.sign, s.sign * s.at) for s in self.domain.splits if s.node == position]
        for element, sign, bound in known:
            low, high = found[element]
            found[element] = (
                (max(low, bound), high) if sign > 0 else (low, min(high, -bound)))
        if any(low > high for low, high in found):
            raise Empty
        return found

    def _computed(self, node: GraphNode) -> list[Interval]:
        if node.kind == INPUT:
            here = slice(node.start, node.start + node.size)
            low, high = self.domain.box
            return list(zip(low[here], high[here], strict=True))
        if node.kind == AFFINE:
            return self._affine(node)
        first = self._known[node.args[0]]
        if node.kind == RELU:
            return [(max(low, ZERO), max(high, ZERO)) for low, high in first]
        if node.kind == STEP:
            return self._step(node.args[0], first)
        if node.kind == LEAVES:
            return self._leaves(node, first)
        square = node.kind == PRODUCT and node.args[0] == node.args[1]
        return [
            _product(u, v, square) for u, v in zip(first, self._known[node.args[1]], strict=True)]

    def _affine(self, node: GraphNode) -> list[Interval]:
        found = [(bias, bias) for bias in node.step.bias]
        for part in node.step.parts:
            argument = self._known[part.argument]
            for k, (positions, weights) in enumerate(part.rows.rows):
                low, high = found[k]
                places = range(len(weights)) if positions is None else positions
                for i, weight in zip(places, weights, strict=True):
                    factor = Fraction(weight, node.step.denominator)
                    ends = factor * argument[i][0], factor * argument[i][1]
                    low, high = low + min(ends), high + max(ends)
                found[k] = low, high
        return found

    def _step(self, argument: int, intervals: list[Interval]) -> list[Interval]:
        signs = {s.element: s.sign for s in self.domain.splits if s.node == argument and s.at == 0}
        closed = self.domain.grid.kinks_closed
        found = []
        for i, (low, high) in enumerate(intervals):
            sure = low > 0 or signs.get(i, 0) > 0
            possible = (high > 0 or (high == 0 and not closed)) and signs.get(i, 0) >= 0
            found.append((ONE if sure else ZERO, ONE if possible else ZERO))
        return found

    def _leaves(self, node: GraphNode, intervals: list[Interval]) -> list[Interval]:
        possible = [all(c.possible(*intervals[c.element]) for c in path)
                    for path in node.forest.paths]
        found = [(ZERO, ONE if one else ZERO) for one in possible]
        for tree in node.forest.trees():
            left = [k for k in tree if possible[k]]
            if not left:
                raise Empty
            if len(left) == 1:
                found[left[0]] = ONE, ONE
        return found

    # backward substitution

    def lower_bound(self, forms: Iterable[tuple[Form, Fraction]], using: Multipliers) -> Fraction:
        """A lower bound of the sum of factor * form over the box."""
        constant, coefficients = ZERO, Coefficients()
        for (refs, value), factor in forms:
            constant += factor * value
            for (node, element), c in refs.items():
                _add(coefficients, node, element, factor * c)
        rules: dict[str, Callable[[int, dict[int, Fraction], Coefficients, Multipliers], Fraction]]
        rules = {
            AFFINE: self._through_affine, RELU: self._through_relu, STEP: self._through_step,
            GATE: self._through_product, PRODUCT: self._through_product,
            LEAVES: self._through_leaves,
        }
        while computed := [n for n in coefficients if self.graph.nodes[n].kind != INPUT]:
            last = max(computed)
            rule = rules[self.graph.nodes[last].kind]
            constant += rule(last, coefficients.pop(last), coefficients, using)
        return constant + self._least(coefficients)

    def _least(self, coefficients: Mapping[int, Mapping[int, Fraction]]) -> Fraction:
        """The least value of a form of inputs over the box."""
        total = ZERO
        for node, row in coefficients.items():
            intervals = self.bounds(node)
            total += sum((min(c * end for end in intervals[i]) for i, c in row.items()), ZERO)
        return total

    def _through_affine(
        self, position: int, row: dict[int, Fraction], into: Coefficients, using: Multipliers
    ) -> Fraction:
        step = self.graph.nodes[position].step
        for part in step.parts:
            argument = self.bounds(part.argument)
            for k, c in row.items():
                positions, weights = part.rows.rows[k]
                places = range(len(weights)) if positions is None else positions
                for i, weight in zip(places, weights, strict=True):
                    # What arrives at an element that is 0 throughout is dropped.
                    if any(argument[i]):
                        _add(into, part.argument, i, c * Fraction(weight, step.denominator))
        return sum((c * step.bias[k] for k, c in row.items()), ZERO)

    def _through_relu(
        self, position: int, row: dict[int, Fraction], into: Coefficients, using: Multipliers
    ) -> Fraction:
        (argument,) = self.graph.nodes[position].args
        constant, intervals = ZERO, self.bounds(argument)
        for i, c in row.items():
            low, high = intervals[i]
            if high <= 0:
                continue
            if low >= 0:
                _add(into, argument, i, c)
            elif c > 0:
                given = _share(using, ALPHA, position, i)
                alpha = Fraction(int(steeper(low, high))) if given is None else given
                _add(into, argument, i, relu_below(c, alpha))
            else:
                slope, rest = relu_chord(c, low, high, Fraction(1, high - low))
                _add(into, argument, i, slope)
                constant += rest
        return constant

    def _through_step(
        self, position: int, row: dict[int, Fraction], into: Coefficients, using: Multipliers
    ) -> Fraction:
        (argument,) = self.graph.nodes[position].args
        constant, gates, intervals = ZERO, self.bounds(position), self.bounds(argument)
        relu = self.domain.grid.relu_of.get(argument, position)
        for i, c in row.items():
            (off, on), (low, high) = gates[i], intervals[i]
            if off == on:
                constant += c * on
                continue
            tie = _share(using, TIE, position, i) or ZERO
            plane = Plane(ZERO, ZERO, ZERO)
            if c > 0 and high > 0:
                factor = step_below(c, tie, Fraction(1, high))
                plane = Plane(*((ZERO, factor) if relu < position else (factor, ZERO)), ZERO)
            elif c < 0:
                inverse = Fraction(1, -low) if low < 0 else ZERO
                plane = step_above(c, tie, inverse)
            _add(into, argument, i, plane.first)
            if relu < position:
                _add(into, relu, i, plane.second)
            constant += plane.constant
        return constant

    def _through_leaves(
        self, position: int, row: dict[int, Fraction], into: Coefficients, using: Multipliers
    ) -> Fraction:
        # Sound: each tree has one leaf that is 1, and it is one of those that can be reached.
        intervals = self.bounds(position)
        return sum((min(row.get(k, ZERO) for k in tree if intervals[k][1])
                    for tree in self.graph.nodes[position].forest.trees()), ZERO)

    def _through_product(
        self, position: int, row: dict[int, Fraction], into: Coefficients, using: Multipliers
    ) -> Fraction:
        node = self.graph.nodes[position]
        first, second = node.args
        if node.kind == PRODUCT and first == second:
            return self._through_square(position, row, into, using)
        left, right, constant = self.bounds(first), self.bounds(second), ZERO
        for i, c in row.items():
            if left[i][0] == left[i][1]:
                _add(into, second, i, c * left[i][0])
            elif right[i][0] == right[i][1]:
                _add(into, first, i, c * right[i][0])
            else:
                mix = _share(using, BELOW if c > 0 else ABOVE, position, i)
                if mix is None:
                    mix = Fraction(
                        default_mix(node.kind, *right[i], c > 0, using.whole), using.whole)
                plane = _open_product(node.kind, c, mix, left[i], right[i])
                _add(into, first, i, plane.first)
                _add(into, second, i, plane.second)
                constant += plane.constant
        return constant

    def _through_square(
        self, position: int, row: dict[int, Fraction], into: Coefficients, using: Multipliers
    ) -> Fraction:
        (argument, _), constant = self.graph.nodes[position].args, ZERO
        intervals = self.bounds(argument)
        for i, c in row.items():
            low, high = intervals[i]
            share = _share(using, BELOW, position, i)
            place = Fraction(1, 2) if share is None else share
            line = (square_below(c, low + place * (high - low)) if c > 0
                    else square_chord(c, low, high))
            _add(into, argument, i, line.slope)
            constant += line.constant
        return constant


def _add(coefficients: Coefficients, node: int, element: int, value: Fraction) -> None:
    if value:
        row = coefficients.setdefault(node, {})
        row[element] = row.get(element, ZERO) + value


def _share(using: Multipliers, kind: str, node: int, element: int) -> Fraction | None:
    """The fraction that is given for an element, if one is."""
    given = using.of(kind, node)
    found = NOT_GIVEN if given is None else given[element]
    return None if found == NOT_GIVEN else Fraction(found, using.whole)


def _product(first: Interval, second: Interval, square: bool) -> Interval:
    ends = [a * b for a in first for b in second]
    return max(min(ends), ZERO) if square else min(ends), max(ends)


def _open_product(
    kind: str, c: Fraction, mix: Fraction, first: Interval, second: Interval
) -> Plane:
    """The mixed planes of a gate or a product, neither of whose arguments is known."""
    if kind == GATE:
        return (gate_below if c > 0 else gate_above)(c, mix, *second)
    return (product_below if c > 0 else product_above)(c, mix, first, second)
