"""The square root, defined from zero on; its derivative is not defined at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import increasing_from_zero
from verifex.semantics.support.planes import Curved, above_zero, always

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.sqrt()


def _slope(points: Tensor) -> Tensor:
    return 0.5 / points.sqrt()


FUNCTION = SmoothFunction(
    name="sqrt",
    onnx="Sqrt",
    value=np.sqrt,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.scaled(builder.univariate("reciprocal", out), 0.5),
    interval=lambda operand: increasing_from_zero(np.sqrt, operand, 0.0),
    planes=Curved(_tensor, _slope, concave=always, defined=above_zero),
)
