"""Products of matrices: MatMul, Gemm and Einsum.

Each element of the result is the sum of products of a line of the first matrix with a line of the
second. With one side constant this is a linear form, and its coefficients are the weights as they
are stored. Of two computed matrices all products of elements become one relaxed node.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ...failures import MAX_TERMS, need
from ...graph.elements import Elements, NodeElements, NumberElements, affine
from ...graph.forms import ONE, ZERO, Form, total
from ...graph.moves import transposed
from ...graph.sparse_rows import PackedRow, packed_row
from ...graph.symbolic import SymbolicTensor, combine, places, stretched
from ..operator_call import Operator, OperatorCall
from ..signatures import FLOAT_INPUT, INTEGER, REAL, AttributeSlot, Signature


class Factor(NamedTuple):
    """A matrix of a product, and for every element of the product the line that it reads: where
    the line starts; the step from one place of a line to the next; how long lines are.
    """

    tensor: SymbolicTensor
    starts: list[int]
    step: int
    depth: int

    def lines(self) -> Iterator[range]:
        """The places of each line. A step of 0 is of lines of one place only."""
        step = max(1, self.step)
        for start in self.starts:
            yield range(start, start + self.depth * step, step)


def factors_of(left: SymbolicTensor, right: SymbolicTensor) -> tuple[list[int], Factor, Factor]:
    """The shape of a product, and its factors with their lines, by numpy's rules for matmul.

    The last axis of the first runs along the last but one of the second (along its only one, if it
    has one). Further axes in front are stretched. A factor of one axis adds none to the result.
    """
    need(left.shape and right.shape, "a product of single numbers")
    lead = stretched(left, right, inner=2)
    rows, columns = left.shape[-2:-1], right.shape[1:][-1:]
    shape, depth = [*lead, *rows, *columns], left.shape[-1]
    need(depth == right.shape[-2:][0] and math.prod(shape) * depth <= MAX_TERMS,
         "matrices do not fit")
    # The left factor stands still along the columns of the result, the right one along its rows.
    left_strides = [*lead_strides(left, len(lead)), *left.strides[-2:-1], *[0] * len(columns)]
    right_strides = [*lead_strides(right, len(lead)), *[0] * len(rows), *right.strides[1:][-1:]]
    first = Factor(left, places(shape, left_strides), left.strides[-1], depth)
    second = Factor(right, places(shape, right_strides), right.strides[-2:][0], depth)
    return shape, first, second


def lead_strides(tensor: SymbolicTensor, count: int) -> list[int]:
    """Strides along so many axes in front of a matrix; those it does not have do not move it."""
    own = tensor.strides[:-2]
    return [0] * (count - len(own)) + own


def matmul(left: SymbolicTensor, right: SymbolicTensor) -> SymbolicTensor:
    """The product of two matrices, or stacks of them."""
    if not left.fixed and not right.fixed:
        return computed_products(left, right)
    shape, first, second = factors_of(left, right)
    computed, weights = (first, second) if right.fixed else (second, first)
    elements: Elements | list[Form] | None = packed_products(computed, weights)
    if elements is None:
        elements = plain_products(computed, weights)
    return SymbolicTensor(left.graph, shape, elements)


def computed_products(left: SymbolicTensor, right: SymbolicTensor) -> SymbolicTensor:
    """The product of two computed matrices: all products of their elements, then sums of them.

    Sound: the node of products stands for each product of two elements, whatever these are.
    """
    shape, first, second = factors_of(left, right)
    depth = first.depth
    pair = []
    for factor in (first, second):
        places = [place for line in factor.lines() for place in line]
        pair.append(SymbolicTensor(
            left.graph, (len(factor.starts), depth), factor.tensor.elements.picked(places)))
    products = (pair[0] * pair[1]).items
    sums = [total([(form, 1) for form in products[start : start + depth]])
            for start in range(0, len(products), depth)]
    return SymbolicTensor(left.graph, shape, sums)


def plain_products(computed: Factor, weights: Factor) -> list[Form]:
    """The elements of a product: sums of form * weight."""
    items, numbers, forms = computed.tensor.items, weights.tensor.constants(), list[Form]()
    for computed_line, weight_line in zip(computed.lines(), weights.lines(), strict=True):
        forms.append(total([(items[place], numbers[of_weight])
                            for place, of_weight in zip(computed_line, weight_line, strict=True)]))
    return forms


def packed_products(computed: Factor, weights: Factor) -> Elements | None:
    """The elements of `plain_products` where those of one factor are all of a node, and those of
    the other are stored: a line of weights is a row of the result. Else None.
    """
    node, stored = computed.tensor.elements, weights.tensor.elements
    if not isinstance(node, NodeElements) or not isinstance(stored, NumberElements):
        return None
    rows = list[PackedRow]()
    for computed_line, weight_line in zip(computed.lines(), weights.lines(), strict=True):
        numbers = stored.numerators[weight_line.start : weight_line.stop : weight_line.step]
        rows.append(packed_row(computed_line, numbers, node.size))
    return affine(node.source, node.size, rows, stored.denominator, [ZERO] * len(rows))


def multiply_matrices(call: OperatorCall) -> SymbolicTensor:
    """MatMul: numpy's matmul."""
    return matmul(call.tensor(0).solid(), call.tensor(1).solid())


def gemm(call: OperatorCall) -> SymbolicTensor:
    """alpha * A * B + beta * C, where A and B may be transposed first and C is stretched.

    Sound: C may not stretch the product, which some readers allow.
    """
    need(len(call.tensor(0).shape) == len(call.tensor(1).shape) == 2, "a Gemm of no matrices")
    left, right = call.tensor(0).solid(), call.tensor(1).solid()
    if call.attributes.flag("transA"):
        left = transposed(left, (1, 0))
    if call.attributes.flag("transB"):
        right = transposed(right, (1, 0))
    product = matmul(left, right)
    alpha, beta = call.attributes.real("alpha", ONE), call.attributes.real("beta", ONE)
    offset = call.optional(2)
    terms = [(product, alpha)] if offset is None else [(product, alpha), (offset, beta)]
    found = combine(*terms)
    need(found.shape == product.shape, "a wrong shape of C")
    return found


OPERATORS = {
    "MatMul": Operator(multiply_matrices, Signature(inputs=(FLOAT_INPUT, FLOAT_INPUT))),
    "Gemm": Operator(gemm, Signature(
        inputs=(FLOAT_INPUT, FLOAT_INPUT, FLOAT_INPUT.during(until=10),
                FLOAT_INPUT.optionally().during(since=11)),
        attributes=(AttributeSlot("alpha", REAL), AttributeSlot("beta", REAL),
                    AttributeSlot("transA", INTEGER), AttributeSlot("transB", INTEGER)))),
}
