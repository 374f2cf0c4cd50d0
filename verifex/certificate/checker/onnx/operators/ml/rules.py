"""All operators of ai.onnx.ml that the checker reads; every other is refused by name."""

from __future__ import annotations

from ...operator_call import Operator
from . import columns, encoders, linear_models, trees

OPERATORS: dict[str, Operator] = {
    **columns.OPERATORS,
    **encoders.OPERATORS,
    **linear_models.OPERATORS,
    **trees.OPERATORS,
}
