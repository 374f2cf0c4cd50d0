"""Operators that change the shape of a tensor and the order of its axes, and no element.

Reshape, Flatten, Squeeze and Unsqueeze keep the elements in C order; Transpose moves them.
"""

from __future__ import annotations

import math

from ...failures import Bad, need
from ...graph.moves import transposed
from ...graph.symbolic import SymbolicTensor
from ..operator_call import Operator, OperatorCall, axes_of
from ..signatures import (
    ANY_INPUT,
    FLOAT_INPUT,
    INT64_INPUT,
    INTEGER,
    INTEGER_LIST,
    AttributeSlot,
    Signature,
)


def reshape(call: OperatorCall) -> SymbolicTensor:
    """Sides from a constant list: a 0 stands for the old side, unless `allowzero` is set, and one
    -1 for what is left.
    """
    tensor, wanted = call.tensor(0), call.tensor(1)
    keeps_zero, sides = call.attributes.flag("allowzero"), wanted.whole_numbers()
    need(len(wanted.shape) == 1, "a Reshape to no list of numbers")
    need(not keeps_zero or not (0 in sides and -1 in sides), "a Reshape to 0 and -1")
    if not keeps_zero:
        need(all(side or axis < len(tensor.shape) for axis, side in enumerate(sides)),
             "a Reshape to a side that is not there")
        sides = [side or tensor.shape[axis] for axis, side in enumerate(sides)]
    if -1 in sides:
        known = math.prod(side for side in sides if side != -1)
        need(sides.count(-1) == 1 and known > 0 and tensor.size % known == 0, "a Reshape to -1")
        sides[sides.index(-1)] = tensor.size // known
    return tensor.shaped(sides)


def flatten(call: OperatorCall) -> SymbolicTensor:
    """A matrix: the axes before `axis` are its rows, the others its columns."""
    tensor, axis = call.tensor(), call.attributes.integer("axis", 1)
    rank = len(tensor.shape)
    if -rank <= axis < 0 and call.opset >= 11:
        axis += rank
    need(0 <= axis <= rank, "a wrong axis")
    return tensor.shaped([math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:])])


def squeeze(call: OperatorCall) -> SymbolicTensor:
    """Axes of 1 taken out: those that are named, or all.

    Sound: of a list that names none, some readers take out all axes of 1, some none: refused.
    """
    shape = call.tensor().shape
    given = call.integers("axes", 1)
    if given is None:
        given = [axis for axis, side in enumerate(shape) if side == 1]
    need(given or 1 not in shape, "unsupported Squeeze of an empty list of axes")
    axes = call.axes(given)
    need(all(shape[axis] == 1 for axis in axes), "a Squeeze of a longer axis")
    return call.tensor().shaped([side for axis, side in enumerate(shape) if axis not in axes])


def unsqueeze(call: OperatorCall) -> SymbolicTensor:
    """Axes of 1 put in, at places that count in the result.

    Sound: in old operator sets some readers put in one axis after the other, counting anew, so
    axes out of order are refused there; so are axes from the end where the standard has none.
    """
    given, shape = call.integers("axes", 1), list(call.tensor().shape)
    if not given:
        raise Bad("an Unsqueeze without axes")
    axes = axes_of(given, len(shape) + len(given))
    need(call.opset >= 13 or axes == sorted(axes), "unsupported axes out of order")
    need(call.opset >= 11 or min(given) >= 0, "unsupported negative axes at this opset")
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return call.tensor().shaped(shape)


def transpose(call: OperatorCall) -> SymbolicTensor:
    """Axis k of the result is axis perm[k] of the input; without `perm` the axes are reversed."""
    rank = len(call.tensor().shape)
    given = call.attributes.integers("perm")
    order = list(range(rank))[::-1] if given is None else given
    need(sorted(order) == list(range(rank)), "a wrong order of axes")
    return transposed(call.tensor(), order)


OPERATORS = {
    "Reshape": Operator(reshape, Signature(
        inputs=(ANY_INPUT, INT64_INPUT),
        attributes=(AttributeSlot("allowzero", INTEGER, since=14),))),
    "Flatten": Operator(flatten, Signature(
        inputs=(FLOAT_INPUT.during(until=8), ANY_INPUT.during(since=9)),
        attributes=(AttributeSlot("axis", INTEGER),))),
    "Squeeze": Operator(squeeze, Signature(
        inputs=(ANY_INPUT, INT64_INPUT.optionally().during(since=13)),
        attributes=(AttributeSlot("axes", INTEGER_LIST, until=12),))),
    "Unsqueeze": Operator(unsqueeze, Signature(
        inputs=(ANY_INPUT, INT64_INPUT.during(since=13)),
        attributes=(AttributeSlot("axes", INTEGER_LIST, until=12),))),
    "Transpose": Operator(transpose, Signature(
        inputs=(ANY_INPUT,), attributes=(AttributeSlot("perm", INTEGER_LIST),))),
}
