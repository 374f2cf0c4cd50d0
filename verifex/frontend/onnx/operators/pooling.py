"""ONNX ops that summarise windows or whole axes: pooling, reductions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.lowering import Lowering, scaled
from verifex.frontend.onnx.operators.call import Call, Result, Rule, normal_axes
from verifex.frontend.onnx.operators.linear import Window, positive_ints, read_window
from verifex.ir.exact import ExactArray, Number
from verifex.ir.linmap import Conv, Gather, LinearMap, Shape
from verifex.ir.ops import Affine

MAX_WINDOWS = 2**16
"""Most elements that the windows along one axis may list together."""

# --- maxima -----------------------------------------------------------------------------------


def max_along(low: Lowering, node: int, axis: int, windows: Sequence[Sequence[int]]) -> int:
    """The maximum over each window of positions along an axis, by comparing pairs.

    `max(a, b) = b + relu(a - b)` costs one gate; a pair that several windows compare is compared
    once. Windows list only elements that exist, so padding never enters a comparison.
    """
    # Neighbouring windows overlap: shared pairs make n windows of k cost n log k gates, not n k.
    while any(len(w) > 1 for w in windows):
        pairs: dict[tuple[int, int], int] = {}
        slots: dict[tuple[int, int], int] = {}
        rounds = []
        for w in windows:
            merged = []
            for a, b in zip(w[::2], w[1::2], strict=False):
                pairs.setdefault((a, b), len(pairs))
                merged.append(slots.setdefault((a, b), len(slots)))
            if len(w) % 2:
                merged.append(slots.setdefault((w[-1], -1), len(slots)))
            rounds.append(merged)
        node = _play(low, node, axis, list(pairs), list(slots))
        windows = rounds
    order = [w[0] for w in windows]
    return low.move_node(node, lambda a: np.take(a, order, axis))


def _play(
    low: Lowering, node: int, axis: int, pairs: list[tuple[int, int]], slots: list[tuple[int, int]]
) -> int:
    """One round: the slices `max(node[a], node[b])`, or `node[a]` where b is -1, along the axis."""
    shape = low.shape(node)
    sizes = [(*shape[:axis], n, *shape[axis + 1:]) for n in (len(pairs), len(slots))]
    low.limits.shape(sizes[0])
    low.limits.shape(sizes[1])
    places = np.arange(math.prod(shape)).reshape(shape)
    first, second = (
        Gather(shape, sizes[0], np.take(places, [p[k] for p in pairs], axis)) for k in (0, 1)
    )
    # One affine step of two gathers: no node for either side of a pair.
    gap = low.relu(low.add(Affine((first, scaled(second, -1))), node, node))
    base = Gather(shape, sizes[1], np.take(places, [a if b < 0 else b for a, b in slots], axis))
    known = {pair: k for k, pair in enumerate(pairs)}
    gaps = np.arange(math.prod(sizes[0])).reshape(sizes[0])
    lift = np.take(gaps, [known.get(s, 0) for s in slots], axis)
    lift[(slice(None),) * axis + ([s[1] < 0 for s in slots],)] = -1
    return low.add(Affine((base, Gather(sizes[0], sizes[1], lift))), node, gap)


def reduce_max(low: Lowering, node: int, axes: Sequence[int]) -> int:
    """The maximum over axes, which stay as axes of length one."""
    for axis in reversed(axes):
        size = low.shape(node)[axis]
        if size == 0:
            raise InputError("a maximum over no elements", expected="at least one")
        node = max_along(low, node, axis, [range(size)])
    return node


# --- pooling ----------------------------------------------------------------------------------


def _pool_sizes(
    call: Call, space: Shape, kernel: Shape, window: Window, ceil_mode: bool
) -> list[int]:
    """Spatial sizes of a pooling's result."""
    sizes = []
    for n, k, s, (a, b), d in zip(
        space, kernel, window.strides, window.pads, window.dilations, strict=True
    ):
        room = n + a + b - (k - 1) * d - 1
        if room < 0:
            raise InputError(f"a window of {k} over {n + a + b} elements",
                             expected="a window that fits")
        size = -(-room // s) + 1 if ceil_mode else room // s + 1
        if ceil_mode and (size - 1) * s >= n + a:
            size -= 1  # a window may not start in the padding behind the data
        sizes.append(size)
    return sizes


def _pool(call: Call) -> tuple[int, Shape, Window, list[int]]:
    """The node, kernel, window and spatial sizes of a pooling op."""
    shape = call.shape(0)
    if len(shape) < 3:
        raise InputError(f"{call.op} of shape {list(shape)}", expected="(N, C, ...)")
    if not call.given("kernel_shape"):
        raise InputError(f"{call.op} without kernel_shape", expected="attribute 'kernel_shape'")
    kernel = positive_ints(call, "kernel_shape", len(shape) - 2)
    window = read_window(call, shape[2:], kernel)
    if any(max(ends) >= k for ends, k in zip(window.pads, kernel, strict=True)):
        raise UnsupportedError(f"{call.op} with pads {window.pads} of a window of {list(kernel)}",
                               expected="pads smaller than the window")
    ceil_mode = call.opset >= 10 and call.flag("ceil_mode", False)
    if ceil_mode and call.str_("auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedError(f"{call.op} with ceil_mode and auto_pad", expected="one of them")
    sizes = _pool_sizes(call, shape[2:], kernel, window, ceil_mode)
    call.low.limits.shape((*shape[:2], *sizes))
    if any(s * k > MAX_WINDOWS for s, k in zip(sizes, kernel, strict=True)):
        raise InputError(f"{call.op} with windows of {list(kernel)}", expected="smaller windows")
    return call.node(0), kernel, window, sizes


def _axis_windows(
    length: int, kernel: int, size: int, window: Window, axis: int
) -> list[list[int]]:
    """For each output position along a spatial axis, the input positions under the kernel."""
    stride, (before, _), dilation = window.strides[axis], window.pads[axis], window.dilations[axis]
    starts = range(-before, -before + size * stride, stride)
    return [
        [p for p in range(s, s + kernel * dilation, dilation) if 0 <= p < length] for s in starts
    ]


def max_pool(call: Call) -> Result:
    """Maxima over windows, one axis after the other; padding is never compared."""
    if call.opset >= 8:
        call.int_("storage_order", 0)  # orders the indices output only, which is not produced
    x, kernel, window, sizes = _pool(call)
    for axis in reversed(range(len(kernel))):
        n = call.low.shape(x)[2 + axis]
        windows = _axis_windows(n, kernel[axis], sizes[axis], window, axis)
        if not all(windows):
            raise InputError("MaxPool has a window of padding only", expected="smaller pads")
        x = max_along(call.low, x, 2 + axis, windows)
    return x


def average_pool(call: Call) -> Result:
    """Sums over windows by a convolution with ones, divided by exact counts."""
    count_pad = call.flag("count_include_pad", False)
    x, kernel, window, sizes = _pool(call)
    shape = call.low.shape(x)
    late = sizes != _pool_sizes(call, shape[2:], kernel, window, False)
    if late and count_pad:
        # Readers differ on what a window that ends behind the padding is divided by.
        raise UnsupportedError("AveragePool with ceil_mode and count_include_pad",
                               expected="one of them")
    counts = np.ones((1,) * len(kernel), dtype=object)
    for axis, (n, k, size) in enumerate(zip(shape[2:], kernel, sizes, strict=True)):
        line = _axis_counts(n, k, size, window, axis, count_pad)
        counts = counts * np.array(line, dtype=object).reshape(
            [-1 if j == axis else 1 for j in range(len(kernel))])
    if (counts == 0).any():
        raise InputError("AveragePool has a window of padding only", expected="smaller pads")
    # Pad (or not) so that the convolution has exactly the pooling's size, ceil_mode included.
    pads = tuple(
        (a, max(0, (size - 1) * s + (k - 1) * d + 1 - n - a))
        for n, k, size, s, (a, _), d in zip(
            shape[2:], kernel, sizes, window.strides, window.pads, window.dilations, strict=True)
    )
    out = (*shape[:2], *sizes)
    ones = np.ones((shape[1], 1, *kernel))
    m: LinearMap = Conv(shape, out, ones, window.strides, pads, window.dilations, shape[1])
    flat = counts.ravel().tolist()
    if len(set(flat)) == 1:
        return call.low.affine(scaled(m, Fraction(1, flat[0])), x)
    share = ExactArray.from_numbers([Fraction(1, n) for n in flat], (1, 1, *sizes))
    return call.low.times(call.low.affine(m, x), share)


def _axis_counts(
    length: int, kernel: int, size: int, window: Window, axis: int, count_pad: bool
) -> list[int]:
    """How many elements each window averages over along an axis."""
    if not count_pad:
        return [len(p) for p in _axis_windows(length, kernel, size, window, axis)]
    stride, (before, after), dilation = (
        window.strides[axis],
        window.pads[axis],
        window.dilations[axis],
    )
    starts = range(-before, -before + size * stride, stride)
    return [
        sum(-before <= p < length + after for p in range(s, s + kernel * dilation, dilation))
        for s in starts
    ]


def global_max_pool(call: Call) -> Result:
    return reduce_max(call.low, call.node(0), _space_axes(call))


def global_average_pool(call: Call) -> Result:
    axes = _space_axes(call)
    count = math.prod(call.shape(0)[k] for k in axes)
    if count == 0:
        raise InputError("an average over no elements", expected="at least one")
    return call.low.sum_axes(call.node(0), axes, Fraction(1, count))


def _space_axes(call: Call) -> list[int]:
    if len(call.shape(0)) < 3:
        raise InputError(f"{call.op} of shape {list(call.shape(0))}", expected="(N, C, ...)")
    return list(range(2, len(call.shape(0))))


# --- reductions -------------------------------------------------------------------------------


def reduce_axes(call: Call, since: int) -> list[int] | None:
    """The axes to reduce; None where the op returns its input as it is."""
    rank = len(call.shape(0))
    if call.opset < since:
        given = call.ints_("axes")
        empty_is_noop = False
    else:
        given = call.ints(1) if call.has(1) else None
        empty_is_noop = call.flag("noop_with_empty_axes", False)
    if given == [] and call.opset < since:  # all axes for some readers, none for others
        raise UnsupportedError(f"{call.op} over an empty list of axes", expected="axes")
    if not given:
        return None if empty_is_noop else list(range(rank))
    return normal_axes(given, rank)


def reduction(kind: str, since: int, call: Call) -> Result:
    """ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceL1, ReduceL2, ReduceSumSquare."""
    axes = reduce_axes(call, since)
    keep = call.flag("keepdims", True)
    low, x = call.low, call.node(0)
    if axes is None:
        if kind in ("l1", "l2", "sumsquare"):
            raise UnsupportedError(f"{call.op} over no axes", expected="axes")
        return x
    shape = low.shape(x)
    count = math.prod(shape[k] for k in axes)
    factor: Number = 1
    if kind == "mean":
        if count == 0:
            raise InputError("a mean over no elements", expected="at least one")
        factor = Fraction(1, count)
    # |x| = 2 relu(x) - x.
    if kind == "l1":
        x = low.combine([(low.relu(x), 2), (x, -1)])
    elif kind in ("l2", "sumsquare"):
        x = low.mul(x, x)
    if kind == "max":
        out = reduce_max(low, x, axes)
    elif kind == "min":
        out = low.combine([(reduce_max(low, low.combine([(x, -1)]), axes), -1)])
    else:
        out = low.sum_axes(x, axes, factor)
    if kind == "l2":
        out = low.univariate("sqrt", out)
    if keep:
        return out
    left = [d for k, d in enumerate(low.shape(out)) if k not in axes]
    return low.move_node(out, lambda a: a.reshape(left))


RULES: Mapping[str, Rule] = {
    "MaxPool": Rule(max_pool), "AveragePool": Rule(average_pool),
    "GlobalMaxPool": Rule(global_max_pool), "GlobalAveragePool": Rule(global_average_pool),
    "ReduceSum": Rule(partial(reduction, "sum", 13), 1, 2),
    "ReduceMean": Rule(partial(reduction, "mean", 18), 1, 2),
    "ReduceMax": Rule(partial(reduction, "max", 18), 1, 2),
    "ReduceMin": Rule(partial(reduction, "min", 18), 1, 2),
    "ReduceL1": Rule(partial(reduction, "l1", 18), 1, 2),
    "ReduceL2": Rule(partial(reduction, "l2", 18), 1, 2),
    "ReduceSumSquare": Rule(partial(reduction, "sumsquare", 18), 1, 2),
}
