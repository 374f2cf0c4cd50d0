"""The sine; its planes are its range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import wave
from verifex.semantics.support.planes import by_range

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.sin()


FUNCTION = SmoothFunction(
    name="sin",
    onnx="Sin",
    value=np.sin,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.univariate("cos", arg),
    interval=lambda operand: wave(np.sin, operand, -0.25),
    planes=by_range,
)
