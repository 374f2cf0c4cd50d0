"""1 / x, defined off zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.graph import Builder
from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import Interval, down, up
from verifex.semantics.support.planes import Curved, above_zero, below_zero

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.reciprocal()


def _slope(points: Tensor) -> Tensor:
    return -1 / points**2


def _derivative(builder: Builder, operand: int, result: int) -> int:
    return builder.scaled(builder.univariate("square", result), -1)


def _exact(operand: ExactArray) -> ExactArray:
    if (operand.num == 0).any():
        raise UnsupportedError("reciprocal of an exact zero", key="evaluate")
    return ExactArray.from_numbers((1 / f for f in operand.fractions()), operand.shape)


def _interval(operand: Interval) -> Interval:
    """Nothing is known of an interval that holds zero. Division itself rounds correctly."""
    crosses = (operand.lo <= 0) & (operand.hi >= 0)
    with np.errstate(divide="ignore", over="ignore"):
        lo = down(1.0 / np.where(crosses, 1.0, operand.hi))
        hi = up(1.0 / np.where(crosses, 1.0, operand.lo))
    return Interval(np.where(crosses, -np.inf, lo), np.where(crosses, np.inf, hi))


FUNCTION = SmoothFunction(
    name="reciprocal",
    onnx="Reciprocal",
    value=np.reciprocal,
    tensor=_tensor,
    derivative=_derivative,
    interval=_interval,
    planes=Curved(
        _tensor, _slope, convex=above_zero, concave=below_zero,
        defined=lambda lo, hi: (lo > 0) | (hi < 0),
    ),
    exact=_exact,
)
