"""The hyperbolic tangent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction, one_minus
from verifex.semantics.support.outward import increasing
from verifex.semantics.support.planes import Curved, not_above_zero, not_below_zero

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.tanh()


def _slope(points: Tensor) -> Tensor:
    return 1 - points.tanh() ** 2


FUNCTION = SmoothFunction(
    name="tanh",
    onnx="Tanh",
    value=np.tanh,
    tensor=_tensor,
    derivative=lambda builder, arg, out: one_minus(builder, builder.univariate("square", out)),
    interval=lambda operand: increasing(np.tanh, operand, -1.0, 1.0),
    planes=Curved(_tensor, _slope, convex=not_above_zero, concave=not_below_zero),
)
