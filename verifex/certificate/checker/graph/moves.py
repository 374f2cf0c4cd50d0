"""Tensors whose elements are those of others, in other places."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..failures import need
from .forms import ZERO, Form
from .symbolic import SymbolicTensor, need_size, places

NOTHING = -1
"""A position that is not there: its slice is zeros."""

Slice = tuple[SymbolicTensor, int]
"""A tensor and a position along the axis in question."""


def along(axis: int, slices: Sequence[Slice]) -> SymbolicTensor:
    """Slices of tensors, each at a position of the axis, one after the other along it.

    All tensors have the same other sides. A position below 0 gives a slice of zeros.
    """
    sides = {(tensor.shape[:axis], tensor.shape[axis + 1 :]) for tensor, _ in slices}
    need(len(sides) == 1, "shapes that do not fit along an axis")
    need(all(position < tensor.shape[axis] for tensor, position in slices),
         "an index is out of range")
    ((lead, tail),) = sides
    shape, first = (*lead, len(slices), *tail), slices[0][0]
    need_size(shape)
    sources = sources_of(math.prod(lead), math.prod(tail), axis, slices)
    if all(tensor is first and position >= 0 for tensor, position in slices):
        picked = first.elements.picked([place for _, place in sources])
        return SymbolicTensor(first.graph, shape, picked)
    zero: Form = ({}, ZERO)
    forms = [tensor.items[place] if place >= 0 else zero for tensor, place in sources]
    return SymbolicTensor(first.graph, shape, forms)


def sources_of(
    blocks: int, width: int, axis: int, slices: Sequence[Slice]
) -> Iterator[Slice]:
    """For every element in C order, the tensor and the place in it that it comes from.

    An index before the axis is a block, and an index behind it a place in a run of this width.
    """
    for block in range(blocks):
        for tensor, position in slices:
            start = (block * tensor.shape[axis] + position) * width
            for offset in range(width):
                yield tensor, start + offset if position >= 0 else NOTHING


def transposed(tensor: SymbolicTensor, axes: Sequence[int]) -> SymbolicTensor:
    """The tensor with its axes in another order: axis k of the result is axis `axes[k]` of it."""
    need(len(axes) == len(tensor.shape), "a transposition of other axes")
    shape = [tensor.shape[axis] for axis in axes]
    origins = places(shape, [tensor.strides[axis] for axis in axes])
    return SymbolicTensor(tensor.graph, shape, tensor.elements.picked(origins))
