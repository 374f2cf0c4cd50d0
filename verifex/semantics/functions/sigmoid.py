"""1 / (1 + exp(-x))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.semantics.functions.base import SmoothFunction, one_minus
from verifex.semantics.support.outward import increasing
from verifex.semantics.support.planes import Curved, not_above_zero, not_below_zero

if TYPE_CHECKING:
    from torch import Tensor


def _value(points: FloatArray) -> FloatArray:
    """Of the two forms the one whose exponential does not overflow."""
    with np.errstate(over="ignore"):
        return np.asarray(
            np.where(points >= 0, 1 / (1 + np.exp(-points)), np.exp(points) / (1 + np.exp(points)))
        )


def _tensor(points: Tensor) -> Tensor:
    return points.sigmoid()


def _slope(points: Tensor) -> Tensor:
    y = points.sigmoid()
    return y * (1 - y)


FUNCTION = SmoothFunction(
    name="sigmoid",
    onnx="Sigmoid",
    value=_value,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.mul(out, one_minus(builder, out)),
    interval=lambda operand: increasing(_value, operand, 0.0, 1.0),
    planes=Curved(_tensor, _slope, convex=not_above_zero, concave=not_below_zero),
)
