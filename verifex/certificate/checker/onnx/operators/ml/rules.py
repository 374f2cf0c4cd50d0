"""All operators of ai.onnx.ml that the checker reads; every other is refused by name."""

from __future__ import annotations

from ...operator_call import Operator
from . import columns, trees

OPERATORS: dict[str, Operator] = {**columns.OPERATORS, **trees.OPERATORS}
