"""The values that tensors of an ONNX graph become, and arithmetic on constants without rounding.

    Constant   floats known at import, kept exact
    Whole      integers or booleans known at import (shapes, axes, masks)
    Tensor     a float tensor computed by a node of the graph
    Truth      a boolean tensor computed by a gate, possibly negated
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError
from verifex.frontend.limits import Limits
from verifex.ir.exact import ExactArray, FloatArray, Number, Values, as_exact, numbers
from verifex.ir.graph import Head
from verifex.ir.linmap import Shape

UNDEFINED = 0
FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING, BOOL = 1, 2, 3, 4, 5, 6, 7, 8, 9
FLOAT16, DOUBLE, UINT32, UINT64, BFLOAT16 = 10, 11, 12, 13, 16
FLOATS = frozenset({FLOAT, DOUBLE, FLOAT16, BFLOAT16})
INTEGER_RANGES = {
    UINT8: (0, 2**8 - 1), INT8: (-(2**7), 2**7 - 1), UINT16: (0, 2**16 - 1),
    INT16: (-(2**15), 2**15 - 1), INT32: (-(2**31), 2**31 - 1), INT64: (-(2**63), 2**63 - 1),
    UINT32: (0, 2**32 - 1), UINT64: (0, 2**63 - 1),
}
LARGEST: Mapping[int, float] = {
    FLOAT: float(np.finfo(np.float32).max), DOUBLE: float(np.finfo(np.float64).max),
    FLOAT16: 65504.0, BFLOAT16: (2.0 - 2.0**-7) * 2.0**127,
}
"""The largest finite number of each float type."""

DTYPE_NAMES = {
    UNDEFINED: "undefined", FLOAT: "float32", UINT8: "uint8", INT8: "int8", UINT16: "uint16",
    INT16: "int16", INT32: "int32", INT64: "int64", STRING: "string", BOOL: "bool",
    FLOAT16: "float16", DOUBLE: "float64", UINT32: "uint32", UINT64: "uint64", 14: "complex64",
    15: "complex128", BFLOAT16: "bfloat16",
}


def dtype_name(dtype: int) -> str:
    """An ONNX element type as a person would write it."""
    return DTYPE_NAMES.get(dtype, f"element type {dtype}")


@dataclass(frozen=True, eq=False)
class Constant:
    """Floats known at import; `dtype` is the ONNX element type they are declared with."""

    value: Values
    dtype: int

    @property
    def shape(self) -> Shape:
        return self.value.shape


@dataclass(frozen=True, eq=False)
class Whole:
    """Integers (an int64 array) or booleans (a bool array) known at import.

    `computed` says that arithmetic on integers made them: they serve as shapes, axes and indices
    only, and never become floats.
    """

    array: NDArray[Any]
    dtype: int
    computed: bool = False

    @property
    def shape(self) -> Shape:
        return self.array.shape


@dataclass(frozen=True)
class Tensor:
    """The float tensor that graph node `node` computes.

    `head` says that it is a known smooth function of logits, which operators that keep all elements
    in their order pass on, and every other drops (see `operators/heads.py`).
    """

    node: int
    shape: Shape
    dtype: int
    head: Head | None = None


@dataclass(frozen=True)
class Truth:
    """The boolean tensor that gate `node` computes, or its negation."""

    node: int
    shape: Shape
    negated: bool = False
    dtype: int = BOOL


Value: TypeAlias = Constant | Whole | Tensor | Truth


# --- exact arithmetic on constants ------------------------------------------------------------


def simplify(values: ExactArray) -> Values:
    """The same numbers as float64 where every one is a float, else in lowest common terms."""
    common = math.gcd(values.den, *values.num.ravel().tolist())
    reduced = ExactArray(np.asarray(values.num // common, dtype=object), values.den // common)
    # Only a power of two can be the denominator of a float.
    if reduced.den & (reduced.den - 1) == 0:
        nearest = reduced.to_float()
        if np.isfinite(nearest).all():
            back = ExactArray.from_float(nearest)
            if np.all(back.num * reduced.den == reduced.num * back.den):
                return nearest
    return reduced


def float_add(left: Values, right: Values) -> FloatArray | None:
    """`left + right` where every sum is a float, else None."""
    if isinstance(left, ExactArray) or isinstance(right, ExactArray):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        total = left + right
        part = total - left  # Knuth's error-free sum: the rounding error is itself a float
        error = (left - (total - part)) + (right - part)
    return np.asarray(total) if np.isfinite(total).all() and not error.any() else None


def float_mul(left: Values, right: Values) -> FloatArray | None:
    """`left * right` where every product is a float, else None."""
    if isinstance(left, ExactArray) or isinstance(right, ExactArray):
        return None
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        product = left * right
        size = np.abs(product)
        # Dekker's error-free product needs room at both ends of the exponent range.
        room = (size == 0) & ((left == 0) | (right == 0)) | (size > 2.0**-900) & (size < 2.0**900)
        (a_high, a_low), (b_high, b_low) = _halves(left), _halves(right)
        error = a_low * b_low - (
            ((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return np.asarray(product) if room.all() and not error.any() else None


def _halves(left: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Veltkamp's split of a float into two of 26 bits."""
    spread = left * (2.0**27 + 1)
    high = spread - (spread - left)
    return high, left - high


def exact_add(left: Values, right: Values) -> Values:
    """`left + right` without rounding, shapes broadcast."""
    quick = float_add(left, right)
    return simplify(as_exact(left) + as_exact(right)) if quick is None else quick


def exact_mul(left: Values, right: Values) -> Values:
    """`left * right` without rounding, shapes broadcast."""
    quick = float_mul(left, right)
    return simplify(as_exact(left) * as_exact(right)) if quick is None else quick


def exact_scale(values: Values, factor: Number) -> Values:
    """`factor * values` without rounding."""
    if factor == 1:
        return values
    if factor == -1:
        return -values
    if Fraction(float(factor)) == factor:
        return exact_mul(values, np.array(float(factor)))
    return simplify(as_exact(values).scaled(Fraction(factor)))


def exact_reciprocal(values: Values) -> Values:
    """`1 / values` without rounding; InputError where an element is zero."""
    exact = as_exact(values)
    if np.any(exact.num == 0):
        raise InputError("a division by a constant zero", expected="non-zero constants")
    return simplify(ExactArray.from_numbers((1 / f for f in exact.fractions()), exact.shape))


def within(value: Constant) -> Constant:
    """The constant itself; InputError where a number lies beyond its element type's range."""
    top = LARGEST[value.dtype]
    if isinstance(value.value, ExactArray):
        most = Fraction(top) * value.value.den
        fits = all(abs(n) <= most for n in value.value.num.ravel().tolist())
    else:
        fits = bool((np.abs(value.value) <= top).all())
    if not fits:
        raise InputError(f"a constant beyond the range of {dtype_name(value.dtype)}",
                         expected="smaller numbers")
    return value


def uniform(values: Values) -> Number | None:
    """The number that every element equals, None where they differ or there are none."""
    flat = (values.num if isinstance(values, ExactArray) else values).ravel()
    if flat.size == 0 or not np.all(flat == flat[0]):
        return None
    return Fraction(flat[0], values.den) if isinstance(values, ExactArray) else float(flat[0])


def rearrange(values: Values, fn: Callable[[Any], Any]) -> Values:
    """Apply a pure rearrangement of elements (a numpy function) to a constant."""
    if isinstance(values, ExactArray):
        return ExactArray(np.asarray(fn(values.num), dtype=object), values.den)
    return np.asarray(fn(values), dtype=np.float64)


def check_bits(values: Values, limits: Limits) -> None:
    """InputError where a numerator or the denominator has more bits than the limits allow."""
    if isinstance(values, ExactArray):
        longest = max((abs(n).bit_length() for n in values.num.ravel().tolist()), default=0)
        if max(longest, values.den.bit_length()) > limits.max_bits:
            raise InputError("a constant needs too many digits", expected="shorter constants")


def float_parts(values: Values) -> tuple[list[FloatArray], Fraction]:
    """A weight as `(first + second + ...) * factor`, exactly, with arrays of floats.

    One array suffices for weights stored as floats; computed ones may need a few more digits.
    """
    if not isinstance(values, ExactArray):
        return [values], Fraction(1)
    # An odd denominator is no sum of floats: it goes into the factor, the rest is binary.
    odd = values.den // (values.den & -values.den)
    rest = ExactArray(values.num, values.den // odd)
    parts: list[FloatArray] = []
    while np.any(rest.num != 0) or not parts:
        nearest = rest.to_float()
        if not np.isfinite(nearest).all() or (parts and not nearest.any()):
            raise InputError("a computed weight is out of the range of float64",
                             expected="moderate numbers")
        parts.append(nearest)
        # Sound: the remainder is exact, so that the parts add up to the weight itself.
        rest = rest - ExactArray.from_float(nearest)
    return parts, Fraction(1, odd)


def scalar(values: Values) -> Number:
    """The only element of a constant; InputError where there are more or fewer."""
    flat = numbers(values)
    if len(flat) != 1:
        raise InputError(f"a constant of shape {list(values.shape)}", expected="a single number")
    return flat[0]


def nearest_scale_over_root(scale: Fraction, variance: Fraction) -> float:
    """The float64 nearest to the real number `scale / sqrt(variance)`, variance > 0.

    Works in integers only, so that any reader of the file gets the same float.
    """
    square = scale * scale / variance
    if square == 0:
        return 0.0
    # Take the root with more than 60 significant bits and remember whether it is inexact: a
    # sticky last bit makes the final rounding equal to that of the true root.
    length = square.numerator.bit_length() - square.denominator.bit_length()
    shift = max(0, 128 - length) // 2 + 2
    whole = (square.numerator << (2 * shift)) // square.denominator
    root = math.isqrt(whole)
    exact = root * root == whole and whole * square.denominator == square.numerator << (2 * shift)
    rounded = (2 * root + (0 if exact else 1)) / (1 << (shift + 1))
    return rounded if scale > 0 else -rounded
