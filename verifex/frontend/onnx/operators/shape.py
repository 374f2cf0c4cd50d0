"""ONNX ops that only give elements another shape or order, join tensors or take them apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule, normal_axes, normal_axis
from verifex.frontend.onnx.values import (
    INTEGER_RANGES,
    Constant,
    Tensor,
    Truth,
    Value,
    Whole,
)
from verifex.ir.exact import ExactArray, as_exact, as_float
from verifex.ir.ops import Concat


def reshape_to(call: Call, value: Value, shape: Sequence[int]) -> Value:
    """`value` with another shape of the same size."""
    wanted = call.low.limits.shape(shape)
    if math.prod(wanted) != math.prod(value.shape):
        raise InputError(f"{call.op} from {list(value.shape)} to {list(shape)}",
                         expected="as many elements")
    return call.low.move(value, lambda a: a.reshape(wanted))


def reshape(call: Call) -> Result:
    v, wanted = call.value(0), call.ints(1)
    keep_zero = call.opset >= 14 and call.flag("allowzero", False)
    if len(call.shape(1)) != 1 or (keep_zero and 0 in wanted and -1 in wanted):
        raise InputError(f"Reshape to {wanted}", expected="a list, 0 and -1 not both as they are")
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
    return reshape_to(call, v, wanted)


def flatten(call: Call) -> Result:
    v = call.value(0)
    axis = call.int_("axis", 1)
    if axis < 0 and call.opset < 11:
        raise InputError(f"Flatten with axis {axis}", expected="no negative axis before set 11")
    axis = normal_axis(axis, len(v.shape), end=True)
    return reshape_to(call, v, (math.prod(v.shape[:axis]), math.prod(v.shape[axis:])))


def _axes(call: Call, since: int) -> list[int] | None:
    """`axes` as the attribute it was before opset `since`, or as the second input."""
    if call.opset < since:
        return call.ints_("axes")
    return call.ints(1) if call.has(1) else None


def squeeze(call: Call) -> Result:
    v = call.value(0)
    given = _axes(call, 13)
    axes = (
        [k for k, d in enumerate(v.shape) if d == 1] if given is None
        else normal_axes(given, len(v.shape))
    )
    if given == [] and 1 in v.shape:  # all axes of length one for some readers, none for others
        raise UnsupportedError("Squeeze of an empty list of axes", expected="axes, or none given")
    if any(v.shape[k] != 1 for k in axes):
        raise InputError(f"Squeeze of axes {axes} of shape {list(v.shape)}",
                         expected="axes of length one")
    return reshape_to(call, v, [d for k, d in enumerate(v.shape) if k not in axes])


def unsqueeze(call: Call) -> Result:
    v = call.value(0)
    given = _axes(call, 13)
    if not given:
        raise InputError("Unsqueeze without axes", expected="axes")
    rank = len(v.shape) + len(given)
    axes = normal_axes(given, rank)
    if (call.opset < 13 and axes != sorted(axes)) or (call.opset < 11 and min(given) < 0):
        # Some readers of old operator sets put in one axis after the other, counting anew.
        raise UnsupportedError(f"Unsqueeze with axes {given}", expected="axes in rising order")
    rest = iter(v.shape)
    return reshape_to(call, v, [1 if k in axes else next(rest) for k in range(rank)])


def transpose(call: Call) -> Result:
    v = call.value(0)
    rank = len(v.shape)
    perm = call.ints_("perm")
    order = list(range(rank))[::-1] if perm is None else perm
    if sorted(order) != list(range(rank)):
        raise InputError(f"Transpose by {order}", expected=f"an order of {rank} axes")
    return call.low.move(v, lambda a: a.transpose(order))


def concat(call: Call) -> Result:
    values = [call.value(i) for i in range(len(call.inputs))]
    if not call.given("axis"):
        raise InputError("Concat without axis", expected="attribute 'axis'")
    rank = len(values[0].shape)
    axis = normal_axis(call.int_("axis", 0), rank)
    rests = {(*v.shape[:axis], *v.shape[axis + 1:]) for v in values if len(v.shape) == rank}
    if len(rests) != 1 or any(len(v.shape) != rank for v in values):
        raise InputError("Concat of " + ", ".join(str(list(v.shape)) for v in values),
                         expected="equal shapes off the axis")
    if len({v.dtype for v in values}) != 1:
        raise InputError("Concat of different types", expected="one type")
    length = sum(v.shape[axis] for v in values)
    call.low.limits.shape((*values[0].shape[:axis], length, *values[0].shape[axis + 1:]))
    return _join(call, values, axis)


def _join(call: Call, values: list[Value], axis: int) -> Value:
    if len(values) == 1:
        return values[0]
    whole = [v.array for v in values if isinstance(v, Whole)]
    if len(whole) == len(values):
        return Whole(np.concatenate(whole, axis), values[0].dtype, call.computed)
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
        # Of gates and their negations no single node has the values; a Cast makes floats of both.
        if len(truths) != len(values) or len({t.negated for t in truths}) != 1:
            raise UnsupportedError("Concat of mixed conditions", expected="a Cast before it")
        node = call.low.add(Concat(axis), *(t.node for t in truths))
        return Truth(node, call.low.shape(node), truths[0].negated)
    if values[0].dtype in INTEGER_RANGES and all(isinstance(v, Tensor) for v in values):
        nodes = [v.node for v in values if isinstance(v, Tensor)]
    else:
        nodes = [call.as_node(v) for v in values]
    node = call.low.add(Concat(axis), *nodes)
    return Tensor(node, call.low.shape(node), values[0].dtype)


def split(call: Call) -> Result:
    v = call.value(0)
    axis = normal_axis(call.int_("axis", 0), len(v.shape))
    size = v.shape[axis]
    sizes = call.ints_("split") if call.opset < 13 else (call.ints(1) if call.has(1) else None)
    if sizes is not None and call.given("num_outputs"):
        raise InputError("Split with both split and num_outputs", expected="one of them")
    if sizes is None:
        parts = call.int_("num_outputs", call.n_outputs) if call.opset >= 18 else call.n_outputs
        if parts != call.n_outputs:
            raise InputError(
                f"Split into {parts} with {call.n_outputs} outputs", expected="as many"
            )
        if call.opset < 18 and size % parts:
            raise InputError(f"Split of {size} into {parts}", expected="equal parts")
        # Since set 18 the last part may be shorter.
        chunk = -(-size // parts)
        if size % parts and chunk * (parts - 1) >= size:
            raise UnsupportedError(f"Split of {size} into {parts}", expected="parts not empty")
        sizes = [max(0, min(chunk, size - k * chunk)) for k in range(parts)]
    if len(sizes) != call.n_outputs or any(s < 0 for s in sizes) or sum(sizes) != size:
        raise InputError(f"Split of {size} into {sizes}", expected=f"{call.n_outputs} parts in all")
    ends = np.cumsum([0, *sizes]).tolist()
    return [
        call.low.move(v, partial(np.take, indices=range(lo, hi), axis=axis))
        for lo, hi in pairwise(ends)
    ]


RULES: Mapping[str, Rule] = {
    "Reshape": Rule(reshape, 2, 2), "Flatten": Rule(flatten), "Squeeze": Rule(squeeze, 1, 2),
    "Unsqueeze": Rule(unsqueeze, 1, 2), "Transpose": Rule(transpose),
    "Concat": Rule(concat, 1, None), "Split": Rule(split, 1, 2),
}
