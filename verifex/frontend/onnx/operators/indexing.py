"""ONNX ops that pick elements by constant positions, repeat them or pad around them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule, normal_axes, normal_axis
from verifex.frontend.onnx.operators.shape import reshape_to
from verifex.frontend.onnx.values import INT64, Constant, Value, Whole, scalar
from verifex.ir.linmap import ScatterAdd


def slice_(call: Call) -> Result:
    v = call.value(0)
    rank = len(v.shape)
    if call.opset < 10:
        starts, ends, axes = call.ints_("starts"), call.ints_("ends"), call.ints_("axes")
        steps = None
        if starts is None or ends is None:
            raise InputError("Slice without starts or ends", expected="both attributes")
    else:
        starts, ends = call.ints(1), call.ints(2)
        axes = call.ints(3) if call.has(3) else None
        steps = call.ints(4) if call.has(4) else None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InputError("Slice with starts, ends, axes and steps of different lengths",
                         expected="equal lengths")
    places = [_positions(v.shape[k], a, b, s) for k, a, b, s in zip(
        normal_axes(axes, rank), starts, ends, steps, strict=True)]

    def cut(left: Any) -> Any:
        for k, p in zip(normal_axes(axes, rank), places, strict=True):
            left = np.take(left, p, k)
        return left

    return call.low.move(v, cut)


def _positions(size: int, start: int, end: int, step: int) -> list[int]:
    """The positions an ONNX slice takes along an axis (clamped as the standard says)."""
    if step == 0:
        raise InputError("Slice with step 0", expected="another step")
    if step < 0 and (start < -size or end >= size):
        # Some readers cut such ends down to the axis, some take the greatest integer for its start.
        raise UnsupportedError(
            f"Slice backwards from {start} to {end} of an axis of length {size}",
            expected="a start and an end on the axis")
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return list(range(min(max(start, 0), size), min(max(end, 0), size), step))
    top = size - 1
    return list(range(min(max(start, 0), top), min(max(end, -1), top), step)) if size else []


def gather(call: Call) -> Result:
    v, index = call.value(0), call.value(1)
    if not isinstance(index, Whole):
        raise UnsupportedError("Gather with computed indices", expected="constant indices")
    axis = normal_axis(call.int_("axis", 0), len(v.shape))
    size = v.shape[axis]
    if ((index.array < -size) | (index.array >= size)).any():
        raise InputError(f"Gather past an axis of length {size}", expected="indices inside it")
    call.low.limits.shape((*v.shape[:axis], *index.shape, *v.shape[axis + 1:]))
    return call.low.move(v, lambda a: np.take(a, index.array % max(size, 1), axis))


def feature_extractor(call: Call) -> Result:
    """ai.onnx.ml ArrayFeatureExtractor: constant columns of the last axis."""
    v, index = call.value(0), call.ints(1)
    if not v.shape or any(not 0 <= k < v.shape[-1] for k in index):
        raise InputError(f"ArrayFeatureExtractor of {index}", expected="columns that exist")
    out = call.low.move(v, lambda a: np.take(a, index, -1))
    return reshape_to(call, out, (1, *out.shape)) if len(v.shape) == 1 else out


def pad(call: Call) -> Result:
    v, mode = call.value(0), call.str_("mode", "constant")
    rank = len(v.shape)
    pads, fill = _pad_inputs(call, rank)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise InputError(f"Pad with mode '{mode}'", expected="constant, reflect, edge or wrap")
    if mode != "constant" and any(n < 0 for pair in pads for n in pair):
        # onnxruntime pads what is left after cutting, other readers refuse.
        raise UnsupportedError(f"Pad with mode '{mode}' and negative pads",
                               expected="pads of 0 or more")
    call.low.limits.shape([max(0, n + a + b) for n, (a, b) in zip(v.shape, pads, strict=True)])
    index = np.arange(math.prod(v.shape)).reshape(v.shape)
    for axis, (before, after) in enumerate(pads):
        index = _pad_axis(index, axis, before, after, mode)
    if call.has(2) and (isinstance(call.value(2), Whole) != isinstance(v, Whole)):
        raise InputError("Pad with a value of another type", expected="the data's type")
    return call.low.pick(v, index, fill if mode == "constant" else 0)


def _pad_inputs(call: Call, rank: int) -> tuple[list[tuple[int, int]], Any]:
    """(before, after) for each axis and the fill value."""
    fill: Any
    if call.opset < 11:
        given, fill = call.ints_("pads"), call.float_("value", 0.0)
        axes = list(range(rank))
        if given is None:
            raise InputError("Pad without pads", expected="attribute 'pads'")
        pads = given
    else:
        pads = call.ints(1)
        fill = _fill(call.value(2)) if call.has(2) else 0
        if call.has(3) and call.value(3).dtype != INT64:  # onnxruntime takes these alone
            raise UnsupportedError("Pad with axes of int32", expected="int64")
        axes = normal_axes(call.ints(3), rank) if call.has(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        raise InputError(f"Pad of {len(axes)} axes by {pads}", expected="two numbers an axis")
    found: list[tuple[int, int]] = [(0, 0)] * rank
    for k, axis in enumerate(axes):
        found[axis] = (pads[k], pads[k + len(axes)])
    return found, fill


def _fill(value: Value) -> Any:
    if isinstance(value, Whole) and value.array.size == 1:
        return int(value.array.ravel()[0])
    if isinstance(value, Constant):
        return scalar(value.value)
    raise UnsupportedError("Pad with a computed value", expected="a constant value")


def _pad_axis(index: Any, axis: int, before: int, after: int, mode: str) -> Any:
    size = index.shape[axis]
    if size + min(before, 0) + min(after, 0) < 0:
        raise InputError(f"Pad of {size} elements by {before} and {after}", expected="some left")
    places = np.arange(-before, size + after)
    if mode == "constant":
        out = np.take(index, np.clip(places, 0, max(size - 1, 0)), axis) if size else np.full(
            [len(places) if k == axis else n for k, n in enumerate(index.shape)], -1)
        outside = (places < 0) | (places >= size)
        out[(slice(None),) * axis + (outside,)] = -1
        return out
    if size == 0 or (mode == "reflect" and max(before, after) >= size):
        raise InputError(f"Pad of {size} elements by {before} and {after} in mode {mode}",
                         expected="fewer than the elements")
    if mode == "edge":
        return np.take(index, np.clip(places, 0, size - 1), axis)
    if mode == "wrap":
        return np.take(index, places % size, axis)
    mirrored = np.where(places < 0, -places, places)
    return np.take(index, np.where(mirrored >= size, 2 * (size - 1) - mirrored, mirrored), axis)


def expand(call: Call) -> Result:
    v = call.value(0)
    shape = call.low.broadcast_shape(v.shape, call.low.limits.shape(call.ints(1)))
    return call.low.move(v, lambda a: np.broadcast_to(a, shape))


def tile(call: Call) -> Result:
    v, repeats = call.value(0), call.ints(1)
    if len(repeats) != len(v.shape):
        raise InputError(f"Tile of {len(v.shape)} axes by {repeats}", expected="one for each axis")
    call.low.limits.shape([n * r for n, r in zip(v.shape, repeats, strict=True)])
    return call.low.move(v, lambda a: np.tile(a, repeats))


def space_to_depth(call: Call, *, back: bool) -> Result:
    """Blocks of pixels to channels, or (`back`) channels to blocks of pixels."""
    v, block = call.value(0), call.int_("blocksize", 0)
    if len(v.shape) != 4 or block < 1:
        raise InputError(f"{call.op} of {list(v.shape)} in blocks of {block}",
                         expected="(N, C, H, W) and a positive block")
    n, ch, h, w = v.shape
    fits = ch % block**2 == 0 if back else h % block == 0 and w % block == 0
    if not fits:
        raise InputError(
            f"{call.op} of {list(v.shape)} in blocks of {block}", expected="whole blocks"
        )
    if not back:
        return call.low.move(v, lambda a: a.reshape(n, ch, h // block, block, w // block, block)
                          .transpose(0, 3, 5, 1, 2, 4)
                          .reshape(n, ch * block**2, h // block, w // block))
    out = (n, ch // block**2, h * block, w * block)
    if call.str_("mode", "DCR") == "DCR":
        return call.low.move(v, lambda a: a.reshape(n, block, block, out[1], h, w)
                          .transpose(0, 3, 4, 1, 5, 2).reshape(out))
    return call.low.move(v, lambda a: a.reshape(n, out[1], block, block, h, w)
                      .transpose(0, 1, 4, 2, 5, 3).reshape(out))


def _element_places(call: Call) -> Any:
    """For every element of the index, the flat place in the data that it names: its own position,
    but along the axis, where the index says."""
    data, index = call.value(0), call.value(1)
    if not isinstance(index, Whole):
        raise UnsupportedError(f"{call.op} with computed indices", expected="constants")
    shape, axis = data.shape, normal_axis(call.int_("axis", 0), len(data.shape))
    fits = len(index.shape) == len(shape) and all(
        n <= d for k, (n, d) in enumerate(zip(index.shape, shape, strict=True)) if k != axis)
    if not fits:
        raise InputError(f"{call.op} of indices {list(index.shape)} into {list(shape)}",
                         expected="indices within the data")
    size = shape[axis]
    if ((index.array < -size) | (index.array >= size)).any():
        raise InputError(f"{call.op} past an axis of length {size}", expected="indices inside it")
    places = list(np.meshgrid(*map(np.arange, index.shape), indexing="ij", copy=False))
    places[axis] = index.array % max(size, 1)
    return np.ravel_multi_index(places, shape) if index.array.size else index.array


def gather_elements(call: Call) -> Result:
    """Every element of the index picks one of the data."""
    return call.low.pick(call.value(0), _element_places(call))


def scatter_elements(call: Call) -> Result:
    """`data` with `updates` added or put at constant positions along an axis."""
    target = _element_places(call)
    if call.shape(2) != target.shape:
        raise InputError(f"ScatterElements of {list(call.shape(2))}",
                         expected="updates shaped like the indices")
    return _scattered(call, target)


def scatter_nd(call: Call) -> Result:
    """`data` with slices of `updates` added or put where the last axis of the indices says."""
    index, shape = call.value(1), call.shape(0)
    if not isinstance(index, Whole):
        raise UnsupportedError("ScatterND with computed indices", expected="constants")
    depth = index.shape[-1] if index.shape else 0
    if not 0 < depth <= len(shape) or call.shape(2) != (*index.shape[:-1], *shape[depth:]):
        raise InputError(f"ScatterND of {list(call.shape(2))} at {list(index.shape)}",
                         expected="coordinates on the last axis, updates of slices")
    sides = np.array(shape[:depth])
    if ((index.array < -sides) | (index.array >= sides)).any():
        raise InputError("ScatterND past the data", expected="indices inside it")
    width = math.prod(shape[depth:])
    starts = np.ravel_multi_index(
        tuple(np.moveaxis(index.array % np.maximum(sides, 1), -1, 0)), shape[:depth])
    target = np.asarray(starts)[..., None] * width + np.arange(width)
    return _scattered(call, target.reshape(call.shape(2)))


def _scattered(call: Call, target: Any) -> Result:
    """The data with every update added or put at its flat place."""
    how = call.str_("reduction", "none") if call.opset >= 16 else "none"
    shape = call.shape(0)
    if how == "none" and np.unique(target).size != target.size:
        raise InputError(f"{call.op} puts two values in one place", expected="one")
    if how not in ("none", "add"):
        raise UnsupportedError(f"{call.op} with reduction '{how}'", expected="none or add")
    kept = call.node(0)
    if how == "none":
        # What is overwritten goes: -1 leaves 0 there, to which the update is added.
        free = np.arange(math.prod(shape))
        free[target.ravel()] = -1
        kept = call.low.move_node(kept, lambda a: free.reshape(shape))
    m = ScatterAdd(target.shape, shape, np.ascontiguousarray(target, dtype=np.int64))
    return call.low.combine([(kept, 1), (call.low.affine(m, call.node(2)), 1)])


RULES: Mapping[str, Rule] = {
    "Slice": Rule(slice_, 1, 5), "Gather": Rule(gather, 2, 2), "Pad": Rule(pad, 1, 4),
    "Expand": Rule(expand, 2, 2), "Tile": Rule(tile, 2, 2),
    "ScatterElements": Rule(scatter_elements, 3, 3), "ScatterND": Rule(scatter_nd, 3, 3),
    "GatherElements": Rule(gather_elements, 2, 2),
    "DepthToSpace": Rule(partial(space_to_depth, back=True)),
    "SpaceToDepth": Rule(partial(space_to_depth, back=False)),
}
ML_RULES: Mapping[str, Rule] = {"ArrayFeatureExtractor": Rule(feature_extractor, 2, 2)}
