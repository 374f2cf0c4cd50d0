"""Products of matrices, one of which is constant: MatMul and Gemm.

Each element of the result is the sum of products of a line of the first matrix with a line of the
second. With one side constant this is a linear form, and its coefficients are the weights as they
are stored. A product of two computed matrices is refused.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...failures import MAX_TERMS, need
from ...graph.elements import Elements, NodeElements, NumberElements, affine
from ...graph.forms import ONE, ZERO, Form, total
from ...graph.moves import transposed
from ...graph.sparse_rows import packed_row
from ...graph.symbolic import SymbolicTensor, combine, places, stretched
from ..operator_call import Operator, OperatorCall
from ..signatures import FLOAT_INPUT, INTEGER, REAL, AttributeSlot, Signature


class Lines(NamedTuple):
    """For every element of a product the line of a factor that it reads: its first place; and the
    step from one place of a line to the next.
    """

    starts: list[int]
    step: int


class Product(NamedTuple):
    """The shape of a product, the length of the lines, and the lines of both factors."""

    shape: list[int]
    depth: int
    left: Lines
    right: Lines


def product_of(left: SymbolicTensor, right: SymbolicTensor) -> Product:
    """What a product of two tensors reads, by numpy's rules for matmul.

    The last axis of the first runs along the last but one of the second (along its only one, if it
    has one). Further axes in front are stretched. A factor of one axis adds none to the result.
    """
    need(left.shape and right.shape, "a product of single numbers")
    lead = stretched(left, right, inner=2)
    row_axis, column_axis = left.shape[-2:-1], right.shape[1:][-1:]
    shape, depth = [*lead, *row_axis, *column_axis], left.shape[-1]
    along = right.strides[-2:][0]
    need(depth == right.shape[-2:][0] and math.prod(shape) * depth <= MAX_TERMS,
         "matrices do not fit")
    left_strides = [*lead_strides(left, len(lead)), *left.strides[-2:-1], *[0] * len(column_axis)]
    right_strides = [*lead_strides(right, len(lead)), *[0] * len(row_axis),
                     *right.strides[1:][-1:]]
    return Product(shape, depth, Lines(places(shape, left_strides), left.strides[-1]),
                   Lines(places(shape, right_strides), along))


def lead_strides(tensor: SymbolicTensor, count: int) -> list[int]:
    """Strides along so many axes in front of a matrix; those it does not have do not move it."""
    own = tensor.strides[:-2]
    return [0] * (count - len(own)) + own


def line(start: int, lines: Lines, depth: int) -> range:
    """The places of a line; a step of 0 is only taken in a line of one place."""
    step = max(1, lines.step)
    return range(start, start + depth * step, step)


def matmul(left: SymbolicTensor, right: SymbolicTensor) -> SymbolicTensor:
    """The product of two matrices, or stacks of them, one of which is constant."""
    need(left.fixed or right.fixed, "unsupported product of two computed matrices")
    product = product_of(left, right)
    computed, weights, product_lines = (
        (left, right, (product.left, product.right)) if right.fixed
        else (right, left, (product.right, product.left)))
    if isinstance(computed.elements, NodeElements) and isinstance(
            weights.elements, NumberElements):
        elements = packed_products(
            computed.elements, weights.elements, product.depth, *product_lines)
        return SymbolicTensor(left.graph, product.shape, elements)
    forms = plain_products(computed, weights, product.depth, *product_lines)
    return SymbolicTensor(left.graph, product.shape, forms)


def plain_products(
    computed: SymbolicTensor, weights: SymbolicTensor, depth: int, computed_lines: Lines,
    weight_lines: Lines,
) -> list[Form]:
    """The elements of a product: sums of form * weight."""
    numbers, forms = weights.constants(), list[Form]()
    for computed_start, weight_start in zip(
            computed_lines.starts, weight_lines.starts, strict=True):
        factors = zip(line(computed_start, computed_lines, depth),
                      line(weight_start, weight_lines, depth), strict=True)
        forms.append(total([(computed.items[k], numbers[j]) for k, j in factors]))
    return forms


def packed_products(
    computed: NodeElements, weights: NumberElements, depth: int, computed_lines: Lines,
    weight_lines: Lines,
) -> Elements:
    """`plain_products` for the elements of a node: a line of the weights is a row of the result."""
    rows = []
    for computed_start, weight_start in zip(
            computed_lines.starts, weight_lines.starts, strict=True):
        at = line(weight_start, weight_lines, depth)
        numbers = weights.numerators[at.start : at.stop : at.step]
        rows.append(packed_row(line(computed_start, computed_lines, depth), numbers,
                               computed.size))
    return affine(computed.source, computed.size, rows, weights.denominator, [ZERO] * len(rows))


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
