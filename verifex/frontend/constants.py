"""ONNX ops about constants, shapes and types, and those that do nothing at inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.call import Call, Result, Rule
from verifex.frontend.values import (
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
from verifex.ir.exact import ExactArray, as_exact


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
    if isinstance(v, Tensor) and to in (FLOAT, DOUBLE) and to in FLOATS:
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
    if to == DOUBLE:
        return values
    if to not in (FLOAT, FLOAT16):
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
    "Identity": Rule(identity), "Dropout": Rule(dropout, 1, 3, mixed=True),
    "Shape": Rule(shape_of), "Size": Rule(size_of), "Constant": Rule(constant, 0, 0),
    "ConstantOfShape": Rule(constant_of_shape), "Cast": Rule(cast),
    "CastLike": Rule(cast_like, 2, 2, mixed=True), "Range": Rule(range_, 3, 3),
}
