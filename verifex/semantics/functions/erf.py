"""The error function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.ir.graph import Builder
from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import increasing
from verifex.semantics.support.planes import Curved, not_above_zero, not_below_zero

if TYPE_CHECKING:
    from torch import Tensor

TWO_OVER_SQRT_PI = 1.1283791670955126
"""2/sqrt(pi) rounded to float64: a derivative of erf is that of the rounded function."""


def _value(points: FloatArray) -> FloatArray:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(points))


def _tensor(points: Tensor) -> Tensor:
    return points.erf()


def _slope(points: Tensor) -> Tensor:
    return TWO_OVER_SQRT_PI * (-(points**2)).exp()


def _derivative(builder: Builder, operand: int, result: int) -> int:
    """2 / sqrt(pi) * exp(-x^2), with the factor rounded."""
    falling = builder.scaled(builder.univariate("square", operand), -1)
    return builder.scaled(builder.univariate("exp", falling), TWO_OVER_SQRT_PI)


FUNCTION = SmoothFunction(
    name="erf",
    onnx="Erf",
    value=_value,
    tensor=_tensor,
    derivative=_derivative,
    interval=lambda operand: increasing(_value, operand, -1.0, 1.0),
    planes=Curved(_tensor, _slope, convex=not_above_zero, concave=not_below_zero),
    single_only=True,
)
