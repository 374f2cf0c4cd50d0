"""Tensors whose elements are linear forms of the values of a graph, and their arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import zip_longest

from ..failures import MAX_MADE, MAX_SIZE, need
from .element_types import ELEMENT_TYPES, INTEGERS, UNTYPED
from .elements import (
    AffineElements,
    Elements,
    FormElements,
    NumberElements,
    all_of,
    is_dyadic,
    times_plus,
)
from .forms import ZERO, Form, digits, total
from .network_graph import INPUT, NetworkGraph

MAX_CODE = 1 << 24
"""The greatest size of codes: whole numbers of which float32 holds each."""


class SymbolicTensor:
    """A shape and, in C order, its elements as linear forms of the values of a graph.

    `kind` is its ONNX element type (UNTYPED on the way through a rule). `derived` says whether
    integers were computed by arithmetic on integers. `fixed`: all elements are constants.
    """

    def __init__(
        self, graph: NetworkGraph, shape: Iterable[int], elements: list[Form] | Elements,
        kind: int = UNTYPED, derived: bool = False,
    ) -> None:
        self.graph, self.shape = graph, tuple(shape)
        self.elements: Elements = (
            FormElements(elements) if isinstance(elements, list) else elements)
        self.kind, self.derived, self.fixed = kind, derived, self.elements.fixed
        self.size = len(self.elements)
        graph.made += self.size
        need(graph.made <= MAX_MADE, "too many values")
        need(all(side >= 0 for side in self.shape) and math.prod(self.shape) == self.size,
             "a wrong shape")

    @cached_property
    def items(self) -> list[Form]:
        """The elements as forms."""
        return self.elements.forms()

    @cached_property
    def strides(self) -> list[int]:
        """By how many places an index moves along each axis: not at all along an axis of 1, which
        stretches."""
        return [math.prod(self.shape[axis + 1 :]) if side > 1 else 0
                for axis, side in enumerate(self.shape)]

    def spread(self, shape: Sequence[int]) -> list[int]:
        """For every element of a tensor of this shape, the place here of what is stretched there:
        the shape may have further axes in front, and axes of 1 here stretch."""
        lead = len(shape) - len(self.shape)
        return places(shape, [0] * lead + self.strides)

    def shaped(self, shape: Iterable[int]) -> SymbolicTensor:
        """The same elements in another shape."""
        return SymbolicTensor(self.graph, shape, self.elements)

    def typed(self, kind: int, derived: bool = False) -> SymbolicTensor:
        """The same elements as another tensor of this element type."""
        if (self.kind, self.derived) == (kind, derived):
            return self
        return SymbolicTensor(self.graph, self.shape, self.elements, kind, derived).within()

    def within(self) -> SymbolicTensor:
        """The tensor itself; refused where a constant is none of its element type.

        Sound: arithmetic on integers wraps around, on floats it ends in infinities. Only constants
        can be compared with the range; computed floats are taken as real numbers. Integers are
        constants, elements of inputs that are whole numbers in their range, or codes.
        """
        name, least, greatest = ELEMENT_TYPES[self.kind]
        need(self.fixed or self.kind not in INTEGERS or self.is_of_inputs(),
             f"unsupported computed {name}")
        need(not self.fixed or self.lies_between(least, greatest),
             f"a constant beyond the range of {name}")
        return self

    def is_of_inputs(self) -> bool:
        """Whether each element is whole: an element of an input that is held to be, or a code, or
        a constant."""
        graph = self.graph
        places = [plain_place(form) for form in self.items]
        return all(
            (place in graph.whole or place[0] in graph.codes) if place is not None
            else not form[0] and form[1].denominator == 1
            for place, form in zip(places, self.items, strict=True))

    def hold_whole(self, least: int, greatest: int) -> None:
        """All elements are whole numbers within these ends.

        Of elements of inputs the graph keeps that, and claims have to say it; constants and codes
        are it, or are refused, as is whatever else is computed.
        """
        for form in self.items:
            place = plain_place(form)
            if place is not None and self.graph.nodes[place[0]].kind == INPUT:
                self.graph.hold_whole(place, least, greatest)
            elif place is not None and place[0] in self.graph.codes:
                need(least <= -MAX_CODE and greatest >= MAX_CODE, "unsupported small integers")
            else:
                need(not form[0] and form[1].denominator == 1 and least <= form[1] <= greatest,
                     "unsupported: whole numbers that are computed")

    def typed_as_codes(self, kind: int) -> SymbolicTensor:
        """The same elements as integers, which are whole and at most MAX_CODE in size by what the
        caller knows of them."""
        alone = self.solid()
        if not alone.fixed:
            self.graph.codes.add(alone.node())
        return alone.typed(kind)

    def lies_between(self, least: int | Fraction, greatest: int | Fraction) -> bool:
        """Whether all constants of a constant tensor do."""
        numbers: Sequence[int | Fraction]
        if isinstance(self.elements, NumberElements):
            numbers, scale = self.elements.numerators, self.elements.denominator
            least, greatest = least * scale, greatest * scale
        else:
            numbers = self.constants()
        return not numbers or (least <= min(numbers) and max(numbers) <= greatest)

    def has_longer_numbers(self, limit: int) -> bool:
        """Whether some number in the forms has more bits than the limit."""
        if self.elements.digits_at_most() <= limit:
            return False
        return max(map(digits, self.items), default=0) > limit

    def constants(self) -> list[Fraction]:
        """The elements of a tensor that has to be constant."""
        need(self.fixed, "a constant is needed")
        if isinstance(self.elements, NumberElements):
            return self.elements.values()
        return [constant for _, constant in self.items]

    def whole_numbers(self) -> list[int]:
        """The elements of a tensor that has to be constant and whole."""
        numbers = self.constants()
        need(all(number.denominator == 1 for number in numbers), "whole numbers are needed")
        return [number.numerator for number in numbers]

    def node(self) -> int:
        """The node whose elements are those of the tensor."""
        return self.elements.node(self.graph)

    def solid(self) -> SymbolicTensor:
        """The tensor as the elements of one node, unless it is constant."""
        return self if self.fixed else of_node(self.graph, self.shape, self.node())

    def __add__(self, other: SymbolicTensor) -> SymbolicTensor:
        return combine((self, 1), (other, 1))

    def __sub__(self, other: SymbolicTensor) -> SymbolicTensor:
        return combine((self, 1), (other, -1))

    def __mul__(self, other: SymbolicTensor) -> SymbolicTensor:
        if other.fixed:
            return scaled(self, other)
        return scaled(other, self) if self.fixed else multiplied(self, other)

    def is_gates(self) -> bool:
        """Whether each element is the gate of some unit, that is 0 or 1."""
        return not self.fixed and all(is_gate(self.graph, form) for form in self.items)

    def complement(self) -> SymbolicTensor:
        """1 - element: the negation of elements that are 0 or 1."""
        return combine((constants(self.graph, (), [1]), 1), (self, -1))

    def relu(self) -> SymbolicTensor:
        """max(element, 0): one relaxed node R."""
        return of_node(self.graph, self.shape, self.graph.op("R", self.node()))

    def gate(self) -> SymbolicTensor:
        """1 where an element is above 0, else 0: one relaxed node S.

        Sound: the node may take either value where the element is 0; the file's operator has one.
        """
        return of_node(self.graph, self.shape, self.graph.op("S", self.node()))

    def absolute(self) -> SymbolicTensor:
        """|element| = 2 max(element, 0) - element."""
        alone = self.solid()
        return combine((alone.relu(), 2), (alone, -1))


def plain_place(form: Form) -> tuple[int, int] | None:
    """The element of a node that a form is, with nothing else in it."""
    coefficients, constant = form
    if constant or len(coefficients) != 1:
        return None
    ((place, factor),) = coefficients.items()
    return place if factor == 1 else None


def is_gate(graph: NetworkGraph, form: Form) -> bool:
    """Whether a form is one element of a node S, or of a product of such, or 0: 0 or 1 always."""
    coefficients, constant = form
    if constant or len(coefficients) > 1:
        return False
    return all(value == 1 and (graph.nodes[node].kind == "S" or node in graph.gate_products)
               for (node, _), value in coefficients.items())


def of_node(graph: NetworkGraph, shape: Iterable[int], node: int) -> SymbolicTensor:
    """The elements of a node in this shape."""
    return SymbolicTensor(graph, shape, all_of(graph, node))


def constants(
    graph: NetworkGraph, shape: Iterable[int], values: Iterable[int | Fraction],
    kind: int = UNTYPED,
) -> SymbolicTensor:
    """A tensor of constants."""
    return SymbolicTensor(graph, shape, [({}, Fraction(value)) for value in values], kind)


def need_size(shape: Sequence[int]) -> None:
    """Refuses a tensor that is too big before it is made."""
    need(math.prod(shape) <= MAX_SIZE, "a tensor is too big")


def places(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The sum of index * stride, for each index of the shape in C order."""
    need_size(shape)
    found = [0]
    for side, stride in zip(shape, strides, strict=True):
        steps = [step * stride for step in range(side)]
        found = [start + step for start in found for step in steps]
    return found


def stretched(*tensors: SymbolicTensor, inner: int = 0) -> list[int]:
    """The common shape of tensors without their inner axes, where axes of 1 stretch.

    ONNX (as numpy): shapes are aligned at their last axes, a missing axis is one of 1, and along
    every axis all sides that are not 1 are equal.
    """
    shapes = [tensor.shape[::-1][inner:] for tensor in tensors]
    axes = [{*sides} - {1} for sides in zip_longest(*shapes, fillvalue=1)]
    need(all(len(sides) < 2 for sides in axes), "shapes do not fit")
    return [max(sides, default=1) for sides in axes[::-1]]


def combine(*terms: tuple[SymbolicTensor, int | Fraction]) -> SymbolicTensor:
    """The sum of factor * tensor, axes of 1 being stretched."""
    tensors = [tensor for tensor, _ in terms]
    shape, graph = stretched(*tensors), tensors[0].graph
    quick = shifted(shape, terms)
    if quick is not None:
        return SymbolicTensor(graph, shape, quick)
    factors = [factor for _, factor in terms]
    columns = [[tensor.items[place] for place in tensor.spread(shape)] for tensor in tensors]
    forms = [total(zip(cells, factors)) for cells in zip(*columns, strict=True)]
    return SymbolicTensor(graph, shape, forms)


def shifted(
    shape: list[int], terms: Sequence[tuple[SymbolicTensor, int | Fraction]]
) -> Elements | None:
    """The sum where it is rows applied to a node, times a factor, plus constants; else None.

    The factor has a power of two for a denominator: see `scaled`.
    """
    moving = [(tensor, factor) for tensor, factor in terms if not tensor.fixed]
    if len(moving) != 1 or moving[0][0].shape != tuple(shape):
        return None
    elements, factor = moving[0][0].elements, Fraction(moving[0][1])
    if not isinstance(elements, AffineElements) or not is_dyadic(factor):
        return None
    additions = [ZERO] * len(elements)
    for tensor, times in terms:
        if tensor.fixed:
            numbers = tensor.constants()
            spread = [numbers[place] for place in tensor.spread(shape)]
            additions = times_plus(spread, [Fraction(times)] * len(spread), additions)
    return elements.adjusted([factor] * len(elements), additions)


def scaled(tensor: SymbolicTensor, factor: SymbolicTensor) -> SymbolicTensor:
    """The product with constants, axes of 1 being stretched: the forms times the constants.

    Rows applied to a node stay such rows where the denominators of the constants are powers of two;
    others would make the common denominator of all rows long.
    """
    shape, numbers = stretched(tensor, factor), factor.constants()
    factors = [numbers[place] for place in factor.spread(shape)]
    elements = tensor.elements
    if (isinstance(elements, AffineElements) and tensor.shape == tuple(shape)
            and all(map(is_dyadic, numbers))):
        found = elements.adjusted(factors, [ZERO] * len(factors))
        return SymbolicTensor(tensor.graph, shape, found)
    forms = [total([(tensor.items[place], number)])
             for place, number in zip(tensor.spread(shape), factors, strict=True)]
    return SymbolicTensor(tensor.graph, shape, forms)


def multiplied(first: SymbolicTensor, second: SymbolicTensor) -> SymbolicTensor:
    """The product of two computed tensors, axes of 1 being stretched: one relaxed node, G for a
    product with gates (which come first in it), else M.

    Sound: G and M stand for the product of their arguments, whatever these are; G is only bounded
    as one with a factor of 0 or 1, and gates are. The square of a tensor is refused: it has a rule
    of its own in the package, with other names.
    """
    shape, graph = stretched(first, second), first.graph
    pair = [tensor if tensor.shape == tuple(shape) else
            SymbolicTensor(graph, shape, tensor.elements.picked(tensor.spread(shape)))
            for tensor in (first, second)]
    has_gates = [tensor.is_gates() for tensor in pair]
    if has_gates == [False, True]:
        pair.reverse()
    factors = [tensor.node() for tensor in pair]
    gated = any(has_gates)
    need(gated or factors[0] != factors[1],
         "unsupported smooth function: the square of a computed tensor")
    found = graph.op("G" if gated else "M", *factors)
    if all(has_gates):
        graph.gate_products.add(found)
    return of_node(graph, shape, found)
