"""Operators that change shapes."""

from __future__ import annotations

import math

from ...failures import need
from ...graph.symbolic import SymbolicTensor, constants, transposed
from ..operator_call import OperatorCall


def reshape(c: OperatorCall) -> SymbolicTensor:
    old, keep, new = c.x[0].shape, c.flag("allowzero"), c.x[1].ints()
    need(len(c.x[1].shape) == 1, "a Reshape to no list of numbers")
    need(not keep or not (0 in new and -1 in new), "a Reshape to 0 and -1")
    new = [old[k] if d == 0 and not keep else d for k, d in enumerate(new)]
    if -1 in new:
        known, size = math.prod(d for d in new if d != -1), math.prod(old)
        need(new.count(-1) == 1 and known > 0 and size % known == 0, "a Reshape to -1")
        new[new.index(-1)] = size // known
    return c.x[0].shaped(new)


def squeeze(c: OperatorCall) -> SymbolicTensor:
    shape = c.x[0].shape
    given = c.ints("axes", 1, [k for k, d in enumerate(shape) if d == 1])
    # Sound: of a list of no axes some readers take out all axes of 1, some none.
    need(given or 1 not in shape, "unsupported Squeeze of an empty list of axes")
    axes = c.axes(given)
    need(all(shape[k] == 1 for k in axes), "a Squeeze of a longer axis")
    return c.x[0].shaped([d for k, d in enumerate(shape) if k not in axes])


def unsqueeze(c: OperatorCall) -> SymbolicTensor:
    given, shape = c.ints("axes", 1), list(c.x[0].shape)
    need(given, "an Unsqueeze without axes")
    axes = c.axes(given, len(shape) + len(given))
    # Sound: in old operator sets some readers put in one axis after the other, counting anew.
    need(c.opset >= 13 or axes == sorted(axes), "unsupported axes out of order")
    need(c.opset >= 11 or min(given) >= 0, "unsupported negative axes at this opset")
    for k in sorted(axes):
        shape.insert(k, 1)
    return c.x[0].shaped(shape)


def flatten(c: OperatorCall) -> SymbolicTensor:
    t, axis = c.x[0], c.attr("axis", 1)
    rank = len(t.shape)
    axis += rank if -rank <= axis < 0 and c.opset >= 11 else 0
    need(0 <= axis <= rank, "a wrong axis")
    return t.shaped([math.prod(t.shape[:axis]), math.prod(t.shape[axis:])])


def transpose(c: OperatorCall) -> SymbolicTensor:
    order = list(c.attr("perm", range(len(c.x[0].shape))[::-1]))
    need(sorted(order) == list(range(len(c.x[0].shape))), "a wrong order of axes")
    return transposed(c.x[0], order)


def shape_of(c: OperatorCall) -> SymbolicTensor:
    rank = len(c.x[0].shape)
    start, end = c.attr("start", 0), c.attr("end", rank)
    # Sound: what lies outside is cut down in different ways by readers.
    need(-rank <= start <= rank and -rank <= end <= rank, "unsupported axes that are not there")
    shape = c.x[0].shape[start:end]
    return constants(c.graph, [len(shape)], shape)
