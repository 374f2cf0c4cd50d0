"""Intervals with outward rounding, and the rules that several functions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifex.ir.exact import FloatArray

TINY = 1e-290
"""More than what underflow can take from any sum of products."""

LIBM = 2.0**-48
"""Relative error allowed to exp, log, sin, ...: 16 ulp, four times what numpy states."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Elementwise bounds, each of shape (B, *shape); infinite where nothing is known."""

    lo: FloatArray
    hi: FloatArray

    @property
    def mag(self) -> FloatArray:
        """The greatest magnitude in each interval."""
        return np.asarray(np.maximum(np.abs(self.lo), np.abs(self.hi)))


def down(operand: Any) -> FloatArray:
    """The next float below."""
    return np.asarray(np.nextafter(operand, -np.inf))


def up(operand: Any) -> FloatArray:
    """The next float above."""
    return np.asarray(np.nextafter(operand, np.inf))


def cleaned(lo: FloatArray, hi: FloatArray) -> Interval:
    """The interval; overflow (inf - inf) knows nothing."""
    return Interval(np.where(np.isnan(lo), -np.inf, lo), np.where(np.isnan(hi), np.inf, hi))


def square(operand: Interval) -> Interval:
    """The square of a box."""
    with np.errstate(over="ignore", under="ignore"):
        a, b = operand.lo * operand.lo, operand.hi * operand.hi
    inside = (operand.lo <= 0) & (operand.hi >= 0)
    low = np.maximum(down(np.minimum(a, b)), 0.0)
    # Not `a == 0`: a tiny number's square underflows to zero.
    zero = (operand.lo == 0) & (operand.hi == 0)
    return Interval(np.where(inside, 0.0, low), np.where(zero, 0.0, up(np.maximum(a, b))))


def increasing(
    value: Callable[[FloatArray], FloatArray], operand: Interval, least: float, most: float
) -> Interval:
    """The image under an increasing function with values in [least, most].

    Sound: the ends are widened by what the maths library may err.
    """
    with np.errstate(all="ignore"):
        lo, hi = value(operand.lo), value(operand.hi)
    lo = np.maximum(down(lo - LIBM * np.abs(lo) - TINY), least)
    hi = np.minimum(up(hi + LIBM * np.abs(hi) + TINY), most)
    return cleaned(np.asarray(lo), np.asarray(hi))


def increasing_from_zero(
    value: Callable[[FloatArray], FloatArray], operand: Interval, least: float
) -> Interval:
    """As `increasing` for a function that is undefined below zero: nothing is said there."""
    image = increasing(value, operand, least, np.inf)
    lo = np.where(operand.lo <= 0, least, image.lo)
    return Interval(np.asarray(lo), np.asarray(np.where(operand.hi < 0, np.inf, image.hi)))


def wave(value: Callable[[FloatArray], FloatArray], operand: Interval, shift: float) -> Interval:
    """The image under a function of period 2 pi that is greatest where t / (2 pi) + shift is whole
    and least half a turn later, between 1 and -1.

    Sound: the turn count is widened by far more than the error of the division, so an extremum
    near an end counts as inside, which only widens the result to 1 or -1.
    """
    with np.errstate(invalid="ignore"):
        t_lo, t_hi = operand.lo / (2 * np.pi) + shift, operand.hi / (2 * np.pi) + shift
        pad = 1e-12 * (1 + np.maximum(np.abs(t_lo), np.abs(t_hi)))
        a, b = value(operand.lo), value(operand.hi)
    t_lo, t_hi = t_lo - pad, t_hi + pad
    top = np.floor(t_hi) >= np.ceil(t_lo)
    bottom = np.floor(t_hi - 0.5) >= np.ceil(t_lo - 0.5)
    wide = ~(np.isfinite(operand.lo) & np.isfinite(operand.hi)) | (operand.mag > 1e8)
    lo = np.where(bottom | wide, -1.0, np.maximum(np.minimum(a, b) - LIBM, -1.0))
    hi = np.where(top | wide, 1.0, np.minimum(np.maximum(a, b) + LIBM, 1.0))
    return Interval(lo, hi)
