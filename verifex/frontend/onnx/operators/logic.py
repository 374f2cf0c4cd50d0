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


def compare(name: str, c: Call) -> Result:
    """`a > b` is the gate of `a - b`; `a >= b` is the negated gate of `b - a`."""
    a, b = c.value(0), c.value(1)
    c.low.broadcast_shape(a.shape, b.shape)
    if isinstance(a, Whole) and isinstance(b, Whole):
        if a.dtype != b.dtype:
            raise InputError(f"{name} of different types", expected="one type")
        told = np.asarray(COMPARE[name](a.array, b.array), dtype=bool)
        return Whole(told, BOOL, c.computed)
    if isinstance(a, Constant) and isinstance(b, Constant):
        left, right = as_exact(a.value), as_exact(b.value)
        told = COMPARE[name](left.num * right.den, right.num * left.den)
        return Whole(np.asarray(told, dtype=bool), BOOL)
    if name == "Equal":
        raise UnsupportedError("Equal of computed values", expected="constants")
    negated = name.endswith("OrEqual")
    sign = 1 if name in ("Greater", "LessOrEqual") else -1
    node = c.low.step(c.low.combine([(c.node(0), sign), (c.node(1), -sign)]))
    return Truth(node, c.low.shape(node), negated)


def negate(c: Call) -> Result:
    v = c.condition(0)
    if isinstance(v, Whole):
        return Whole(~v.array, BOOL, c.computed)
    return Truth(v.node, v.shape, not v.negated)


def junction(both: bool, c: Call) -> Result:
    """And / Or."""
    a, b = c.condition(0), c.condition(1)
    shape = c.low.broadcast_shape(a.shape, b.shape)
    if isinstance(a, Whole) and isinstance(b, Whole):
        told = np.asarray(a.array & b.array if both else a.array | b.array)
        return Whole(told, BOOL, c.computed)
    _refuse_computed(c)
    if isinstance(a, Truth) and isinstance(b, Truth):
        left, right = (c.low.expand(v.node, shape) for v in (a, b))
        if not (a.negated or b.negated) and both:
            return Truth(c.low.gate(left, right), shape)
        if a.negated and b.negated and not both:
            return Truth(c.low.gate(left, right), shape, True)
        return _count(c, [(left, a.negated), (right, b.negated)], both)
    known, open_ = (a, b) if isinstance(a, Whole) else (b, a)
    if isinstance(known, Whole) and isinstance(open_, Truth):
        return _with_known(c, known, open_, both)
    raise UnsupportedError(f"{c.op} of these inputs", expected="conditions")


def _count(c: Call, literals: list[tuple[int, bool]], both: bool) -> Truth:
    """The gate of `how many hold - (3/2 or 1/2)`, which is never zero."""
    terms: list[tuple[int, Number]] = [(x, -1 if negated else 1) for x, negated in literals]
    offset = sum(negated for _, negated in literals) - (1.5 if both else 0.5)
    node = c.low.step(c.low.combine(terms, np.array(float(offset))))
    return Truth(node, c.low.shape(node))


def _with_known(c: Call, known: Whole, open_: Truth, both: bool) -> Truth:
    """And / Or with a constant: keep the open condition where the constant does not decide."""
    shape = c.low.broadcast_shape(known.shape, open_.shape)
    # In terms of the gate itself: conjunction with keep where it shows through, else 0 or 1.
    decided = np.broadcast_to(~known.array if both else known.array, shape)
    gate_value = both == open_.negated  # the gate's value at decided places
    places = np.broadcast_to(
        np.arange(int(np.prod(open_.shape))).reshape(open_.shape), shape)
    if not gate_value:
        node = c.low.move_node(open_.node, lambda a: np.where(decided, -1, places))
        return Truth(node, shape, open_.negated)
    node = c.low.expand(open_.node, shape)
    node = c.low.step(c.low.combine([(node, 1)], np.where(decided, 0.5, -0.5)))
    return Truth(node, shape, open_.negated)


def _refuse_computed(c: Call) -> None:
    if c.computed:
        raise UnsupportedError(f"{c.op} by a condition on computed integers",
                               expected="integers as shapes, axes and indices")


def where(c: Call) -> Result:
    """`b + gate * (a - b)`."""
    cond, a, b = c.condition(0), c.value(1), c.value(2)
    shape = c.low.broadcast_shape(cond.shape, a.shape, b.shape)
    if isinstance(cond, Whole):
        return _select(c, cond, a, b)
    if isinstance(a, Whole) or isinstance(b, Whole):
        raise UnsupportedError("Where between integers", expected="floats")
    first, second = (b, a) if cond.negated else (a, b)
    x, y = c.as_node(first), c.as_node(second)
    gap = c.low.combine([(x, 1), (y, -1)], shape=shape)
    return c.low.combine([(c.low.gate(c.low.expand(cond.node, shape), gap), 1), (y, 1)])


def _select(c: Call, cond: Whole, a: Value, b: Value) -> Result:
    """Where with a constant condition: elements of one or the other."""
    if a.dtype != b.dtype:
        raise InputError("Where between different types", expected="one type")
    shape = c.low.broadcast_shape(cond.shape, a.shape, b.shape)
    if isinstance(a, Whole) and isinstance(b, Whole):
        return Whole(np.where(cond.array, a.array, b.array), a.dtype, c.computed)
    _refuse_computed(c)
    if isinstance(a, Truth | Whole) or isinstance(b, Truth | Whole):
        raise UnsupportedError("Where between conditions", expected="floats")
    chosen = np.broadcast_to(cond.array, shape)

    def part(v: Constant | Tensor, mask: Any) -> int:
        places = np.broadcast_to(np.arange(int(np.prod(v.shape))).reshape(v.shape), shape)
        return c.as_node(c.low.pick(v, np.where(mask, places, -1)))

    return c.low.combine([(part(a, chosen), 1), (part(b, ~chosen), 1)])


RULES: Mapping[str, Rule] = {
    **{name: Rule(partial(compare, name), 2, 2) for name in COMPARE},
    "Not": Rule(negate), "And": Rule(partial(junction, True), 2, 2),
    "Or": Rule(partial(junction, False), 2, 2), "Where": Rule(where, 3, 3),
}
