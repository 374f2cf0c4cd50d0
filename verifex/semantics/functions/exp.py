"""The exponential function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import increasing
from verifex.semantics.support.planes import Curved, always

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.exp()


FUNCTION = SmoothFunction(
    name="exp",
    onnx="Exp",
    value=np.exp,
    tensor=_tensor,
    derivative=lambda builder, arg, out: out,
    interval=lambda operand: increasing(np.exp, operand, 0.0, np.inf),
    planes=Curved(_tensor, _tensor, convex=always),
)
