"""x * x, as one node: its bounds do not lose that both factors are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import square
from verifex.semantics.support.planes import by_square

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.square()


FUNCTION = SmoothFunction(
    name="square",
    onnx="Mul",
    is_product=True,
    value=np.square,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.scaled(arg, 2),
    interval=square,
    planes=by_square,
    exact=lambda operand: operand * operand,
)
