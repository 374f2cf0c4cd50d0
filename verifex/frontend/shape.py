"""ONNX ops that only move elements or speak about shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.call import Call, Result, Rule, normal_axes, normal_axis
from verifex.frontend.values import (
    BOOL,
    FLOAT,
    FLOATS,
    INT64,
    INTEGER_RANGES,
    Constant,
    Tensor,
    Truth,
    Value,
    Whole,
    dtype_name,
    scalar,
)
from verifex.ir.exact import ExactArray, as_exact, as_float
from verifex.ir.ops import Concat


def reshape_to(c: Call, v: Value, shape: Sequence[int]) -> Value:
    """`v` with another shape of the same size."""
    wanted = c.low.limits.shape(shape)
    if math.prod(wanted) != math.prod(v.shape):
        raise InputError(f"{c.op} from {list(v.shape)} to {list(shape)}",
                         expected="as many elements")
    return c.low.move(v, lambda a: a.reshape(wanted))


def reshape(c: Call) -> Result:
    v, wanted = c.value(0), c.ints(1)
    keep_zero = c.opset >= 14 and c.flag("allowzero", False)
    if not keep_zero:
        if any(d == 0 and k >= len(v.shape) for k, d in enumerate(wanted)):
            raise InputError(f"Reshape to {wanted}", expected="no 0 past the data's rank")
        wanted = [v.shape[k] if d == 0 else d for k, d in enumerate(wanted)]
    if wanted.count(-1) > 1 or any(d < -1 for d in wanted):
        raise InputError(f"Reshape to {wanted}", expected="at most one -1")
    if -1 in wanted:
        known = math.prod(d for d in wanted if d != -1)
        if known == 0 or math.prod(v.shape) % known:
            raise InputError(f"Reshape from {list(v.shape)} to {wanted}",
                             expected="as many elements")
        wanted = [math.prod(v.shape) // known if d == -1 else d for d in wanted]
    return reshape_to(c, v, wanted)


def flatten(c: Call) -> Result:
    v = c.value(0)
    axis = normal_axis(c.int_("axis", 1), len(v.shape), end=True)
    return reshape_to(c, v, (math.prod(v.shape[:axis]), math.prod(v.shape[axis:])))


def _axes(c: Call, since: int) -> list[int] | None:
    """`axes` as the attribute it was before opset `since`, or as the second input."""
    if c.opset < since:
        return c.ints_("axes")
    return c.ints(1) if c.has(1) else None


def squeeze(c: Call) -> Result:
    v = c.value(0)
    given = _axes(c, 13)
    axes = (
        [k for k, d in enumerate(v.shape) if d == 1] if given is None
        else normal_axes(given, len(v.shape))
    )
    if any(v.shape[k] != 1 for k in axes):
        raise InputError(f"Squeeze of axes {axes} of shape {list(v.shape)}",
                         expected="axes of length one")
    return reshape_to(c, v, [d for k, d in enumerate(v.shape) if k not in axes])


def unsqueeze(c: Call) -> Result:
    v = c.value(0)
    given = _axes(c, 13)
    if given is None:
        raise InputError("Unsqueeze without axes", expected="axes")
    rank = len(v.shape) + len(given)
    axes = normal_axes(given, rank)
    rest = iter(v.shape)
    return reshape_to(c, v, [1 if k in axes else next(rest) for k in range(rank)])


def transpose(c: Call) -> Result:
    v = c.value(0)
    rank = len(v.shape)
    perm = c.ints_("perm")
    order = list(range(rank))[::-1] if perm is None else perm
    if sorted(order) != list(range(rank)):
        raise InputError(f"Transpose by {order}", expected=f"an order of {rank} axes")
    return c.low.move(v, lambda a: a.transpose(order))


def concat(c: Call) -> Result:
    values = [c.value(i) for i in range(len(c.inputs))]
    if not c.given("axis"):
        raise InputError("Concat without axis", expected="attribute 'axis'")
    rank = len(values[0].shape)
    axis = normal_axis(c.int_("axis", 0), rank)
    rests = {(*v.shape[:axis], *v.shape[axis + 1:]) for v in values if len(v.shape) == rank}
    if len(rests) != 1 or any(len(v.shape) != rank for v in values):
        raise InputError("Concat of " + ", ".join(str(list(v.shape)) for v in values),
                         expected="equal shapes off the axis")
    if len({v.dtype for v in values}) != 1:
        raise InputError("Concat of different types", expected="one type")
    length = sum(v.shape[axis] for v in values)
    c.low.limits.shape((*values[0].shape[:axis], length, *values[0].shape[axis + 1:]))
    return _join(c, values, axis)


def _join(c: Call, values: list[Value], axis: int) -> Value:
    if len(values) == 1:
        return values[0]
    whole = [v.array for v in values if isinstance(v, Whole)]
    if len(whole) == len(values):
        return Whole(np.concatenate(whole, axis), values[0].dtype)
    fixed = [v.value for v in values if isinstance(v, Constant)]
    if len(fixed) == len(values):
        if any(isinstance(f, ExactArray) for f in fixed):
            exact = [as_exact(f) for f in fixed]
            den = math.lcm(*(e.den for e in exact))
            num = np.concatenate([e.over(den) for e in exact], axis)
            return Constant(ExactArray(np.asarray(num, dtype=object), den), values[0].dtype)
        return Constant(np.concatenate([as_float(f) for f in fixed], axis), values[0].dtype)
    truths = [v for v in values if isinstance(v, Truth)]
    if truths:
        if len(truths) != len(values) or len({t.negated for t in truths}) != 1:
            raise UnsupportedError("Concat of mixed conditions", expected="a Cast before it")
        node = c.low.add(Concat(axis), *(t.node for t in truths))
        return Truth(node, c.low.shape(node), truths[0].negated)
    node = c.low.add(Concat(axis), *(c.as_node(v) for v in values))
    return Tensor(node, c.low.shape(node), values[0].dtype)


def split(c: Call) -> Result:
    v = c.value(0)
    axis = normal_axis(c.int_("axis", 0), len(v.shape))
    size = v.shape[axis]
    sizes = c.ints_("split") if c.opset < 13 else (c.ints(1) if c.has(1) else None)
    if sizes is None:
        parts = c.int_("num_outputs", c.n_outputs) if c.opset >= 18 else c.n_outputs
        if parts != c.n_outputs:
            raise InputError(f"Split into {parts} with {c.n_outputs} outputs", expected="as many")
        if c.opset < 18 and size % parts:
            raise InputError(f"Split of {size} into {parts}", expected="equal parts")
        chunk = -(-size // parts)
        sizes = [max(0, min(chunk, size - k * chunk)) for k in range(parts)]
    if len(sizes) != c.n_outputs or any(s < 0 for s in sizes) or sum(sizes) != size:
        raise InputError(f"Split of {size} into {sizes}", expected=f"{c.n_outputs} parts in all")
    ends = np.cumsum([0, *sizes]).tolist()
    return [
        c.low.move(v, partial(np.take, indices=range(lo, hi), axis=axis))
        for lo, hi in pairwise(ends)
    ]


def slice_(c: Call) -> Result:
    v = c.value(0)
    rank = len(v.shape)
    if c.opset < 10:
        starts, ends, axes = c.ints_("starts"), c.ints_("ends"), c.ints_("axes")
        steps = None
        if starts is None or ends is None:
            raise InputError("Slice without starts or ends", expected="both attributes")
    else:
        starts, ends = c.ints(1), c.ints(2)
        axes = c.ints(3) if c.has(3) else None
        steps = c.ints(4) if c.has(4) else None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InputError("Slice with starts, ends, axes and steps of different lengths",
                         expected="equal lengths")
    places = [_positions(v.shape[k], a, b, s) for k, a, b, s in zip(
        normal_axes(axes, rank), starts, ends, steps, strict=True)]

    def cut(a: Any) -> Any:
        for k, p in zip(normal_axes(axes, rank), places, strict=True):
            a = np.take(a, p, k)
        return a

    return c.low.move(v, cut)


def _positions(size: int, start: int, end: int, step: int) -> list[int]:
    """The positions an ONNX slice takes along an axis (clamped as the standard says)."""
    if step == 0:
        raise InputError("Slice with step 0", expected="another step")
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return list(range(min(max(start, 0), size), min(max(end, 0), size), step))
    top = size - 1
    return list(range(min(max(start, 0), top), min(max(end, -1), top), step)) if size else []


def gather(c: Call) -> Result:
    v, index = c.value(0), c.value(1)
    if not isinstance(index, Whole):
        raise UnsupportedError("Gather with computed indices", expected="constant indices")
    axis = normal_axis(c.int_("axis", 0), len(v.shape))
    size = v.shape[axis]
    if ((index.array < -size) | (index.array >= size)).any():
        raise InputError(f"Gather past an axis of length {size}", expected="indices inside it")
    c.low.limits.shape((*v.shape[:axis], *index.shape, *v.shape[axis + 1:]))
    return c.low.move(v, lambda a: np.take(a, index.array % max(size, 1), axis))


def feature_extractor(c: Call) -> Result:
    """ai.onnx.ml ArrayFeatureExtractor: constant columns of the last axis."""
    v, index = c.value(0), c.ints(1)
    if not v.shape or any(not 0 <= k < v.shape[-1] for k in index):
        raise InputError(f"ArrayFeatureExtractor of {index}", expected="columns that exist")
    out = c.low.move(v, lambda a: np.take(a, index, -1))
    return reshape_to(c, out, (1, *out.shape)) if len(v.shape) == 1 else out


def pad(c: Call) -> Result:
    v, mode = c.value(0), c.str_("mode", "constant")
    rank = len(v.shape)
    pads, fill = _pad_inputs(c, rank)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise InputError(f"Pad with mode '{mode}'", expected="constant, reflect, edge or wrap")
    c.low.limits.shape([max(0, n + a + b) for n, (a, b) in zip(v.shape, pads, strict=True)])
    index = np.arange(math.prod(v.shape)).reshape(v.shape)
    for axis, (before, after) in enumerate(pads):
        index = _pad_axis(index, axis, before, after, mode)
    if c.has(2) and (isinstance(c.value(2), Whole) != isinstance(v, Whole)):
        raise InputError("Pad with a value of another type", expected="the data's type")
    return c.low.pick(v, index, fill if mode == "constant" else 0)


def _pad_inputs(c: Call, rank: int) -> tuple[list[tuple[int, int]], Any]:
    """(before, after) for each axis and the fill value."""
    fill: Any
    if c.opset < 11:
        given, fill = c.ints_("pads"), c.float_("value", 0.0)
        axes = list(range(rank))
        if given is None:
            raise InputError("Pad without pads", expected="attribute 'pads'")
        pads = given
    else:
        pads = c.ints(1)
        fill = _fill(c.value(2)) if c.has(2) else 0
        axes = normal_axes(c.ints(3), rank) if c.has(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        raise InputError(f"Pad of {len(axes)} axes by {pads}", expected="two numbers an axis")
    found: list[tuple[int, int]] = [(0, 0)] * rank
    for k, axis in enumerate(axes):
        found[axis] = (pads[k], pads[k + len(axes)])
    return found, fill


def _fill(v: Value) -> Any:
    if isinstance(v, Whole) and v.array.size == 1:
        return int(v.array.ravel()[0])
    if isinstance(v, Constant):
        return scalar(v.value)
    raise UnsupportedError("Pad with a computed value", expected="a constant value")


def _pad_axis(index: Any, axis: int, before: int, after: int, mode: str) -> Any:
    size = index.shape[axis]
    if size + before + after < 0 or -before > size or -after > size:
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


def expand(c: Call) -> Result:
    v = c.value(0)
    shape = c.low.broadcast_shape(v.shape, c.low.limits.shape(c.ints(1)))
    return c.low.move(v, lambda a: np.broadcast_to(a, shape))


def tile(c: Call) -> Result:
    v, repeats = c.value(0), c.ints(1)
    if len(repeats) != len(v.shape):
        raise InputError(f"Tile of {len(v.shape)} axes by {repeats}", expected="one for each axis")
    c.low.limits.shape([n * r for n, r in zip(v.shape, repeats, strict=True)])
    return c.low.move(v, lambda a: np.tile(a, repeats))


def space_to_depth(c: Call, *, back: bool) -> Result:
    """Blocks of pixels to channels, or (`back`) channels to blocks of pixels."""
    v, block = c.value(0), c.int_("blocksize", 0)
    if len(v.shape) != 4 or block < 1:
        raise InputError(f"{c.op} of {list(v.shape)} in blocks of {block}",
                         expected="(N, C, H, W) and a positive block")
    n, ch, h, w = v.shape
    fits = ch % block**2 == 0 if back else h % block == 0 and w % block == 0
    if not fits:
        raise InputError(f"{c.op} of {list(v.shape)} in blocks of {block}", expected="whole blocks")
    if not back:
        return c.low.move(v, lambda a: a.reshape(n, ch, h // block, block, w // block, block)
                          .transpose(0, 3, 5, 1, 2, 4)
                          .reshape(n, ch * block**2, h // block, w // block))
    out = (n, ch // block**2, h * block, w * block)
    if c.str_("mode", "DCR") == "DCR":
        return c.low.move(v, lambda a: a.reshape(n, block, block, out[1], h, w)
                          .transpose(0, 3, 4, 1, 5, 2).reshape(out))
    return c.low.move(v, lambda a: a.reshape(n, out[1], block, block, h, w)
                      .transpose(0, 1, 4, 2, 5, 3).reshape(out))


# --- constants, types, shapes -----------------------------------------------------------------


def identity(c: Call) -> Result:
    return c.value(0)


def dropout(c: Call) -> Result:
    """Dropout at inference changes nothing."""
    if c.opset < 12:
        c.float_("ratio", 0.5)
        return c.value(0)
    c.int_("seed", 0)
    if c.has(2):
        training = c.condition(2)
        if isinstance(training, Truth) or bool(training.array.any()):
            raise UnsupportedError("Dropout in training mode", expected="inference")
    return c.value(0)


def shape_of(c: Call) -> Result:
    shape = c.shape(0)
    if c.opset < 15:
        return Whole(np.array(shape, dtype=np.int64), INT64)
    end = c.int_("end", len(shape)) if c.given("end") else len(shape)
    return Whole(np.array(shape[slice(c.int_("start", 0), end)], dtype=np.int64), INT64)


def size_of(c: Call) -> Result:
    return Whole(np.array(math.prod(c.shape(0)), dtype=np.int64), INT64)


def constant(c: Call) -> Result:
    """A constant given by any one of the value attributes."""
    if len(c.attributes) != 1:
        raise InputError(f"Constant with attributes {sorted(c.attributes)}", expected="one value")
    (name,) = c.attributes
    if name == "value":
        found = c.tensor_("value")
        if found is not None:
            return found
    if name == "value_float":
        return Constant(np.array(float(c.float_(name, 0.0))), FLOAT)
    if name == "value_floats":
        values = np.array(c.floats_(name), dtype=np.float64)
        if not np.isfinite(values).all():
            raise InputError("Constant holds a NaN or an infinity", expected="finite numbers")
        return Constant(values, FLOAT)
    if name == "value_int":
        return Whole(np.array(c.int_(name, 0), dtype=np.int64), INT64)
    if name == "value_ints":
        return Whole(np.array(c.ints_(name), dtype=np.int64), INT64)
    raise UnsupportedError(f"Constant given by '{name}'", expected="a dense numeric value")


def constant_of_shape(c: Call) -> Result:
    shape = c.low.limits.shape(c.ints(0))
    fill = c.tensor_("value") or Constant(np.zeros(1), FLOAT)
    if math.prod(fill.shape) != 1:
        raise InputError(f"ConstantOfShape of a value of shape {list(fill.shape)}",
                         expected="one element")
    return c.low.pick(fill, np.broadcast_to(np.int64(0), shape))


def cast(c: Call) -> Result:
    """Type changes: real numbers stay what they are; constants are rounded as the type says."""
    v, to = c.value(0), c.int_("to", 0)
    if c.opset >= 19:
        c.int_("saturate", 1)  # speaks about float8 only
    return cast_value(c, v, to)


def cast_like(c: Call) -> Result:
    if c.opset >= 19:
        c.int_("saturate", 1)
    return cast_value(c, c.value(0), c.value(1).dtype)


def cast_value(c: Call, v: Value, to: int) -> Value:
    if to == v.dtype:
        return v
    if isinstance(v, Truth) and to in FLOATS:
        if not v.negated:
            return Tensor(v.node, v.shape, to)
        return c.low.wrap(c.low.combine([(v.node, -1)], np.ones(())), to)
    if isinstance(v, Tensor) and to in (FLOAT, 11) and to in FLOATS:
        return Tensor(v.node, v.shape, to)
    if isinstance(v, Tensor | Truth):
        raise UnsupportedError(f"Cast of a computed {dtype_name(v.dtype)} to {dtype_name(to)}",
                               expected="float32 or float64")
    if isinstance(v, Constant):
        return _cast_floats(c, v, to)
    if to in INTEGER_RANGES:
        low, high = INTEGER_RANGES[to]
        if any(not low <= int(n) <= high for n in v.array.ravel()):
            raise InputError(f"Cast overflows {dtype_name(to)}", expected="numbers that fit")
        return Whole(v.array.astype(np.int64), to)
    if to == BOOL:
        return Whole(v.array != 0, BOOL)
    if to in FLOATS:
        return Constant(_round(v.array.astype(np.float64), to), to)
    raise UnsupportedError(f"Cast to {dtype_name(to)}", expected="a number type")


def _cast_floats(c: Call, v: Constant, to: int) -> Value:
    if to == BOOL:
        return Whole(np.asarray(np.not_equal(as_exact(v.value).num, 0), dtype=bool), BOOL)
    if to in FLOATS:
        if isinstance(v.value, ExactArray):
            return Constant(v.value, to)  # a computed real number: nothing to round yet
        return Constant(_round(v.value, to), to)
    if to in INTEGER_RANGES:
        low, high = INTEGER_RANGES[to]
        whole = np.array([math.trunc(f) for f in as_exact(v.value).fractions()], dtype=object)
        if any(not low <= n <= high for n in whole):
            raise InputError(f"Cast overflows {dtype_name(to)}", expected="numbers that fit")
        return Whole(whole.astype(np.int64).reshape(v.shape), to)
    raise UnsupportedError(f"Cast to {dtype_name(to)}", expected="a number type")


def _round(values: Any, to: int) -> Any:
    """float64 values rounded to a float type, as float64."""
    if to == 11:
        return values
    if to not in (FLOAT, 10):
        raise UnsupportedError(f"Cast of a constant to {dtype_name(to)}",
                               expected="float32, float64 or float16")
    with np.errstate(over="ignore"):
        out = values.astype(np.float32 if to == FLOAT else np.float16).astype(np.float64)
    if not np.isfinite(out).all():
        raise InputError(f"Cast overflows {dtype_name(to)}", expected="numbers that fit")
    return out


def range_(c: Call) -> Result:
    """An integer range with constant ends."""
    if not c.all_whole or any(math.prod(c.shape(i)) != 1 for i in range(3)):
        raise UnsupportedError("Range of floats or computed ends", expected="constant integers")
    start, limit, delta = (c.ints(i)[0] for i in range(3))
    if delta == 0:
        raise InputError("Range with delta 0", expected="another delta")
    count = len(range(start, limit, delta))
    c.low.limits.shape((count,))
    return c.integers(np.array(range(start, limit, delta), dtype=object))


RULES: Mapping[str, Rule] = {
    "Reshape": Rule(reshape, 2, 2), "Flatten": Rule(flatten), "Squeeze": Rule(squeeze, 1, 2),
    "Unsqueeze": Rule(unsqueeze, 1, 2), "Transpose": Rule(transpose),
    "Concat": Rule(concat, 1, None), "Split": Rule(split, 1, 2), "Slice": Rule(slice_, 1, 5),
    "Gather": Rule(gather, 2, 2), "Pad": Rule(pad, 1, 4), "Expand": Rule(expand, 2, 2),
    "Tile": Rule(tile, 2, 2), "DepthToSpace": Rule(partial(space_to_depth, back=True)),
    "SpaceToDepth": Rule(partial(space_to_depth, back=False)), "Identity": Rule(identity),
    "Dropout": Rule(dropout, 1, 3, mixed=True), "Shape": Rule(shape_of), "Size": Rule(size_of),
    "Constant": Rule(constant, 0, 0), "ConstantOfShape": Rule(constant_of_shape),
    "Cast": Rule(cast), "CastLike": Rule(cast_like, 2, 2, mixed=True), "Range": Rule(range_, 3, 3),
}
ML_RULES: Mapping[str, Rule] = {"ArrayFeatureExtractor": Rule(feature_extractor, 2, 2)}
