"""Operators that put elements at given places, and repeat or pick single ones.

Expand, Tile, DepthToSpace, SpaceToDepth, GatherElements, ScatterElements, ScatterND: places are
constants, so every element of the result is one of the inputs', or a sum of two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from ...failures import MAX_SIZE, need
from ...graph.forms import Form, total
from ...graph.moves import along, transposed
from ...graph.symbolic import SymbolicTensor, need_size
from ..operator_call import Operator, OperatorCall
from ..signatures import (
    ANY_INPUT,
    FLOAT_INPUT,
    INDEX_INPUT,
    INT64_INPUT,
    INTEGER,
    TEXT,
    AttributeSlot,
    Signature,
)


def expand(call: OperatorCall) -> SymbolicTensor:
    """The input stretched, as numpy does it, to the common shape with a constant one."""
    tensor, wanted = call.tensor(0), call.tensor(1)
    sides = wanted.whole_numbers()
    need(len(wanted.shape) == 1 and all(0 <= side <= MAX_SIZE for side in sides), "a wrong shape")
    rank = max(len(sides), len(tensor.shape))
    old = [1] * (rank - len(tensor.shape)) + list(tensor.shape)
    new = [1] * (rank - len(sides)) + sides
    need(all(a == b or 1 in (a, b) for a, b in zip(old, new, strict=True)), "shapes do not fit")
    shape = [b if a == 1 else a for a, b in zip(old, new, strict=True)]
    need_size(shape)
    return SymbolicTensor(call.graph, shape, tensor.elements.picked(tensor.spread(shape)))


def tile(call: OperatorCall) -> SymbolicTensor:
    """Each axis repeated so many times."""
    tensor, repeats = call.tensor(0), call.tensor(1).whole_numbers()
    need(len(call.tensor(1).shape) == 1 and len(repeats) == len(tensor.shape)
         and all(0 < count <= MAX_SIZE for count in repeats), "wrong repeats")
    need_size([side * count for side, count in zip(tensor.shape, repeats, strict=True)])
    for axis, count in enumerate(repeats):
        positions = list(range(tensor.shape[axis])) * count
        if count > 1 and positions:
            tensor = along(axis, [(tensor, position) for position in positions])
    need(0 not in tensor.shape or all(count == 1 for count in repeats), "an empty axis")
    return tensor


def image_sides(call: OperatorCall) -> tuple[int, int, int, int, int]:
    """Batch, channels, height, width, and the side of a block."""
    shape, block = call.tensor().shape, call.attributes.integer("blocksize", 0)
    need(len(shape) == 4 and 0 < block < MAX_SIZE, "no images, or no blocks")
    batch, channels, height, width = shape
    return batch, channels, height, width, block


def depth_to_space(call: OperatorCall) -> SymbolicTensor:
    """Channels to blocks of pixels.

    ONNX: the input as (batch, block, block, rest, height, width) in mode DCR, as (batch, rest,
    block, block, height, width) in mode CRD, the blocks then put behind height and width.
    """
    batch, channels, height, width, block = image_sides(call)
    mode = call.attributes.text("mode", "DCR")
    need(mode in ("DCR", "CRD") and channels % block**2 == 0, "a wrong mode or number of channels")
    rest = channels // block**2
    if mode == "DCR":
        parts, order = (batch, block, block, rest, height, width), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (batch, rest, block, block, height, width), (0, 1, 4, 2, 5, 3)
    moved = transposed(call.tensor().shaped(parts), order)
    return moved.shaped((batch, rest, height * block, width * block))


def space_to_depth(call: OperatorCall) -> SymbolicTensor:
    """Blocks of pixels to channels: the contrary of DepthToSpace in mode DCR."""
    batch, channels, height, width, block = image_sides(call)
    need(height % block == 0 and width % block == 0, "blocks that do not fit")
    parts = (batch, channels, height // block, block, width // block, block)
    moved = transposed(call.tensor().shaped(parts), (0, 3, 5, 1, 2, 4))
    return moved.shaped((batch, channels * block**2, height // block, width // block))


def flat_places(
    index: SymbolicTensor, axis: int, shape: Sequence[int], inside: bool
) -> list[int]:
    """For every element of an index, its own place in a tensor of this shape, but along the axis
    where the index says; those below 0 count from the end.

    `inside`: all other axes of the index are at most as long as the tensor's.
    """
    need(len(index.shape) == len(shape) and inside, "an index of another shape")
    numbers, side = index.whole_numbers(), shape[axis]
    need(all(-side <= number < side for number in numbers), "an index is out of range")
    strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    found = []
    for position, number in zip(product(*map(range, index.shape)), numbers, strict=True):
        places = [number % side if k == axis else p for k, p in enumerate(position)]
        found.append(sum(p * stride for p, stride in zip(places, strides, strict=True)))
    return found


def fits(index: SymbolicTensor, axis: int, shape: Sequence[int]) -> bool:
    """Whether an index is at most as long as a shape, off one axis."""
    return len(index.shape) == len(shape) and all(
        one <= side for k, (one, side) in enumerate(zip(index.shape, shape, strict=True))
        if k != axis)


def gather_elements(call: OperatorCall) -> SymbolicTensor:
    """Every element of the index picks one of the input: result[i, j] = input[index[i, j], j]."""
    tensor, index = call.tensor(0), call.tensor(1)
    axis = call.axis(call.attributes.integer("axis", 0))
    places = flat_places(index, axis, tensor.shape, fits(index, axis, tensor.shape))
    return SymbolicTensor(call.graph, index.shape, tensor.elements.picked(places))


def scattered(
    call: OperatorCall, places: Sequence[int], updates: SymbolicTensor
) -> SymbolicTensor:
    """The first input with updates put or added at places.

    Sound: of two values put in one place readers keep either; refused. Sums do not depend on their
    order.
    """
    tensor, reduction = call.tensor(0), call.attributes.text("reduction", "none")
    need(reduction in ("none", "add"), "unsupported reduction")
    need(reduction == "add" or len(set(places)) == len(places), "two values in one place")
    forms: list[Form] = list(tensor.items)
    for place, update in zip(places, updates.items, strict=True):
        forms[place] = update if reduction == "none" else total([(forms[place], 1), (update, 1)])
    return SymbolicTensor(call.graph, tensor.shape, forms)


def scatter_elements(call: OperatorCall) -> SymbolicTensor:
    """Updates at their own places, but along the axis where the index says."""
    tensor, index, updates = call.tensor(0), call.tensor(1), call.tensor(2)
    axis = call.axis(call.attributes.integer("axis", 0))
    need(index.shape == updates.shape, "updates of another shape")
    places = flat_places(index, axis, tensor.shape, fits(index, axis, tensor.shape))
    return scattered(call, places, updates)


def scatter_nd(call: OperatorCall) -> SymbolicTensor:
    """Slices of updates at places that the last axis of the index names.

    ONNX: the last axis of the index holds the first coordinates of a slice of the input; updates
    have the other axes of the index, then those of a slice. Coordinates below 0 count from the
    end.
    """
    tensor, index, updates = call.tensor(0), call.tensor(1), call.tensor(2)
    need(index.shape, "an index of no axes")
    depth, shape = index.shape[-1], tensor.shape
    need(0 < depth <= len(shape), "an index of too many coordinates")
    need(updates.shape == (*index.shape[:-1], *shape[depth:]), "updates of another shape")
    width, numbers = math.prod(shape[depth:]), index.whole_numbers()
    places = list[int]()
    for start in range(0, len(numbers), depth):
        at = 0
        for number, side in zip(numbers[start : start + depth], shape[:depth], strict=True):
            need(-side <= number < side, "an index is out of range")
            at = at * side + number % side
        places += range(at * width, (at + 1) * width)
    return scattered(call, places, updates)


_REDUCTION = AttributeSlot("reduction", TEXT, since=16)
_AXIS = AttributeSlot("axis", INTEGER)
_BLOCKS = AttributeSlot("blocksize", INTEGER)

OPERATORS = {
    "Expand": Operator(expand, Signature(inputs=(ANY_INPUT, INT64_INPUT), since=8)),
    "Tile": Operator(tile, Signature(inputs=(ANY_INPUT, INT64_INPUT))),
    "DepthToSpace": Operator(depth_to_space, Signature(
        inputs=(ANY_INPUT,), attributes=(_BLOCKS, AttributeSlot("mode", TEXT, since=11)))),
    "SpaceToDepth": Operator(space_to_depth, Signature(
        inputs=(ANY_INPUT,), attributes=(_BLOCKS,))),
    "GatherElements": Operator(gather_elements, Signature(
        inputs=(ANY_INPUT, INDEX_INPUT), attributes=(_AXIS,), since=11)),
    "ScatterElements": Operator(scatter_elements, Signature(
        inputs=(FLOAT_INPUT, INDEX_INPUT, FLOAT_INPUT), attributes=(_AXIS, _REDUCTION),
        since=11)),
    "ScatterND": Operator(scatter_nd, Signature(
        inputs=(FLOAT_INPUT, INT64_INPUT, FLOAT_INPUT), attributes=(_REDUCTION,), since=11)),
}
