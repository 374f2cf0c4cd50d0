"""Resize and Upsample with constant factors: nearest and linear, as exact linear maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule, normal_axes
from verifex.ir.exact import ExactArray, as_exact

MODES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


def resize(call: Call) -> Result:
    """Each axis in turn; positions are rational, so no interpolation weight is rounded."""
    mode = call.str_("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise UnsupportedError(f"Resize with mode '{mode}'", expected="nearest or linear")
    place = "asymmetric" if call.opset < 11 else call.str_(
        "coordinate_transformation_mode", "half_pixel")
    if place not in MODES:
        raise UnsupportedError(f"Resize with coordinate mode '{place}'",
                               expected=", ".join(MODES))
    rounding = "floor" if call.opset < 11 else call.str_("nearest_mode", "round_prefer_floor")
    if call.opset >= 18 and call.flag("antialias", False):
        raise UnsupportedError("Resize with antialias", expected="no antialias")
    if call.opset >= 11:
        call.float_("extrapolation_value", 0.0)  # read by tf_crop_and_resize only
        call.float_("cubic_coeff_a", -0.75)
        call.int_("exclude_outside", 0)
    sizes, scales = _targets(call)
    call.low.limits.shape(sizes)
    x = call.node(0)
    for axis, (size, factor) in enumerate(zip(sizes, scales, strict=True)):
        old = call.low.shape(x)[axis]
        if size == old and factor == 1:
            continue
        if old == 0 or size == 0:
            raise InputError("Resize of an empty axis", expected="at least one element")
        spots = [_source(place, k, old, size, factor) for k in range(size)]
        if mode == "nearest":
            near = [min(max(_round(rounding, s), 0), old - 1) for s in spots]
            x = call.low.move_node(x, _taker(near, axis))
        else:
            x = _interpolate(call, x, axis, [min(max(s, Fraction(0)), Fraction(old - 1))
                                          for s in spots])
    return x


def _taker(places: list[int], axis: int) -> Any:
    return lambda a: np.take(a, places, axis)


def _interpolate(call: Call, node: int, axis: int, spots: list[Fraction]) -> int:
    """`(1 - t) * node[floor] + t * node[floor + 1]` along an axis."""
    low = call.low
    top = low.shape(node)[axis] - 1
    left = [math.floor(s) for s in spots]
    right = [min(k + 1, top) for k in left]
    # Exact fractions: the rounding of a runtime's weights is not part of the network.
    weight = [s - k for s, k in zip(spots, left, strict=True)]
    rank = len(low.shape(node))
    along = tuple(-1 if k == axis else 1 for k in range(rank))
    share = ExactArray.from_numbers(weight).reshape(along)
    rest = ExactArray.from_numbers([1 - w for w in weight]).reshape(along)
    first = low.times(low.move_node(node, _taker(left, axis)), rest)
    second = low.times(low.move_node(node, _taker(right, axis)), share)
    return low.combine([(first, 1), (second, 1)])


def _source(place: str, index: int, old: int, new: int, factor: Fraction) -> Fraction:
    """Where, in the old axis, element `index` of the new one lies."""
    if place == "asymmetric":
        return Fraction(index) / factor
    if place == "align_corners":
        if old * factor != new:  # whether the new length is rounded differs between readers
            raise UnsupportedError("Resize with align_corners by a factor that leaves a part over",
                                   expected="a whole new length")
        return Fraction(index * (old - 1), new - 1) if new > 1 else Fraction(0)
    if place == "pytorch_half_pixel" and new == 1 and old > 1:  # the reference has no such case
        raise UnsupportedError("Resize with pytorch_half_pixel to one element",
                               expected="another coordinate mode")
    return (index + Fraction(1, 2)) / factor - Fraction(1, 2)


def _round(rounding: str, value: Fraction) -> int:
    half = Fraction(1, 2)
    if rounding == "round_prefer_floor":
        return math.ceil(value - half)
    if rounding == "round_prefer_ceil":
        return math.floor(value + half)
    if rounding == "floor":
        return math.floor(value)
    if rounding == "ceil":
        return math.ceil(value)
    raise UnsupportedError(f"Resize with nearest_mode '{rounding}'", expected="a standard one")


def _targets(call: Call) -> tuple[list[int], list[Fraction]]:
    """New sizes and scale factors, one an axis of the data."""
    shape = call.shape(0)
    rank = len(shape)
    axes = list(range(rank))
    if call.opset >= 18:
        given = call.ints_("axes")
        axes = axes if given is None else normal_axes(given, rank)
        if call.str_("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnsupportedError("Resize with an aspect ratio policy", expected="stretch")
    position = 1 if call.opset < 11 else 2
    if call.op == "Upsample" and call.opset < 9:
        raw = [Fraction(s) for s in call.floats_("scales") or []]
        return _by_scales(call, shape, axes, raw)
    if call.opset >= 11 and call.has(3):
        wanted = call.ints(3)
        if len(wanted) != len(axes) or any(n < 1 for n in wanted):
            raise InputError(f"Resize to {wanted}", expected=f"{len(axes)} positive sizes")
        if call.has(2) and 0 not in call.shape(2):
            raise InputError("Resize with both scales and sizes", expected="one of them")
        sizes = list(shape)
        for k, n in zip(axes, wanted, strict=True):
            sizes[k] = n
        return sizes, [Fraction(n, max(old, 1)) for n, old in zip(sizes, shape, strict=True)]
    return _by_scales(call, shape, axes, as_exact(call.const(position)).fractions())


def _by_scales(
    call: Call, shape: tuple[int, ...], axes: list[int], raw: list[Fraction]
) -> tuple[list[int], list[Fraction]]:
    if len(raw) != len(axes) or any(s <= 0 for s in raw):
        raise InputError(f"{call.op} by {[float(s) for s in raw]}",
                         expected=f"{len(axes)} positive factors")
    scales = [Fraction(1)] * len(shape)
    for k, s in zip(axes, raw, strict=True):
        scales[k] = s
    return [math.floor(n * s) for n, s in zip(shape, scales, strict=True)], scales


RULES: Mapping[str, Rule] = {
    "Resize": Rule(resize, 1, 4), "Upsample": Rule(resize, 1, 2),
}
