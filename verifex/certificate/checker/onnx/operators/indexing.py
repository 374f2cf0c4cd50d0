"""Operators that pick, join and cut: Concat, Slice, Split, Gather, Pad.

Nothing is computed: each element of the result is one of the inputs', or a 0 of padding.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise

from ...failures import MAX_SIZE, Bad, need
from ...graph.forms import ZERO
from ...graph.moves import NOTHING, along
from ...graph.symbolic import SymbolicTensor, combine, constants
from ..operator_call import Operator, OperatorCall, axes_of
from ..signatures import (
    ANY_INPUT,
    FLOAT_INPUT,
    INDEX_INPUT,
    INT64_INPUT,
    INTEGER,
    INTEGER_LIST,
    REAL,
    TEXT,
    AttributeSlot,
    Signature,
)


def concat(call: OperatorCall) -> SymbolicTensor:
    """The inputs one after the other along an axis, which has to be given."""
    tensors = call.tensors()
    need(call.attributes.has("axis") and len({len(one.shape) for one in tensors}) == 1,
         "a wrong Concat")
    axis = call.axis(call.attributes.integer("axis", 0))
    return along(axis, [(one, position) for one in tensors for position in range(one.shape[axis])])


def slice_(call: OperatorCall) -> SymbolicTensor:
    """Along each axis the positions from a start until an end, by steps.

    ONNX: as Python's slices, starts and ends being cut down to the axis. Sound: of a step backwards
    that starts before its axis or ends behind it, readers make different things; it is refused.
    """
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        raise Bad("a Slice without starts or ends")
    given_axes, given_steps = call.integers("axes", 3), call.integers("steps", 4)
    axes = call.axes(range(len(starts)) if given_axes is None else given_axes)
    steps = [1] * len(starts) if given_steps is None else given_steps
    tensor = call.tensor()
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        side = tensor.shape[axis]
        need(step > 0 or (step < 0 and -side <= start and end < side),
             "unsupported Slice backwards from or to beyond its axis")
        tensor = positions_of(tensor, axis, list(range(side)[start:end:step]))
    return tensor


def positions_of(tensor: SymbolicTensor, axis: int, positions: list[int]) -> SymbolicTensor:
    """The slices at these positions of an axis, of which there may be none."""
    if positions:
        return along(axis, [(tensor, position) for position in positions])
    return constants(tensor.graph, (*tensor.shape[:axis], 0, *tensor.shape[axis + 1 :]), [])


def split(call: OperatorCall) -> list[SymbolicTensor]:
    """Parts of an axis, one after the other: of given lengths, or equal ones.

    ONNX: from operator set 18 on the last of otherwise equal parts may be shorter. Sound: before,
    readers differ on unequal parts that nobody gives; they are refused.
    """
    tensor, count = call.tensor(), call.output_count
    axis = call.axis(call.attributes.integer("axis", 0))
    side, given = tensor.shape[axis], call.integers("split", 1)
    need(given is None or not call.attributes.has("num_outputs"),
         "a Split with split and num_outputs")
    need(call.attributes.integer("num_outputs", count) == count, "a Split of other outputs")
    each = -(-side // count)
    shorter_last = call.opset >= 18 and each * (count - 1) < side
    need(given or side % count == 0 or shorter_last, "a Split into unequal parts")
    lengths = given or [min(each, side - each * part) for part in range(count)]
    ends = [0, *accumulate(lengths)]
    need(len(ends) == count + 1 and ends[-1] == side and ends == sorted(ends),
         "a Split into other parts than there are")
    return [along(axis, [(tensor, position) for position in range(start, end)])
            for start, end in pairwise(ends)]


def gather(call: OperatorCall) -> SymbolicTensor:
    """Slices of the first input at constant positions of an axis, in the shape of the positions;
    those below 0 count from the end.
    """
    tensor, index = call.tensor(0), call.tensor(1)
    axis = call.axis(call.attributes.integer("axis", 0))
    side, positions = tensor.shape[axis], index.whole_numbers()
    need(all(-side <= position < side for position in positions), "an index is out of range")
    shape = (*tensor.shape[:axis], *index.shape, *tensor.shape[axis + 1 :])
    if not positions:
        return constants(call.graph, shape, [])
    return positions_of(tensor, axis, [position % side for position in positions]).shaped(shape)


def pad(call: OperatorCall) -> SymbolicTensor:
    """A constant before and behind each axis, or elements of it; negative pads cut elements away.

    ONNX: `constant` puts a number (0 if none is given), `edge` repeats the last element, `reflect`
    counts back from it, `wrap` goes on at the other end.
    Sound: refused are negative pads but in `constant`, reflections longer than the axis, and pads
    that cut away more than an axis has, for readers make different things of what one pad cuts and
    the other adds.
    """
    tensor, pads, fill = call.tensor(), call.integers("pads", 1), call.optional(2)
    named = call.optional(3)
    rank = len(tensor.shape)
    axes = axes_of(range(rank) if named is None else named.whole_numbers(), rank)
    value = [call.attributes.real("value", ZERO)] if fill is None else fill.constants()
    if pads is None or len(pads) != 2 * len(axes):
        raise Bad("a wrong number of pads")
    need(len(value) == 1 and (fill is None or fill.kind == tensor.kind), "a wrong value")
    mode = call.attributes.text("mode", "constant")
    need(mode == "constant" or min(pads, default=0) >= 0, "unsupported negative pads")
    need(mode != "wrap" or call.opset >= 19, "unsupported mode")
    if mode == "constant" and value != [0]:
        return filled_around(tensor, axes, pads, value[0])
    return padded(tensor, axes, pads, mode)


def filled_around(
    tensor: SymbolicTensor, axes: list[int], pads: list[int], value: Fraction
) -> SymbolicTensor:
    """Zeros around the tensor, plus the value times what is 1 there and 0 inside."""
    ones = constants(tensor.graph, tensor.shape, [1] * tensor.size)
    inside = padded(ones, axes, pads, "constant")
    around = padded(tensor, axes, pads, "constant")
    outside = constants(tensor.graph, (), [value])
    return combine((around, 1), (outside, 1), (inside, -value))


def padded(
    tensor: SymbolicTensor, axes: list[int], pads: list[int], mode: str
) -> SymbolicTensor:
    """Axis after axis, with zeros in mode `constant`."""
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        side = tensor.shape[axis]
        need(max(before, after) < MAX_SIZE and side + min(before, 0) + min(after, 0) >= 0,
             "a wrong pad")
        need(mode != "reflect" or max(before, after) < side, "a reflection beyond the axis")
        positions = [pad_place(mode, position, side)
                     for position in range(-before, side + after)]
        tensor = positions_of(tensor, axis, positions)
    return tensor


def pad_place(mode: str, position: int, side: int) -> int:
    """Which place of an axis stands at a position that counts from its begin."""
    if 0 <= position < side:
        return position
    if mode == "constant":
        return NOTHING
    need(side > 0 and mode in ("edge", "reflect", "wrap"), "a wrong mode")
    if mode == "wrap":
        return position % side
    if mode == "edge":
        return 0 if position < 0 else side - 1
    return -position if position < 0 else 2 * (side - 1) - position


_AXIS = AttributeSlot("axis", INTEGER)

OPERATORS = {
    "Concat": Operator(concat, Signature(inputs=(ANY_INPUT.many(),), attributes=(_AXIS,))),
    "Gather": Operator(gather, Signature(inputs=(ANY_INPUT, INDEX_INPUT), attributes=(_AXIS,))),
    "Slice": Operator(slice_, Signature(
        inputs=(ANY_INPUT, INDEX_INPUT.during(since=10), INDEX_INPUT.during(since=10),
                INDEX_INPUT.optionally().during(since=10),
                INDEX_INPUT.optionally().during(since=10)),
        attributes=(AttributeSlot("axes", INTEGER_LIST, until=9),
                    AttributeSlot("ends", INTEGER_LIST, until=9),
                    AttributeSlot("starts", INTEGER_LIST, until=9)))),
    "Split": Operator(split, Signature(
        inputs=(ANY_INPUT, INT64_INPUT.optionally().during(since=13)),
        attributes=(_AXIS, AttributeSlot("split", INTEGER_LIST, until=12),
                    AttributeSlot("num_outputs", INTEGER, since=18)))),
    "Pad": Operator(pad, Signature(
        inputs=(FLOAT_INPUT.during(until=12), ANY_INPUT.during(since=13),
                INT64_INPUT.during(since=11), FLOAT_INPUT.optionally().during(11, 12),
                ANY_INPUT.optionally().during(since=13),
                INT64_INPUT.optionally().during(since=18)),
        attributes=(AttributeSlot("mode", TEXT), AttributeSlot("pads", INTEGER_LIST, until=10),
                    AttributeSlot("value", REAL, until=10)))),
}
