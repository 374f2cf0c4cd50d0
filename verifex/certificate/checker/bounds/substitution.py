"""Lower bounds of forms by backward substitution, in whole numbers (`plain` has it in fractions).

A form of elements is pushed back through the graph, from its last node to the inputs: an affine
step is replaced by what it is, a relaxed node by the planes of `planes`, and the form of inputs
that is left is bounded over the box or over a ball. Coefficients are multiples of 2^-coefficient;
what rounding them can cost is taken off, so that the result is a little below that of `plain`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import repeat
from operator import add, floordiv, mul

from ..failures import Empty
from ..graph.network_graph import AFFINE, GATE, INPUT, LEAVES, PRODUCT, RELU, STEP
from ..graph.packed_rows import Box
from .balls import shares
from .domain import Domain
from .grid import ScaledBall
from .multipliers import ABOVE, ALPHA, BELOW, NOT_GIVEN, TIE, Multipliers, default_mix, steeper

Term = tuple[int, int, int]
"""A node, an element of it, and a coefficient in 2^-coefficient."""


def lower_bound(domain: Domain, terms: Sequence[Term], multipliers: Multipliers) -> int:
    """A lower bound of the terms over the domain, in 2^-coefficient / unit."""
    return Substitution(domain, multipliers).lower(terms)


class Substitution:
    """One form on its way back; `constant` is what has left it so far."""

    def __init__(self, domain: Domain, multipliers: Multipliers) -> None:
        self.domain, self.multipliers = domain, multipliers
        self.grid, self.nodes = domain.grid, domain.graph.nodes
        self.coefficients: dict[int, list[int]] = {}
        self.constant = 0

    def lower(self, terms: Sequence[Term]) -> int:
        """See `lower_bound`."""
        for node, element, coefficient in terms:
            self._at(node)[element] += coefficient
        rules: dict[str, Callable[[int, list[int]], None]] = {
            AFFINE: self._affine, RELU: self._relu, STEP: self._step, GATE: self._product,
            PRODUCT: self._product, LEAVES: self._leaves,
        }
        while computed := [n for n in self.coefficients if self.nodes[n].kind != INPUT]:
            last = max(computed)
            rules[self.nodes[last].kind](last, self.coefficients.pop(last))
        return self.constant + least_over_inputs(self.domain, self.coefficients)

    def _at(self, node: int) -> list[int]:
        """The coefficients of a node's elements."""
        if node not in self.coefficients:
            self.coefficients[node] = [0] * self.nodes[node].size
        return self.coefficients[node]

    def _add(self, node: int, values: list[int]) -> None:
        known = self.coefficients.get(node)
        self.coefficients[node] = values if known is None else list(map(add, known, values))

    def _fractions(self, kind: str, node: int) -> Callable[[int], int]:
        """The numerator that is given for an element, `NOT_GIVEN` where none is."""
        given = self.multipliers.of(kind, node)
        return (lambda _: NOT_GIVEN) if given is None else given.__getitem__

    def _divided(self, value: int, by: int, low: int) -> int:
        """value / by as a coefficient of an element that is at least `low`.

        Sound: floor(q) * v + r * v = q * v for a remainder r in [0, 1), and r * v is at least
        min(0, low): that much is taken off where a remainder is left.
        """
        if low < 0 and value % by:
            self.constant += low
        return value // by

    def _affine(self, node: int, coefficients: list[int]) -> None:
        """c (W v / d + b) = (c W / d) v + c b."""
        step, (floor, ceiling) = self.nodes[node].step, self.grid.bias(node)
        # Sound: the bias lies between its roundings, which are at most one unit apart, so that for
        # a coefficient below 0 the upper one counts.
        self.constant += sum(map(mul, coefficients, floor))
        if floor != ceiling:
            self.constant += sum(
                c for c, a, b in zip(coefficients, floor, ceiling, strict=True) if c < 0 and a != b)
        for part in step.parts:
            low, high = self.domain.bounds(part.argument)
            # What arrives at an element that is 0 throughout is dropped.
            found = part.columns.product(coefficients, (low, high))
            if step.denominator > 1 and min(low, default=0) < 0:
                self.constant += sum(
                    b for v, b in zip(found, low, strict=True) if b < 0 and v % step.denominator)
            self._add(part.argument, list(map(floordiv, found, repeat(step.denominator))))

    def _relu(self, node: int, coefficients: list[int]) -> None:
        """`relu_below` for c >= 0, `relu_chord` for c < 0; exactly where the sign of z is known."""
        (argument,) = self.nodes[node].args
        low, high = self.domain.bounds(argument)
        back = [c if h > 0 else 0 for c, h in zip(coefficients, high, strict=True)]
        alpha, bits = self._fractions(ALPHA, node), self.multipliers.bits
        for i, c in enumerate(coefficients):
            if c == 0 or low[i] >= 0 or high[i] <= 0:
                continue
            if c < 0:
                # Sound: a line that is above the chord at both ends is above it between them; the
                # constant makes the rounded slope do so.
                slope = -c * high[i] // (high[i] - low[i])
                back[i] = -slope
                self.constant -= max(-slope * low[i], (-c - slope) * high[i])
                continue
            share = alpha(i)
            if share == NOT_GIVEN:
                share = steeper(low[i], high[i]) << bits
            back[i] = c * share >> bits
        self._add(argument, back)

    def _step(self, node: int, coefficients: list[int]) -> None:
        """`step_below` for c > 0, `step_above` for c < 0; exactly where the gate is known."""
        (argument,) = self.nodes[node].args
        (low, high), (off, on) = self.domain.bounds(argument), self.domain.bounds(node)
        relu = self.grid.relu_of.get(argument, node)
        # A relu that is made after the gate is left alone: the form has passed its place.
        relu = relu if relu < node else argument
        tie, whole, unit = self._fractions(TIE, node), self.multipliers.whole, self.grid.unit
        back, tied = [0] * len(coefficients), [0] * len(coefficients)
        for i, c in enumerate(coefficients):
            if c == 0 or not on[i]:
                continue
            if off[i] or c < 0:
                self.constant += c * unit
            end = high[i] if c > 0 else -low[i]
            if off[i] or end <= 0:
                continue
            # Sound: y >= 0 and y >= z, so a tie that is rounded down is weaker.
            factor = abs(c) * max(0, tie(i)) * unit // (whole * end)
            if c < 0:
                back[i] = -factor
            if relu != argument:
                tied[i] = factor
            elif c > 0:
                back[i] = factor
        self._add(argument, back)
        if relu != argument:
            self._add(relu, tied)

    def _leaves(self, node: int, coefficients: list[int]) -> None:
        """The least coefficient among the leaves that each tree can reach, as in `plain`."""
        _, high = self.domain.bounds(node)
        for tree in self.nodes[node].forest.trees():
            # Not empty: the interval pass has seen to that.
            self.constant += self.grid.unit * min(coefficients[k] for k in tree if high[k])

    def _product(self, position: int, coefficients: list[int]) -> None:
        """A gate or a product, or a square: `gate_below` and so on; exactly where one argument is
        known."""
        node = self.nodes[position]
        first, second = node.args
        if node.kind == PRODUCT and first == second:
            self._square(position, first, coefficients)
            return
        left, right = self.domain.bounds(first), self.domain.bounds(second)
        to_first, to_second = [0] * len(coefficients), [0] * len(coefficients)
        below, above = self._fractions(BELOW, position), self._fractions(ABOVE, position)
        unit = self.grid.unit
        for i, c in enumerate(coefficients):
            if c == 0:
                continue
            u_low, u_high, v_low, v_high = left[0][i], left[1][i], right[0][i], right[1][i]
            if u_low == u_high:
                to_second[i] = self._divided(c * u_low, unit, v_low)
            elif v_low == v_high:
                to_first[i] = self._divided(c * v_low, unit, u_low)
            else:
                share = (below if c > 0 else above)(i)
                if share == NOT_GIVEN:
                    share = default_mix(node.kind, v_low, v_high, c > 0, self.multipliers.whole)
                ends = (u_low, u_high, v_low, v_high)
                to_first[i], to_second[i] = self._mixed(node.kind, c, share, ends)
        self._add(first, to_first)
        self._add(second, to_second)

    def _mixed(
        self, kind: str, c: int, share: int, ends: tuple[int, int, int, int]
    ) -> tuple[int, int]:
        """The coefficients of the two arguments for an open product (a gate is one, of an element
        in [0, 1]); the constant takes the rest.

        Sound: whatever the coefficients `one` and `other` of the two planes, both of the sign of c
        and with the sum c, each plane is below its part of c u v; so how the share is rounded does
        not matter. The ends are rounded outward to multiples of `odd`, so that products of two are
        on the grid again; planes of wider bounds are planes too.
        """
        odd, bits = self.grid.odd, self.grid.bits
        u_low, u_high = ends[0] // odd, -(-ends[1] // odd)
        v_low, v_high = ends[2] // odd, -(-ends[3] // odd)
        whole = self.multipliers.whole
        if kind == GATE and c < 0:
            # The first plane of a gate from above is the second one of a product (`planes`).
            share = whole - share
        one = c * share // whole
        other = c - one
        if c < 0:
            u_low, u_high = u_high, u_low
        to_first = self._divided(one * v_low + other * v_high, 1 << bits, ends[0])
        to_second = self._divided(one * u_low + other * u_high, 1 << bits, ends[2])
        self.constant += -(one * u_low * v_low + other * u_high * v_high) * odd >> bits
        return to_first, to_second

    def _square(self, position: int, argument: int, coefficients: list[int]) -> None:
        """`square_below` for c > 0, `square_chord` for c < 0."""
        (lows, highs), odd, bits = self.domain.bounds(argument), self.grid.odd, self.grid.bits
        given, whole = self._fractions(BELOW, position), self.multipliers.whole
        back = [0] * len(coefficients)
        for i, c in enumerate(coefficients):
            if c == 0:
                continue
            low, high = lows[i] // odd, -(-highs[i] // odd)
            share = given(i)
            if share == NOT_GIVEN:
                share = whole // 2
            touch = (low * (whole - share) + high * share) // whole
            slope, cross = (2 * touch, touch * touch) if c > 0 else (low + high, low * high)
            back[i] = self._divided(c * slope, 1 << bits, lows[i])
            self.constant += -c * cross * odd >> bits
        self._add(argument, back)


def least_over_inputs(domain: Domain, coefficients: dict[int, list[int]]) -> int:
    """A lower bound of a form of inputs over the box, or over what a ball leaves of it, whichever
    is greater; raises Empty where the box misses a ball."""
    balls = domain.grid.balls
    inputs = {*coefficients, *(node for ball in balls for node, _ in ball.centre)}
    boxes = {node: domain.bounds(node) for node in inputs}
    gain = max((_gain(ball, coefficients, boxes) for ball in balls), default=0)
    return max(gain, 0) + sum(
        c * (low if c > 0 else high)
        for node, values in coefficients.items()
        for c, low, high in zip(values, *boxes[node], strict=True) if c)


def _gain(ball: ScaledBall, coefficients: dict[int, list[int]], boxes: dict[int, Box]) -> int:
    """How much more than the box a ball says (or less): see `balls`."""
    rows = [
        (coefficients[node][i] if node in coefficients else 0,
         centre - boxes[node][1][i], centre - boxes[node][0][i])
        for (node, i), centre in ball.centre.items()
    ]
    power = ball.power
    left = ball.radius**power - sum(abs(min(max(low, 0), high)) ** power for _, low, high in rows)
    if left < 0:
        raise Empty
    gains = []
    for part in shares(power, ball.radius, left, rows):
        # Sound: e (centre - x) is at most radius times the dual norm of e on the ball.
        norm = max(map(abs, part)) if power == 1 else 1 + math.isqrt(sum(e * e for e in part))
        gains.append(sum(
            max(c * low, c * high) - max((c - e) * low, (c - e) * high)
            for e, (c, low, high) in zip(part, rows, strict=True)) - ball.radius * norm)
    return max(gains)


def multiplier(value: Fraction, factor: int, bits: int) -> int:
    """A multiplier as a coefficient, rounded down (any multiplier >= 0 is sound)."""
    return math.floor(value * factor * (1 << bits))
