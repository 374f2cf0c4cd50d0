"""Operators over windows and axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from ...failures import MAX_SIZE, MAX_TERMS, need
from ...graph.forms import Form, total
from ...graph.symbolic import SymbolicTensor, along, built, combine, constants
from ..operator_call import OperatorCall


def windows(c: OperatorCall, kernel: Sequence[int]) -> list[list[list[int]]]:
    """For every spatial axis and output place the input places that it sees, -1 for padding, -2
    for what lies beyond the padding (where windows may end late)."""
    space, rank, axes = c.x[0].shape[2:], len(c.x[0].shape) - 2, []
    auto, late = c.attr("auto_pad", "NOTSET"), c.flag("ceil_mode")
    steps, gaps = c.attr("strides", [1] * rank), c.attr("dilations", [1] * rank)
    pads, counted = c.attr("pads", [0] * 2 * rank), c.attributes.get("count_include_pad", 0)
    need(auto == "NOTSET" or (auto in ("VALID", "SAME_UPPER", "SAME_LOWER") and not any(pads)
                              and not late), f"unsupported auto_pad {auto!r:.20}")
    for n, k, step, gap, a, b in zip(space, kernel, steps, gaps, pads[:rank], pads[rank:],
                                     strict=True):
        need(min(k, step, gap) > 0 and min(a, b) >= 0 and max(k, gap, a, b) < MAX_SIZE, "a window")
        reach = (k - 1) * gap + 1
        if auto[:4] == "SAME":
            whole = (-(-n // step) - 1) * step + reach - n
            # Sound: some readers cut elements away instead of adding some, or forget dilations.
            need(whole >= 0 and (gap == 1 or c.op == "Conv"), f"unsupported auto_pad {auto}")
            a, b = (whole // 2, -(-whole // 2))[:: 1 if auto == "SAME_UPPER" else -1]
        need(max(a, b) < k or c.op == "Conv", "unsupported pads as long as the window")
        starts = range(-a, n + b - reach + 1, step)
        if late and starts and starts[-1] + step < n and starts[-1] + reach < n + b:
            # Sound: readers differ on what a window that ends behind the padding is divided by.
            need(not counted, "unsupported ceil_mode with count_include_pad")
            starts = range(-a, starts[-1] + step + 1, step)
        need(0 < len(starts) * k < MAX_SIZE and not (late and starts[-1] >= n), "a window")
        axes.append([[p if 0 <= p < n else -1 if p < n + b else -2
                      for p in range(o, o + k * gap, gap)] for o in starts])
    return axes


def conv(c: OperatorCall) -> SymbolicTensor:
    t, weight, group = c.x[0].solid(), c.x[1], c.attr("group", 1)
    (batch, channels, *_), (outs, depth, *kernel) = t.shape, weight.shape
    need(c.attr("kernel_shape", kernel) == kernel and channels == depth * group
         and "ceil_mode" not in c.attributes, "a Conv's shapes")
    axes, each = windows(c, kernel), outs // group
    shape = (batch, outs, *map(len, axes))
    terms = math.prod(shape) * len(weight.items) // max(1, outs)
    need(weight.fixed and each * group == outs and terms <= MAX_TERMS, "an unsupported Conv")
    need(not c.x[2] or c.x[2].shape == (outs,), "a wrong bias")

    def cell(i: tuple[int, ...]) -> Form:
        near = [[(p, q) for q, p in enumerate(seen[k]) if p >= 0] for seen, k in zip(axes, i[2:])]
        taps = [tuple(zip(*pairs)) for pairs in product(*near)]
        return total((t.at((i[0], i[1] // each * depth + k, *p)), weight.at((i[1], k, *q))[1])
                     for p, q in taps for k in range(depth))

    found = built(c.graph, shape, cell)
    return found + c.x[2].shaped((outs, *[1] * len(kernel))) if c.x[2] else found


def mean_along(
    t: SymbolicTensor, axis: int, seen: list[Sequence[int]], padded: int = 0
) -> SymbolicTensor:
    """Means over windows of positions along an axis; only with `padded` is padding counted."""
    windows = [[p for p in w if p >= 0 or (padded and p == -1)] for w in seen]
    slices = [[(along(axis, [(t, p)]), Fraction(1, len(w))) for p in w] for w in windows]
    return along(axis, [(combine(*terms), 0) for terms in slices])


def max_along(t: SymbolicTensor, axis: int, seen: list[Sequence[int]]) -> SymbolicTensor:
    """Maxima over windows of positions along an axis, in rounds of pairs (one R each)."""
    windows: list[Any] = [[p for p in w if p >= 0] for w in seen]
    while any(len(w) > 1 for w in windows):
        rounds = [[*zip(w[::2], w[1::2]), *([(w[-1], -1)] if len(w) % 2 else [])] for w in windows]
        slots = {p: k for k, p in enumerate(dict.fromkeys(p for r in rounds for p in r))}
        pairs = {p: k for k, p in enumerate(p for p in slots if p[1] >= 0)}
        first, second = (along(axis, [(t, p[k]) for p in pairs]) for k in (0, 1))
        base = along(axis, [(t, a if b < 0 else b) for a, b in slots])
        gaps = (first - second).relu()
        t = base + along(axis, [(gaps, pairs.get(s, -1)) for s in slots])
        windows = [[slots[p] for p in r] for r in rounds]
    return along(axis, [(t, w[0]) for w in windows])


def pool(
    c: OperatorCall, join: Callable[..., SymbolicTensor], whole: bool = False, **options: Any
) -> SymbolicTensor:
    t, _ = c.x[0].solid(), c.attr("storage_order")  # of positions, which are not computed
    need(len(t.shape) > 2 and (whole or "kernel_shape" in c.attributes), "no windows")
    seen: Any = [[range(d)] for d in t.shape[2:]] if whole else windows(c, c.attr("kernel_shape"))
    c.flag("count_include_pad")
    for k, near in reversed(list(enumerate(seen))):
        t = join(t, 2 + k, near, **options)
    return t


def reduced(
    c: OperatorCall, join: Callable[..., SymbolicTensor], factor: int = 0
) -> SymbolicTensor:
    """Over axes; an empty list of them means all, or none."""
    t, noop, keep = c.x[0].solid(), c.flag("noop_with_empty_axes"), c.flag("keepdims", 1)
    need(c.attributes.get("axes", [0]), "unsupported empty list of axes")
    axes = c.axes(c.ints("axes", 1) or range(0 if not noop else len(t.shape), len(t.shape)))
    for k in sorted(axes, reverse=True):
        size = constants(c.graph, (), [t.shape[k] if factor else 1])
        t = join(t, k, [range(t.shape[k])]) * size
    return t.shaped([d for k, d in enumerate(t.shape) if keep or k not in axes])


def channels(t: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The sum over an axis, which goes."""
    count = t.shape[axis]
    found = mean_along(t, axis, [range(count)]) * constants(t.graph, (), [count])
    return found.shaped((*t.shape[:axis], *t.shape[axis + 1 :])).solid()
