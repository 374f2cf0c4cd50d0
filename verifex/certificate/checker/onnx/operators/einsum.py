"""Einsum: sums of products over named axes, one pair of inputs after the other.

ONNX: each input has a letter an axis; an element of the result is the sum, over the letters that
it does not have, of the products of the inputs' elements. Without `->` the result has the letters
that appear once, in the order of the alphabet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...failures import need
from ...graph.forms import total
from ...graph.moves import transposed
from ...graph.symbolic import SymbolicTensor, places
from ..operator_call import Operator, OperatorCall
from ..signatures import FLOAT_INPUT, TEXT, AttributeSlot, Signature
from .products import matmul


class NamedAxes(NamedTuple):
    """A tensor and a letter for each of its axes, all different."""

    tensor: SymbolicTensor
    letters: str

    def sides(self) -> dict[str, int]:
        return dict(zip(self.letters, self.tensor.shape, strict=True))


def equation(text: str, count: int) -> tuple[list[str], str]:
    """The letters of each input, and of the result. Ellipses are refused."""
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    need(all(letter.isascii() and letter.isalpha() for letter in "".join(terms) + right),
         "unsupported equation: letters only")
    need(len(terms) == count, "an equation of other inputs")
    joined = "".join(terms)
    if not arrow:
        right = "".join(sorted(letter for letter in set(joined) if joined.count(letter) == 1))
    need(len(set(right)) == len(right) and set(right) <= set(joined), "a wrong result")
    return terms, right


def diagonal(tensor: SymbolicTensor, letters: str) -> NamedAxes:
    """Where a letter stands twice, the elements whose indices along both axes are equal."""
    need(len(letters) == len(tensor.shape), "an equation of other axes")
    distinct = "".join(dict.fromkeys(letters))
    if distinct == letters:
        return NamedAxes(tensor, letters)
    sides = dict(zip(letters, tensor.shape, strict=True))
    need(all(sides[one] == side for one, side in zip(letters, tensor.shape, strict=True)),
         "a letter of two lengths")
    strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(letters))]
    steps = [sum(stride for one, stride in zip(letters, strides, strict=True) if one == letter)
             for letter in distinct]
    shape = [sides[letter] for letter in distinct]
    picked = tensor.elements.picked(places(shape, steps))
    return NamedAxes(SymbolicTensor(tensor.graph, shape, picked), distinct)


def ordered(one: NamedAxes, letters: Iterable[str]) -> SymbolicTensor:
    """The tensor with its axes in the order of the letters."""
    return transposed(one.tensor, [one.letters.index(letter) for letter in letters])


def summed(one: NamedAxes, kept: str) -> NamedAxes:
    """Sums over the axes whose letters are not kept."""
    left = "".join(letter for letter in one.letters if letter in kept)
    gone = "".join(letter for letter in one.letters if letter not in kept)
    if not gone:
        return one
    moved, sides = ordered(one, left + gone), one.sides()
    run, items = math.prod(sides[letter] for letter in gone), moved.items
    shape = [sides[letter] for letter in left]
    forms = [total([(form, 1) for form in items[start * run : (start + 1) * run]])
             for start in range(math.prod(shape))]
    return NamedAxes(SymbolicTensor(one.tensor.graph, shape, forms).solid(), left)


def contracted(first: NamedAxes, second: NamedAxes, kept: str) -> NamedAxes:
    """The sum of products of two tensors over the letters that are not kept.

    As a product of stacks of matrices: letters of both that are kept stack them, letters of one
    are its rows or columns, the other letters of both are summed over.
    """
    first = summed(first, second.letters + kept)
    second = summed(second, first.letters + kept)
    shared = [letter for letter in first.letters if letter in second.letters]
    stack = [letter for letter in shared if letter in kept]
    inner = [letter for letter in shared if letter not in kept]
    rows = [letter for letter in first.letters if letter not in shared]
    columns = [letter for letter in second.letters if letter not in shared]
    sides = {**first.sides(), **second.sides()}
    need(all(first.sides()[one] == second.sides()[one] for one in shared),
         "a letter of two lengths")

    def size(letters: Sequence[str]) -> int:
        return math.prod(sides[letter] for letter in letters)

    left = ordered(first, [*stack, *rows, *inner]).shaped((size(stack), size(rows), size(inner)))
    right = ordered(second, [*stack, *inner, *columns]).shaped(
        (size(stack), size(inner), size(columns)))
    found = matmul(left.solid(), right.solid())
    letters = [*stack, *rows, *columns]
    return NamedAxes(found.shaped([sides[letter] for letter in letters]), "".join(letters))


def einsum(call: OperatorCall) -> SymbolicTensor:
    """Inputs are joined from left to right; a letter goes once no later input has it."""
    terms, wanted = equation(call.attributes.text("equation", ""), len(call.inputs))
    named = [diagonal(tensor.solid(), letters)
             for tensor, letters in zip(call.tensors(), terms, strict=True)]
    found = named[0]
    for number, other in enumerate(named[1:], 2):
        later = "".join(one.letters for one in named[number:])
        found = contracted(found, other, wanted + later)
    return ordered(summed(found, wanted), wanted)


OPERATORS = {
    "Einsum": Operator(einsum, Signature(
        inputs=(FLOAT_INPUT.many(),), attributes=(AttributeSlot("equation", TEXT),), since=12,
        bfloat16=24)),
}
