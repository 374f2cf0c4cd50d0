"""Exact rational arrays: integers over one common denominator, for everything that concludes.

`ExactArray(num, den)` stands for `num / den` with `num` a numpy array of Python integers. One
denominator an array keeps the inner loops in plain integer arithmetic, which is an order of
magnitude faster than an array of `Fraction`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.limits.checkpoint import checkpoint

FloatArray: TypeAlias = NDArray[np.float64]
ObjectArray: TypeAlias = NDArray[np.object_]
Number: TypeAlias = int | float | Fraction
"""A number that means exactly what it says: a float stands for its exact binary value."""

PIECE = 1 << 15
"""Elements, or products of two, that are worked on between two looks at the clock: some hundredths
of a second of exact arithmetic."""


@dataclass(frozen=True, eq=False)
class ExactArray:
    """The exact array `num / den`; `den` is positive and `num` holds Python integers."""

    num: ObjectArray
    den: int = 1

    def __post_init__(self) -> None:
        if self.den <= 0:
            raise ValueError(f"denominator {self.den} is not positive")
        if self.num.dtype != object:
            raise ValueError(f"numerators have dtype {self.num.dtype}, not object")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.num.shape

    @staticmethod
    def from_float(values: Any) -> ExactArray:
        """The exact values of an array of finite floats (float32 or float64)."""
        array = np.asarray(values, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ValueError("a NaN or an infinity has no exact value")
        mantissa, exponent = np.frexp(array)
        # A float is an integer of 53 bits times a power of two; trailing zeros go into the power.
        whole = np.ldexp(mantissa, 53).astype(np.int64)
        low_bit = whole & -whole
        trailing = np.where(whole == 0, 0, np.frexp(low_bit.astype(np.float64))[1] - 1)
        odd = whole >> trailing
        power = np.where(whole == 0, 0, exponent - 53 + trailing)
        least = min(int(power.min(initial=0)), 0)
        shift, flat = (power - least).ravel(), odd.ravel()
        out = np.empty(flat.shape, dtype=object)
        for at in range(0, len(flat), PIECE):
            checkpoint()
            part = slice(at, at + PIECE)
            out[part] = flat[part].astype(object) << shift[part].astype(object)
        return ExactArray(out.reshape(array.shape), 1 << -least)

    @staticmethod
    def from_numbers(values: Iterable[Number], shape: Sequence[int] | None = None) -> ExactArray:
        """An array from Python numbers, each taken at its exact value."""
        fractions = list[Fraction]()
        for k, v in enumerate(values):
            if k % 1024 == 1023:
                checkpoint()
            fractions.append(v if isinstance(v, Fraction) else Fraction(v))
        den = math.lcm(1, *(f.denominator for f in fractions))
        num = np.empty(len(fractions), dtype=object)
        num[:] = [f.numerator * (den // f.denominator) for f in fractions]
        return ExactArray(num if shape is None else num.reshape(tuple(shape)), den)

    def fractions(self) -> list[Fraction]:
        """The elements as fractions, flat, in C order."""
        return [Fraction(n, self.den) for n in self.num.ravel()]

    def to_float(self) -> FloatArray:
        """The nearest float64 of every element (correctly rounded; overflow becomes infinite)."""
        flat, out = self.num.ravel(), np.empty(self.num.size)
        for at in range(0, len(flat), PIECE):
            checkpoint()
            out[at : at + PIECE] = [_nearest(n, self.den) for n in flat[at : at + PIECE]]
        return out.reshape(self.shape)

    def float_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Floats below and above every element, equal where the element is a float."""
        mid = self.to_float()
        lo, hi = mid.copy(), mid.copy()
        for i, n in enumerate(self.num.ravel()):
            if i % PIECE == 0:
                checkpoint()
            m = float(mid.flat[i])
            # Beyond the largest float: that is the bound on the near side.
            if math.isinf(m):
                lo.flat[i], hi.flat[i] = (
                    (np.finfo(float).max, m) if m > 0 else (m, -np.finfo(float).max)
                )
                continue
            above, below = m.as_integer_ratio()
            diff = n * below - above * self.den
            if diff > 0:
                hi.flat[i] = math.nextafter(m, math.inf)
            elif diff < 0:
                lo.flat[i] = math.nextafter(m, -math.inf)
        return lo, hi

    def reshape(self, shape: Sequence[int]) -> ExactArray:
        return ExactArray(self.num.reshape(tuple(shape)), self.den)

    def scaled(self, factor: Fraction) -> ExactArray:
        """This array times a rational factor."""
        # Cancelled here, or denominators grow with every layer.
        common = math.gcd(self.den, factor.numerator) or 1
        return ExactArray(
            np.asarray(self.num * (factor.numerator // common), dtype=object),
            (self.den // common) * factor.denominator,
        )

    def over(self, den: int) -> ObjectArray:
        """The numerators over `den`, which must be a multiple of the denominator."""
        return np.asarray(self.num * (den // self.den), dtype=object)

    def __add__(self, other: ExactArray) -> ExactArray:
        den = math.lcm(self.den, other.den)
        return ExactArray(np.asarray(self.over(den) + other.over(den), dtype=object), den)

    def __mul__(self, other: ExactArray) -> ExactArray:
        return ExactArray(np.asarray(self.num * other.num, dtype=object), self.den * other.den)

    def __neg__(self) -> ExactArray:
        return ExactArray(np.asarray(-self.num, dtype=object), self.den)

    def __sub__(self, other: ExactArray) -> ExactArray:
        return self + (-other)


def _nearest(numerator: int, denominator: int) -> float:
    """`numerator / denominator` correctly rounded; infinite on overflow."""
    try:
        return numerator / denominator  # int / int is correctly rounded in Python
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


Values: TypeAlias = FloatArray | ExactArray
"""Constants of a network: float64 (standing for its exact value) or exact rationals."""


def as_exact(values: Values) -> ExactArray:
    """The exact value of a constant, whichever way it is stored."""
    return values if isinstance(values, ExactArray) else ExactArray.from_float(values)


def as_float(values: Values) -> FloatArray:
    """A constant rounded to nearest float64."""
    return values.to_float() if isinstance(values, ExactArray) else values


def numbers(values: Values) -> list[Number]:
    """The elements as exact Python numbers, flat: floats stay floats."""
    if isinstance(values, ExactArray):
        return list(values.fractions())
    return list(values.ravel().tolist())


def content_key(values: Values) -> bytes:
    """Bytes that are equal exactly when shape, kind and elements are equal (for hash-consing)."""
    if isinstance(values, ExactArray):
        text = f"{values.den}:{','.join(map(str, values.num.ravel()))}"
        return b"x" + repr(values.shape).encode() + text.encode()
    # -0.0 and 0.0 are one number: normalise before taking the bytes.
    return b"f" + repr(values.shape).encode() + np.ascontiguousarray(values + 0.0).tobytes()


def as_numpy(value: object) -> object:
    """A tensor of torch, and a row, a column or a table of pandas, as a numpy array of the same
    numbers; everything else as it is. Neither library is imported."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor: Any = value
        found = tensor.detach().cpu()
        # float64 holds what every narrower type holds; numpy has no bfloat16.
        return np.asarray((found.double() if found.is_floating_point() else found).numpy())
    if not hasattr(value, "to_numpy"):
        return value
    held: Any = value
    cells = np.asarray(held.to_numpy())
    if cells.dtype != object:
        return cells
    # Columns of several types: their cells are data, floats too, as in a column by itself.
    plain = [np.float64(cell) if isinstance(cell, float) else cell for cell in cells.ravel()]
    return np.array([*plain, None], dtype=object)[:-1].reshape(cells.shape)
