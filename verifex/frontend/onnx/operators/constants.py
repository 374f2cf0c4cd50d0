"""ONNX ops about constants, shapes and types, and those that do nothing at inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule, whole_as_float
from verifex.frontend.onnx.values import (
    BFLOAT16,
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT16,
    FLOATS,
    INT32,
    INT64,
    INTEGER_RANGES,
    Constant,
    Tensor,
    Truth,
    Value,
    Whole,
    dtype_name,
)
from verifex.ir.exact import ExactArray

WIDER: Mapping[int, frozenset[int]] = {
    FLOAT16: frozenset({FLOAT, DOUBLE}), BFLOAT16: frozenset({FLOAT, DOUBLE}),
    FLOAT: frozenset({DOUBLE}), DOUBLE: frozenset(),
}
"""The float types that hold every number of another: no cast to them rounds or overflows."""


def identity(call: Call) -> Result:
    return call.value(0)


def dropout(call: Call) -> Result:
    """Dropout at inference changes nothing."""
    if call.opset < 12:
        call.float_("ratio", 0.5)
        return call.value(0)
    call.int_("seed", 0)
    if call.has(2):
        training = call.condition(2)
        if isinstance(training, Truth) or bool(training.array.any()):
            raise UnsupportedError("Dropout in training mode", expected="inference")
    return call.value(0)


def shape_of(call: Call) -> Result:
    shape = call.shape(0)
    if call.opset < 15:
        return Whole(np.array(shape, dtype=np.int64), INT64)
    rank = len(shape)
    start, end = call.int_("start", 0), call.int_("end", rank)
    if any(not -rank <= k <= rank for k in (start, end)):  # cut down in different ways by readers
        raise UnsupportedError(f"Shape from {start} to {end} of {rank} axes",
                               expected="axes that are there")
    return Whole(np.array(shape[start:end], dtype=np.int64), INT64)


def size_of(call: Call) -> Result:
    return Whole(np.array(math.prod(call.shape(0)), dtype=np.int64), INT64)


def constant(call: Call) -> Result:
    """A constant given by any one of the value attributes."""
    if len(call.attributes) != 1:
        raise InputError(
            f"Constant with attributes {sorted(call.attributes)}", expected="one value"
        )
    (name,) = call.attributes
    if name == "value":
        found = call.tensor_("value")
        if found is not None:
            return found
    if name == "value_float":
        return Constant(np.array(float(call.float_(name, 0.0))), FLOAT)
    if name == "value_floats":
        values = np.array(call.floats_(name), dtype=np.float64)
        if not np.isfinite(values).all():
            raise InputError("Constant holds a NaN or an infinity", expected="finite numbers")
        return Constant(values, FLOAT)
    if name == "value_int":
        return Whole(np.array(call.int_(name, 0), dtype=np.int64), INT64)
    if name == "value_ints":
        return Whole(np.array(call.ints_(name), dtype=np.int64), INT64)
    raise UnsupportedError(f"Constant given by '{name}'", expected="a dense numeric value")


def constant_of_shape(call: Call) -> Result:
    shape = call.low.limits.shape(call.ints(0))
    fill = call.tensor_("value") or Constant(np.zeros(1), FLOAT)
    if math.prod(fill.shape) != 1:
        raise InputError(f"ConstantOfShape of a value of shape {list(fill.shape)}",
                         expected="one element")
    return call.low.pick(fill, np.broadcast_to(np.int64(0), shape))


def cast(call: Call) -> Result:
    """Another element type for the same real numbers; refused where some would be rounded."""
    v, to = call.value(0), call.int_("to", 0)
    if call.opset >= 19:
        call.flag("saturate", True)  # speaks about float8 only
    return cast_value(call, v, to)


def cast_like(call: Call) -> Result:
    if call.opset >= 19:
        call.flag("saturate", True)
    return cast_value(call, call.value(0), call.value(1).dtype)


def cast_value(call: Call, value: Value, to: int) -> Value:
    if to == value.dtype:
        return value
    if isinstance(value, Truth) and to in FLOATS:
        if not value.negated:
            return Tensor(value.node, value.shape, to)
        return call.low.wrap(call.low.combine([(value.node, -1)], np.ones(())), to)
    if isinstance(value, Tensor) and value.dtype in INTEGER_RANGES and to in FLOATS:
        return whole_as_float(call.low, value, to)
    if isinstance(value, Tensor) and to in (INT32, INT64):
        # Of whole numbers that the type holds the Cast keeps each; what floats it cuts off, or
        # makes of those beyond, is no part of the network.
        call.low.hold_whole(value.node, *INTEGER_RANGES[to],
                            computed=value.dtype in INTEGER_RANGES and to in (INT32, INT64))
        return Tensor(value.node, value.shape, to)
    if isinstance(value, Tensor) and to in WIDER.get(value.dtype, ()):
        return replace(value, dtype=to)
    if isinstance(value, Tensor | Truth):
        raise UnsupportedError(f"Cast of a computed {dtype_name(value.dtype)} to {dtype_name(to)}",
                               expected="a type that holds every number of the first")
    if isinstance(value, Constant):
        return _cast_floats(value, to)
    if to in INTEGER_RANGES:
        low, high = INTEGER_RANGES[to]
        if any(not low <= int(n) <= high for n in value.array.ravel()):
            raise InputError(f"Cast overflows {dtype_name(to)}", expected="numbers that fit")
        return Whole(value.array.astype(np.int64), to, value.computed)
    if to == BOOL:
        return Whole(value.array != 0, BOOL, value.computed)
    if to in FLOATS:
        if value.computed:
            raise UnsupportedError(f"Cast of computed integers to {dtype_name(to)}",
                                   expected="integers as shapes, axes and indices")
        if any(abs(int(n)) > 2**53 for n in value.array.ravel()):
            raise UnsupportedError(f"Cast of an integer beyond 2^53 to {dtype_name(to)}",
                                   expected="numbers that are not rounded")
        return _held(value.array.astype(np.float64), to)
    raise UnsupportedError(f"Cast to {dtype_name(to)}", expected="a number type")


def _cast_floats(value: Constant, to: int) -> Value:
    """Floats known at import as another float type, which has to hold them as they are."""
    if to not in FLOATS:
        raise UnsupportedError(f"Cast of {dtype_name(value.dtype)} to {dtype_name(to)}",
                               expected="floats")
    if to in WIDER[value.dtype]:
        return Constant(value.value, to)  # computed ones are real numbers: nothing is rounded
    if isinstance(value.value, ExactArray):
        raise UnsupportedError(f"Cast to {dtype_name(to)} that rounds",
                               expected="constants that the type holds")
    return _held(value.value, to)


def _held(values: Any, to: int) -> Constant:
    """float64 values as constants of a float type; refused where it would round them."""
    kind = {FLOAT: np.float32, BFLOAT16: np.float32, FLOAT16: np.float16, DOUBLE: np.float64}[to]
    with np.errstate(over="ignore"):
        short = values.astype(kind)
        if to == BFLOAT16:  # the upper half of the bits of a float32
            short = (short.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        kept = short.astype(np.float64)
    if not (kept == values).all():
        raise UnsupportedError(f"Cast to {dtype_name(to)} that rounds or overflows",
                               expected="constants that the type holds")
    return Constant(values, to)


def range_(call: Call) -> Result:
    """An integer range with constant ends."""
    if not call.all_whole or any(math.prod(call.shape(i)) != 1 for i in range(3)):
        raise UnsupportedError("Range of floats or computed ends", expected="constant integers")
    start, limit, delta = (call.ints(i)[0] for i in range(3))
    if delta == 0:
        raise InputError("Range with delta 0", expected="another delta")
    count = len(range(start, limit, delta))
    call.low.limits.shape((count,))
    found = call.integers(np.array(range(start, limit, delta), dtype=object))
    return Whole(found.array, found.dtype, call.computed)


RULES: Mapping[str, Rule] = {
    "Identity": Rule(identity), "Dropout": Rule(dropout, 1, 3),
    "Shape": Rule(shape_of), "Size": Rule(size_of), "Constant": Rule(constant, 0, 0),
    "ConstantOfShape": Rule(constant_of_shape), "Cast": Rule(cast),
    "CastLike": Rule(cast_like, 2, 2), "Range": Rule(range_, 3, 3),
}
