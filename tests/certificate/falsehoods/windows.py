"""Windows and reductions: strides, padding, groups, axes, what is counted."""

from __future__ import annotations

import random
from typing import Any

from tests.certificate.falsehoods.claims import Kind
from tests.certificate.falsehoods.cores import Core, chain, ints, of_networks, op, weights

Pair = tuple[Core, Core]
R = random.Random
IMAGE = (1, 2, 4, 4)
ROW = (1, 1, 7)


def conv(g: R, shape: tuple[int, ...], kernel: Any, *options: dict[str, Any]) -> Pair:
    first, second = g.sample(options, 2)
    bias = [weights(g, kernel.shape[0])] if g.random() < 0.5 else []
    return op(shape, "Conv", kernel, *bias, **first), op(shape, "Conv", kernel, *bias, **second)


def conv_strides(g: R) -> Pair:
    w = weights(g, 1, 2, 2, 2)
    return conv(g, IMAGE, w, {}, {"strides": [2, 1]}, {"strides": [1, 2]}, {"strides": [2, 2]})


def conv_dilations(g: R) -> Pair:
    w = weights(g, 1, 2, 2, 2)
    return conv(g, IMAGE, w, {}, {"dilations": [2, 1]}, {"dilations": [1, 3]})


def conv_pads(g: R) -> Pair:
    w = weights(g, 1, 2, 2, 2)
    return conv(g, IMAGE, w, {}, {"pads": [1, 0, 0, 0]}, {"pads": [0, 1, 0, 0]},
                {"pads": [0, 0, 1, 0]}, {"pads": [0, 0, 0, 1]})


def conv_auto(g: R) -> Pair:
    w = weights(g, 1, 2, 2, 2)
    return conv(g, IMAGE, w, *({"auto_pad": k} for k in ("SAME_UPPER", "SAME_LOWER", "VALID")))


def conv_group(g: R) -> Pair:
    w, wide = weights(g, 2, 1, 2, 2), weights(g, 2, 2, 2, 2)
    return op(IMAGE, "Conv", w, group=2), op(IMAGE, "Conv", wide)


POOLS: tuple[dict[str, Any], ...] = (
    {}, {"strides": [2]}, {"strides": [3]}, {"pads": [1, 0]}, {"pads": [0, 1]}, {"pads": [1, 1]},
    {"strides": [2], "ceil_mode": 1}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"},
    {"auto_pad": "VALID", "strides": [2]}, {"strides": [2], "pads": [1, 1], "ceil_mode": 1},
)


def max_pool(g: R) -> Pair:
    a, b = g.sample([*POOLS, {"dilations": [2]}, {"dilations": [3]}], 2)
    size = g.choice((2, 3))
    return (op(ROW, "MaxPool", kernel_shape=[size], **a),
            op(ROW, "MaxPool", kernel_shape=[size], **b))


def mean_pool(g: R) -> Pair:
    a, b = g.sample(POOLS, 2)
    size = g.choice((2, 3))
    return (op(ROW, "AveragePool", kernel_shape=[size], **a),
            op(ROW, "AveragePool", kernel_shape=[size], **b))


def padding_counts(g: R) -> Pair:
    given = {"kernel_shape": [3], "pads": g.choice(([1, 1], [1, 0], [0, 2]))}
    if g.random() < 0.4:
        given |= {"strides": [2], "ceil_mode": 1}
    return (op(ROW, "AveragePool", count_include_pad=1, **given), op(ROW, "AveragePool", **given))


def kernels(g: R) -> Pair:
    kind = g.choice(("MaxPool", "AveragePool"))
    return op(IMAGE, kind, kernel_shape=[2, 3]), op(IMAGE, kind, kernel_shape=[3, 2])


def whole_pool(g: R) -> Pair:
    return op((1, 2, 3), "GlobalMaxPool"), op((1, 2, 3), "GlobalAveragePool")


def reduced(g: R) -> Pair:
    kind = g.choice(("ReduceMax", "ReduceMean"))
    a, b = g.sample([{"axes": [0]}, {"axes": [1]}, {"axes": [-1]}, {"axes": [0, 1]}, {}], 2)
    return op((3, 3), kind, **a), op((3, 3), kind, **b)


def kept(g: R) -> Pair:
    """Without the axis, what is added next stretches the other way."""
    w = weights(g, 3, 3)
    pair = [chain((3, 3), ("ReduceSum", "h,one", "m", {"keepdims": k} if k < 2 else {}),
                  ("Mul", "m,w", "c", {}), one=ints(1), w=w) for k in (0, g.choice((1, 2)))]
    return pair[0], pair[1]


def noop(g: R) -> Pair:
    kind, opset = g.choice((("ReduceSum", 13), ("ReduceMean", 18), ("ReduceMax", 18)))
    return (op((2, 3), kind, ints(), noop_with_empty_axes=1, opset=opset),
            op((2, 3), kind, ints(), opset=opset))


def shape_part(g: R) -> Pair:
    """A part of the shape, and what is left, are the next shape; its first axis is summed."""
    pick = [{}, {"start": 1}, {"end": 2}, {"start": -1}, {"start": 1, "end": -1}]
    a, b = g.sample(pick, 2)
    pair = [chain((2, 3, 4), ("Shape", "h", "s", k), ("Concat", "s,rest", "t", {"axis": 0}),
                  ("Reshape", "h,t", "m", {}), ("ReduceSum", "m,zero", "c", {"keepdims": 0}),
                  rest=ints(-1), zero=ints(0)) for k in (a, b)]
    return pair[0], pair[1]


WINDOWS = {
    "Conv strides": conv_strides, "Conv dilations": conv_dilations, "Conv pads": conv_pads,
    "Conv auto_pad": conv_auto, "group": conv_group, "MaxPool": max_pool, "AveragePool": mean_pool,
    "count_include_pad": padding_counts, "kernel_shape": kernels, "global pools": whole_pool,
    "Reduce axes": reduced, "keepdims": kept, "noop_with_empty_axes": noop,
    "Shape start, end": shape_part,
}
KINDS = tuple(Kind("attribute", name, of_networks(make)) for name, make in WINDOWS.items())
