"""Resize and Upsample: nearest and linear, along one axis after the other.

ONNX: element k of the new axis lies at a place of the old one, which the coordinate mode says.
`nearest` takes the element at that place, rounded; `linear` the two around it, weighted by how
near they are. Places are fractions here, so that no weight is rounded; places beyond the ends are
drawn back to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from ...failures import Bad, need
from ...graph.element_types import FLOAT32
from ...graph.moves import along
from ...graph.symbolic import SymbolicTensor, combine, constants, need_size
from ..operator_call import Operator, OperatorCall
from ..signatures import (
    FLOAT_INPUT,
    FLOAT_INPUT_1,
    FLOAT_INPUT_2,
    INT64_INPUT,
    INTEGER,
    INTEGER_LIST,
    REAL,
    REAL_LIST,
    TEXT,
    AttributeSlot,
    InputSlot,
    Signature,
)

HALF = Fraction(1, 2)

ROUNDED: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda place: math.ceil(place - HALF),
    "round_prefer_ceil": lambda place: math.floor(place + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}


def old_place(mode: str, number: int, old: int, new: int, factor: Fraction) -> Fraction:
    """Where, on the old axis, an element of the new one lies.

    Sound: readers differ on align_corners where the factor leaves a part over, and on
    pytorch_half_pixel for one element: refused.
    """
    if mode == "asymmetric":
        return Fraction(number, factor)
    if mode == "align_corners":
        need(old * factor == new, "unsupported align_corners by a factor that leaves a part over")
        return Fraction(number * (old - 1), new - 1) if new > 1 else Fraction(0)
    need(mode in ("half_pixel", "pytorch_half_pixel"), "unsupported coordinate mode")
    need(mode == "half_pixel" or new > 1 or old == 1, "unsupported pytorch_half_pixel to one")
    return Fraction(number + HALF, factor) - HALF


def taken(tensor: SymbolicTensor, axis: int, positions: Sequence[int]) -> SymbolicTensor:
    """The slices at positions of an axis."""
    return along(axis, [(tensor, position) for position in positions])


def interpolated(
    tensor: SymbolicTensor, axis: int, places: Sequence[Fraction]
) -> SymbolicTensor:
    """(1 - t) * element at the floor of a place + t * the next one."""
    top = tensor.shape[axis] - 1
    left = [math.floor(place) for place in places]
    shares = [place - position for place, position in zip(places, left, strict=True)]
    by_axis = [len(places) if k == axis else 1 for k in range(len(tensor.shape))]
    share = constants(tensor.graph, by_axis, shares)
    rest = constants(tensor.graph, by_axis, [1 - one for one in shares])
    near = taken(tensor, axis, left) * rest
    far = taken(tensor, axis, [min(position + 1, top) for position in left]) * share
    return combine((near, 1), (far, 1))


def resize(call: OperatorCall) -> SymbolicTensor:
    """Sizes or factors have to be constant; cubic modes, antialias and cropping are refused."""
    attributes, old_sets = call.attributes, call.opset < 11
    mode = attributes.text("mode", "nearest")
    need(mode in ("nearest", "linear"), "unsupported mode")
    place = "asymmetric" if old_sets else attributes.text(
        "coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old_sets else attributes.text("nearest_mode", "round_prefer_floor")
    need(not attributes.flag("antialias"), "unsupported antialias")
    need(attributes.text("keep_aspect_ratio_policy", "stretch") == "stretch",
         "unsupported aspect ratio policy")
    # Read by other modes only.
    attributes.ignore("extrapolation_value", "cubic_coeff_a", "exclude_outside")
    need(rounding in ROUNDED, "unsupported nearest_mode")
    tensor = call.tensor().solid()
    sizes, factors = targets(call)
    need_size(sizes)
    for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True)):
        side = tensor.shape[axis]
        if size == side and factor == 1:
            continue
        need(side > 0 and size > 0, "an empty axis")
        places = [old_place(place, k, side, size, factor) for k in range(size)]
        if mode == "nearest":
            positions = [min(max(ROUNDED[rounding](one), 0), side - 1) for one in places]
            tensor = taken(tensor, axis, positions)
        else:
            ends = Fraction(0), Fraction(side - 1)
            tensor = interpolated(
                tensor, axis, [min(max(one, ends[0]), ends[1]) for one in places])
    return tensor


def targets(call: OperatorCall) -> tuple[list[int], list[Fraction]]:
    """New sides and factors, one an axis of the input; sizes or factors may name some axes."""
    sides = list(call.tensor().shape)
    given = call.attributes.integers("axes")
    axes = call.axes(range(len(sides)) if given is None else given)
    wanted = call.optional(3) if call.opset >= 11 else None
    if wanted is not None:
        numbers, scales = wanted.whole_numbers(), call.optional(2)
        need(scales is None or scales.size == 0, "both factors and sizes")
        need(len(numbers) == len(axes) and min(numbers, default=1) > 0, "wrong sizes")
        new = list(sides)
        for axis, number in zip(axes, numbers, strict=True):
            new[axis] = number
        return new, [Fraction(one, max(side, 1)) for one, side in zip(new, sides, strict=True)]
    raw = factors_of(call)
    need(len(raw) == len(axes) and all(factor > 0 for factor in raw), "wrong factors")
    factors = [Fraction(1)] * len(sides)
    for axis, factor in zip(axes, raw, strict=True):
        factors[axis] = factor
    return [math.floor(side * one) for side, one in zip(sides, factors, strict=True)], factors


def factors_of(call: OperatorCall) -> Sequence[Fraction]:
    """The factors: an attribute before operator set 9, then a constant input."""
    if call.opset < 9:
        return call.attributes.reals("scales")
    scales = call.optional(1 if call.opset < 11 else 2)
    if scales is None:
        raise Bad("neither factors nor sizes")
    return scales.constants()


_SCALES = InputSlot((FLOAT32,), "float32")

OPERATORS = {
    "Resize": Operator(resize, Signature(
        inputs=(FLOAT_INPUT.during(until=10), FLOAT_INPUT_1.during(since=11),
                _SCALES.during(until=10),
                FLOAT_INPUT_2.during(11, 12), FLOAT_INPUT_2.optionally().during(since=13),
                _SCALES.during(11, 12), _SCALES.optionally().during(since=13),
                INT64_INPUT.optionally().during(since=11)),
        attributes=(AttributeSlot("mode", TEXT),
                    AttributeSlot("coordinate_transformation_mode", TEXT, since=11),
                    AttributeSlot("nearest_mode", TEXT, since=11),
                    AttributeSlot("extrapolation_value", REAL, since=11),
                    AttributeSlot("cubic_coeff_a", REAL, since=11),
                    AttributeSlot("exclude_outside", INTEGER, since=11),
                    AttributeSlot("antialias", INTEGER, since=18),
                    AttributeSlot("axes", INTEGER_LIST, since=18),
                    AttributeSlot("keep_aspect_ratio_policy", TEXT, since=18)),
        since=10, bfloat16=24)),
    "Upsample": Operator(resize, Signature(
        inputs=(FLOAT_INPUT, _SCALES.during(since=9)),
        attributes=(AttributeSlot("mode", TEXT), AttributeSlot("scales", REAL_LIST, until=8)),
        until=9, bfloat16=24)),
}
