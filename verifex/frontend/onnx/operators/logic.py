"""ONNX comparisons, boolean ops and Where: gates on the sign of a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.values import BOOL, Constant, Tensor, Truth, Value, Whole
from verifex.ir.exact import Number, as_exact

COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "Equal": np.equal,
}


def compare(name: str, call: Call) -> Result:
    """`a > b` is the gate of `a - b`; `a >= b` is the negated gate of `b - a`."""
    a, b = call.value(0), call.value(1)
    call.low.broadcast_shape(a.shape, b.shape)
    if isinstance(a, Whole) and isinstance(b, Whole):
        if a.dtype != b.dtype:
            raise InputError(f"{name} of different types", expected="one type")
        told = np.asarray(COMPARE[name](a.array, b.array), dtype=bool)
        return Whole(told, BOOL, call.computed)
    if isinstance(a, Constant) and isinstance(b, Constant):
        left, right = as_exact(a.value), as_exact(b.value)
        # Over a common denominator whole numbers compare exactly.
        told = COMPARE[name](left.num * right.den, right.num * left.den)
        return Whole(np.asarray(told, dtype=bool), BOOL)
    if name == "Equal":
        raise UnsupportedError("Equal of computed values", expected="constants")
    negated = name.endswith("OrEqual")
    sign = 1 if name in ("Greater", "LessOrEqual") else -1
    node = call.low.step(call.low.combine([(call.node(0), sign), (call.node(1), -sign)]))
    return Truth(node, call.low.shape(node), negated)


def negate(call: Call) -> Result:
    v = call.condition(0)
    if isinstance(v, Whole):
        return Whole(~v.array, BOOL, call.computed)
    return Truth(v.node, v.shape, not v.negated)


def junction(both: bool, call: Call) -> Result:
    """And (`both`) or Or of two conditions."""
    a, b = call.condition(0), call.condition(1)
    shape = call.low.broadcast_shape(a.shape, b.shape)
    if isinstance(a, Whole) and isinstance(b, Whole):
        told = np.asarray(a.array & b.array if both else a.array | b.array)
        return Whole(told, BOOL, call.computed)
    _refuse_computed(call)
    if isinstance(a, Truth) and isinstance(b, Truth):
        left, right = (call.low.expand(v.node, shape) for v in (a, b))
        if not (a.negated or b.negated) and both:
            return Truth(call.low.gate(left, right), shape)
        if a.negated and b.negated and not both:
            return Truth(call.low.gate(left, right), shape, True)
        return _count(call, [(left, a.negated), (right, b.negated)], both)
    known, open_ = (a, b) if isinstance(a, Whole) else (b, a)
    if isinstance(known, Whole) and isinstance(open_, Truth):
        return _with_known(call, known, open_, both)
    raise UnsupportedError(f"{call.op} of these inputs", expected="conditions")


def _count(call: Call, literals: list[tuple[int, bool]], both: bool) -> Truth:
    """The gate of `how many hold - (3/2 or 1/2)`, which is never zero."""
    terms: list[tuple[int, Number]] = [(x, -1 if negated else 1) for x, negated in literals]
    # Halves: the count is whole, so the gate's argument is at least a half away from its kink.
    offset = sum(negated for _, negated in literals) - (1.5 if both else 0.5)
    node = call.low.step(call.low.combine(terms, np.array(float(offset))))
    return Truth(node, call.low.shape(node))


def _with_known(call: Call, known: Whole, open_: Truth, both: bool) -> Truth:
    """And or Or with a constant: where that decides nothing, the computed condition is left."""
    shape = call.low.broadcast_shape(known.shape, open_.shape)
    # In terms of the gate itself: conjunction with keep where it shows through, else 0 or 1.
    decided = np.broadcast_to(~known.array if both else known.array, shape)
    gate_value = both == open_.negated  # the gate's value at decided places
    places = np.broadcast_to(
        np.arange(int(np.prod(open_.shape))).reshape(open_.shape), shape)
    if not gate_value:
        node = call.low.move_node(open_.node, lambda a: np.where(decided, -1, places))
        return Truth(node, shape, open_.negated)
    node = call.low.expand(open_.node, shape)
    node = call.low.step(call.low.combine([(node, 1)], np.where(decided, 0.5, -0.5)))
    return Truth(node, shape, open_.negated)


def _refuse_computed(call: Call) -> None:
    if call.computed:
        raise UnsupportedError(f"{call.op} by a condition on computed integers",
                               expected="integers as shapes, axes and indices")


def where(call: Call) -> Result:
    """`b + gate * (a - b)`."""
    cond, a, b = call.condition(0), call.value(1), call.value(2)
    shape = call.low.broadcast_shape(cond.shape, a.shape, b.shape)
    if isinstance(cond, Whole):
        return _select(call, cond, a, b)
    if isinstance(a, Whole) or isinstance(b, Whole):
        raise UnsupportedError("Where between integers", expected="floats")
    # A negated gate is 0 where the condition holds: the branches change places.
    first, second = (b, a) if cond.negated else (a, b)
    x, y = call.as_node(first), call.as_node(second)
    gap = call.low.combine([(x, 1), (y, -1)], shape=shape)
    return call.low.combine([(call.low.gate(call.low.expand(cond.node, shape), gap), 1), (y, 1)])


def _select(call: Call, cond: Whole, left: Value, right: Value) -> Result:
    """Where with a constant condition: elements of one or the other."""
    if left.dtype != right.dtype:
        raise InputError("Where between different types", expected="one type")
    shape = call.low.broadcast_shape(cond.shape, left.shape, right.shape)
    if isinstance(left, Whole) and isinstance(right, Whole):
        return Whole(np.where(cond.array, left.array, right.array), left.dtype, call.computed)
    _refuse_computed(call)
    if isinstance(left, Truth | Whole) or isinstance(right, Truth | Whole):
        raise UnsupportedError("Where between conditions", expected="floats")
    chosen = np.broadcast_to(cond.array, shape)

    def part(value: Constant | Tensor, mask: Any) -> int:
        places = np.broadcast_to(np.arange(int(np.prod(value.shape))).reshape(value.shape), shape)
        return call.as_node(call.low.pick(value, np.where(mask, places, -1)))

    return call.low.combine([(part(left, chosen), 1), (part(right, ~chosen), 1)])


RULES: Mapping[str, Rule] = {
    **{name: Rule(partial(compare, name), 2, 2) for name in COMPARE},
    "Not": Rule(negate), "And": Rule(partial(junction, True), 2, 2),
    "Or": Rule(partial(junction, False), 2, 2), "Where": Rule(where, 3, 3),
}
