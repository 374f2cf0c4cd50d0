"""The cosine; its planes are its range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifex.semantics.functions.base import SmoothFunction
from verifex.semantics.support.outward import wave
from verifex.semantics.support.planes import by_range

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(points: Tensor) -> Tensor:
    return points.cos()


FUNCTION = SmoothFunction(
    name="cos",
    onnx="Cos",
    value=np.cos,
    tensor=_tensor,
    derivative=lambda builder, arg, out: builder.scaled(builder.univariate("sin", arg), -1),
    interval=lambda operand: wave(np.cos, operand, 0.0),
    planes=by_range,
    single_only=True,
)
