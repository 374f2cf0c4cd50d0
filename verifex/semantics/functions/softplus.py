"""log(1 + exp(x))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import increasing
from verifex.semantics.support.planes import Curved, always

if TYPE_CHECKING:
    from torch import Tensor


def _value(points: FloatArray) -> FloatArray:
    """Without an exponential that overflows."""
    return np.asarray(np.logaddexp(0.0, points))


def _tensor(points: Tensor) -> Tensor:
    # torch's own softplus is the identity above 20, which errs by 2e-9 there.
    return points.new_zeros(()).logaddexp(points)


def _slope(points: Tensor) -> Tensor:
    return points.sigmoid()


FUNCTION = SmoothFunction(
    name="softplus",
    onnx="Softplus",
    value=_value,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.univariate("sigmoid", arg),
    interval=lambda operand: increasing(_value, operand, 0.0, np.inf),
    planes=Curved(_tensor, _slope, convex=always),
    single_only=True,
)
