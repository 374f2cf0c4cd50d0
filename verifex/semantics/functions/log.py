"""The natural logarithm, defined above zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import increasing_from_zero
from verifex.semantics.support.planes import Curved, above_zero, always

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.log()


def _slope(points: Tensor) -> Tensor:
    return 1 / points


FUNCTION = SmoothFunction(
    name="log",
    onnx="Log",
    value=np.log,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.univariate("reciprocal", arg),
    interval=lambda operand: increasing_from_zero(np.log, operand, -np.inf),
    planes=Curved(_tensor, _slope, concave=always, defined=above_zero),
)
