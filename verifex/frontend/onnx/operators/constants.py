"""ONNX ops about constants, shapes and types, and those that do nothing at inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.values import (
    BFLOAT16,
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT16,
    FLOATS,
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
    rank = len(shape)
    start, end = c.int_("start", 0), c.int_("end", rank)
    if any(not -rank <= k <= rank for k in (start, end)):  # cut down in different ways by readers
        raise UnsupportedError(f"Shape from {start} to {end} of {rank} axes",
                               expected="axes that are there")
    return Whole(np.array(shape[start:end], dtype=np.int64), INT64)


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
        c.flag("saturate", True)  # speaks about float8 only
    return cast_value(c, v, to)


def cast_like(c: Call) -> Result:
    if c.opset >= 19:
        c.flag("saturate", True)
    return cast_value(c, c.value(0), c.value(1).dtype)


def cast_value(c: Call, v: Value, to: int) -> Value:
    if to == v.dtype:
        return v
    if isinstance(v, Truth) and to in FLOATS:
        if not v.negated:
            return Tensor(v.node, v.shape, to)
        return c.low.wrap(c.low.combine([(v.node, -1)], np.ones(())), to)
    if isinstance(v, Tensor) and to in WIDER[v.dtype]:
        return Tensor(v.node, v.shape, to)
    if isinstance(v, Tensor | Truth):
        raise UnsupportedError(f"Cast of a computed {dtype_name(v.dtype)} to {dtype_name(to)}",
                               expected="a type that holds every number of the first")
    if isinstance(v, Constant):
        return _cast_floats(v, to)
    if to in INTEGER_RANGES:
        low, high = INTEGER_RANGES[to]
        if any(not low <= int(n) <= high for n in v.array.ravel()):
            raise InputError(f"Cast overflows {dtype_name(to)}", expected="numbers that fit")
        return Whole(v.array.astype(np.int64), to, v.computed)
    if to == BOOL:
        return Whole(v.array != 0, BOOL, v.computed)
    if to in FLOATS:
        if v.computed:
            raise UnsupportedError(f"Cast of computed integers to {dtype_name(to)}",
                                   expected="integers as shapes, axes and indices")
        if any(abs(int(n)) > 2**53 for n in v.array.ravel()):
            raise UnsupportedError(f"Cast of an integer beyond 2^53 to {dtype_name(to)}",
                                   expected="numbers that are not rounded")
        return _held(v.array.astype(np.float64), to)
    raise UnsupportedError(f"Cast to {dtype_name(to)}", expected="a number type")


def _cast_floats(v: Constant, to: int) -> Value:
    """Floats known at import as another float type, which has to hold them as they are."""
    if to not in FLOATS:
        raise UnsupportedError(f"Cast of {dtype_name(v.dtype)} to {dtype_name(to)}",
                               expected="floats")
    if to in WIDER[v.dtype]:
        return Constant(v.value, to)  # computed ones are real numbers: nothing is rounded
    if isinstance(v.value, ExactArray):
        raise UnsupportedError(f"Cast to {dtype_name(to)} that rounds",
                               expected="constants that the type holds")
    return _held(v.value, to)


def _held(values: Any, to: int) -> Constant:
    """float64 values as constants of a float type; refused where it would round them."""
    if to not in (FLOAT, FLOAT16, DOUBLE):
        raise UnsupportedError(f"Cast of a constant to {dtype_name(to)}",
                               expected="float32, float64 or float16")
    kind = {FLOAT: np.float32, FLOAT16: np.float16, DOUBLE: np.float64}[to]
    with np.errstate(over="ignore"):
        kept = values.astype(kind).astype(np.float64)
    if not (kept == values).all():
        raise UnsupportedError(f"Cast to {dtype_name(to)} that rounds or overflows",
                               expected="constants that the type holds")
    return Constant(values, to)


def range_(c: Call) -> Result:
    """An integer range with constant ends."""
    if not c.all_whole or any(math.prod(c.shape(i)) != 1 for i in range(3)):
        raise UnsupportedError("Range of floats or computed ends", expected="constant integers")
    start, limit, delta = (c.ints(i)[0] for i in range(3))
    if delta == 0:
        raise InputError("Range with delta 0", expected="another delta")
    count = len(range(start, limit, delta))
    c.low.limits.shape((count,))
    found = c.integers(np.array(range(start, limit, delta), dtype=object))
    return Whole(found.array, found.dtype, c.computed)


RULES: Mapping[str, Rule] = {
    "Identity": Rule(identity), "Dropout": Rule(dropout, 1, 3),
    "Shape": Rule(shape_of), "Size": Rule(size_of), "Constant": Rule(constant, 0, 0),
    "ConstantOfShape": Rule(constant_of_shape), "Cast": Rule(cast),
    "CastLike": Rule(cast_like, 2, 2), "Range": Rule(range_, 3, 3),
}
