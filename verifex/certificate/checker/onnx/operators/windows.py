"""Means and maxima over windows and over axes: pools, global pools and reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import zip_longest

from ...failures import Bad, need
from ...graph.moves import NOTHING, along
from ...graph.symbolic import SymbolicTensor, combine, constants
from ..operator_call import Operator, OperatorCall
from ..signatures import (
    FLOAT_INPUT,
    INT64_INPUT,
    INTEGER,
    INTEGER_LIST,
    TEXT,
    AttributeSlot,
    Signature,
)
from .window_places import PADDING, windows_of

Window = Sequence[int]
"""Positions along an axis that are joined into one."""

Joining = Callable[[SymbolicTensor, int, Sequence[Window]], SymbolicTensor]
"""Joins the windows of positions along an axis of a tensor."""


def mean_along(tensor: SymbolicTensor, axis: int, windows: Sequence[Window]) -> SymbolicTensor:
    """Means over windows of positions along an axis; padding is not counted."""
    inside = [[position for position in window if position >= 0] for window in windows]
    return averaged(tensor, axis, inside)


def padded_mean_along(
    tensor: SymbolicTensor, axis: int, windows: Sequence[Window]
) -> SymbolicTensor:
    """Means over windows, where padding counts as zeros; what lies behind it does not count."""
    inside = [[position for position in window if position >= 0 or position == PADDING]
              for window in windows]
    return averaged(tensor, axis, inside)


def averaged(tensor: SymbolicTensor, axis: int, windows: list[list[int]]) -> SymbolicTensor:
    """Exact means of the slices at the positions of each window, zeros at a position below 0."""
    means = []
    for window in windows:
        share = Fraction(1, len(window))
        slices = [(along(axis, [(tensor, position)]), share) for position in window]
        means.append((combine(*slices), 0))
    return along(axis, means)


def max_along(tensor: SymbolicTensor, axis: int, windows: Sequence[Window]) -> SymbolicTensor:
    """Maxima over windows of positions along an axis; padding is nothing.

    In every round positions 0 and 1, 2 and 3, ... of each window are joined, by
    max(a, b) = b + relu(a - b), a last one alone is kept. One relaxed node R serves all distinct
    pairs of a round, in the order in which they appear. Sound: the maximum of a window is that of
    its pairs' maxima, whatever the pairs are.
    """
    left = [[position for position in window if position >= 0] for window in windows]
    while any(len(window) > 1 for window in left):
        rounds = [pairs_of(window) for window in left]
        distinct = dict.fromkeys(pair for pairs in rounds for pair in pairs)
        slot_of = {pair: slot for slot, pair in enumerate(distinct)}
        tensor = joined_pairs(tensor, axis, list(distinct))
        left = [[slot_of[pair] for pair in pairs] for pairs in rounds]
    return along(axis, [(tensor, window[0]) for window in left])


def pairs_of(window: list[int]) -> list[tuple[int, int]]:
    """Neighbours of a window in pairs; a last one is paired with NOTHING."""
    return list(zip_longest(window[::2], window[1::2], fillvalue=NOTHING))


def joined_pairs(
    tensor: SymbolicTensor, axis: int, slots: list[tuple[int, int]]
) -> SymbolicTensor:
    """The maximum of each pair of positions along an axis, a position alone as it is."""
    pairs = [slot for slot in slots if slot[1] != NOTHING]
    number_of = {pair: number for number, pair in enumerate(pairs)}
    first = along(axis, [(tensor, one) for one, _ in pairs])
    second = along(axis, [(tensor, other) for _, other in pairs])
    base = along(axis, [(tensor, one if other == NOTHING else other) for one, other in slots])
    excess = (first - second).relu()
    return base + along(axis, [(excess, number_of.get(slot, NOTHING)) for slot in slots])


def over_axes(
    tensor: SymbolicTensor, axes: Sequence[Sequence[Window]], join: Joining
) -> SymbolicTensor:
    """Windows along all spatial axes, joined along the last axis first.

    Sound: the places of a window that count are all combinations of those that count along each
    axis. So a mean (maximum) over them is the mean (maximum) of those along the last axis.
    """
    for axis in range(len(axes) - 1, -1, -1):
        tensor = join(tensor, 2 + axis, axes[axis])
    return tensor


def pool(call: OperatorCall, join: Joining) -> SymbolicTensor:
    """Windows of `kernel_shape`, which has to be given."""
    tensor = call.tensor().solid()
    kernel = call.attributes.integers("kernel_shape")
    if len(tensor.shape) < 3 or kernel is None:
        raise Bad("no windows")
    return over_axes(tensor, windows_of(call, kernel), join)


def max_pool(call: OperatorCall) -> SymbolicTensor:
    """The maximum of every window; padding counts as nothing."""
    call.attributes.ignore("storage_order")  # of the second result, which is refused
    return pool(call, max_along)


def average_pool(call: OperatorCall) -> SymbolicTensor:
    """The mean of every window, of the padding too if count_include_pad says so."""
    counts_padding = call.attributes.flag("count_include_pad")
    return pool(call, padded_mean_along if counts_padding else mean_along)


def global_pool(join: Joining) -> Callable[[OperatorCall], SymbolicTensor]:
    """One window over each spatial axis."""

    def rule(call: OperatorCall) -> SymbolicTensor:
        tensor = call.tensor().solid()
        need(len(tensor.shape) > 2, "no windows")
        return over_axes(tensor, [[range(side)] for side in tensor.shape[2:]], join)

    return rule


def reduced_axes(call: OperatorCall) -> list[int]:
    """The axes of a reduction; left out they are all, or none with noop_with_empty_axes.

    Sound: of an attribute that is an empty list some readers make all axes, some none: refused.
    """
    noop = call.attributes.flag("noop_with_empty_axes")
    given = call.integers("axes", 1)
    need(given or not call.attributes.has("axes"), "unsupported empty list of axes")
    if given:
        return sorted(call.axes(given), reverse=True)
    return [] if noop else list(range(len(call.tensor().shape)))[::-1]


def reduced(
    call: OperatorCall, join: Callable[[SymbolicTensor, int], SymbolicTensor],
    of: SymbolicTensor | None = None,
) -> SymbolicTensor:
    """An axis after the other, the last first; `keepdims` leaves sides of 1 in their places.

    What is reduced is the first input, or what was made `of` it.
    """
    tensor, axes = (call.tensor() if of is None else of).solid(), reduced_axes(call)
    keep = call.attributes.flag("keepdims", True)
    for axis in axes:
        tensor = join(tensor, axis)
    return tensor.shaped(
        [side for axis, side in enumerate(tensor.shape) if keep or axis not in axes])


def max_over(tensor: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The maximum over an axis, which becomes one of 1."""
    return max_along(tensor, axis, [range(tensor.shape[axis])])


def mean_over(tensor: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The mean over an axis, which becomes one of 1."""
    return mean_along(tensor, axis, [range(tensor.shape[axis])])


def sum_over(tensor: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The sum over an axis, which becomes one of 1: the mean times the side."""
    return mean_over(tensor, axis) * constants(tensor.graph, (), [tensor.shape[axis]])


def min_over(tensor: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The minimum over an axis, which becomes one of 1: -max(-x)."""
    return combine((max_over(combine((tensor, -1)), axis), -1))


def reduced_size(call: OperatorCall) -> SymbolicTensor:
    """Sums of |x|, at least over one axis: readers differ on the sign that is left of none."""
    need(reduced_axes(call), "unsupported reduction over no axes")
    alone = call.tensor().solid().absolute()
    return reduced(call, sum_over, alone)


def channels(tensor: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The sum over an axis, which goes, as elements of one node."""
    found = sum_over(tensor, axis)
    return found.shaped((*tensor.shape[:axis], *tensor.shape[axis + 1 :])).solid()


_WINDOWS = (AttributeSlot("auto_pad", TEXT), AttributeSlot("ceil_mode", INTEGER, since=10),
            AttributeSlot("kernel_shape", INTEGER_LIST), AttributeSlot("pads", INTEGER_LIST),
            AttributeSlot("strides", INTEGER_LIST))
_ONE = Signature(inputs=(FLOAT_INPUT,), bfloat16=22)


def _reduction(axes_are_input_since: int) -> Signature:
    """The signature of a reduction, whose axes are an attribute before that operator set."""
    since = axes_are_input_since
    return Signature(
        inputs=(FLOAT_INPUT, INT64_INPUT.optionally().during(since=since)),
        attributes=(AttributeSlot("axes", INTEGER_LIST, until=since - 1),
                    AttributeSlot("keepdims", INTEGER),
                    AttributeSlot("noop_with_empty_axes", INTEGER, since=since)))


OPERATORS = {
    "AveragePool": Operator(average_pool, Signature(inputs=(FLOAT_INPUT,), attributes=(
        *_WINDOWS, AttributeSlot("count_include_pad", INTEGER),
        AttributeSlot("dilations", INTEGER_LIST, since=19)), bfloat16=22)),
    "MaxPool": Operator(max_pool, Signature(inputs=(FLOAT_INPUT,), attributes=(
        *_WINDOWS, AttributeSlot("dilations", INTEGER_LIST, since=10),
        AttributeSlot("storage_order", INTEGER, since=8)), bfloat16=22)),
    "GlobalAveragePool": Operator(global_pool(mean_along), _ONE),
    "GlobalMaxPool": Operator(global_pool(max_along), _ONE),
    "ReduceMax": Operator(lambda call: reduced(call, max_over), _reduction(18)),
    "ReduceL1": Operator(reduced_size, _reduction(18)),
    "ReduceMin": Operator(lambda call: reduced(call, min_over), _reduction(18)),
    "ReduceMean": Operator(lambda call: reduced(call, mean_over), _reduction(18)),
    "ReduceSum": Operator(lambda call: reduced(call, sum_over), _reduction(13)),
}
