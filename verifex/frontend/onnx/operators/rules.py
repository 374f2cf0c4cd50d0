"""The table of ONNX ops: how each is lowered, by domain and op type."""

from __future__ import annotations

from collections.abc import Mapping

from verifex.frontend.onnx.operators import (
    constants,
    einsum,
    elementwise,
    heads,
    indexing,
    linear,
    logic,
    pooling,
    resize,
    shape,
    smooth,
)
from verifex.frontend.onnx.operators.call import Rule
from verifex.frontend.onnx.operators.ml import columns, encoders, linear_models, trees

OPSETS = range(7, 24)
ML_DOMAIN = "ai.onnx.ml"
RULES: Mapping[str, Mapping[str, Rule]] = {
    "": {
        **constants.RULES, **indexing.RULES,
        **linear.RULES, **elementwise.RULES, **pooling.RULES, **shape.RULES, **logic.RULES,
        **resize.RULES, **einsum.RULES, **heads.RULES, **smooth.RULES,
    },
    ML_DOMAIN: {**linear.ML_RULES, **indexing.ML_RULES, **columns.RULES, **encoders.RULES,
                **linear_models.RULES, **trees.RULES},
}
"""How each op is lowered, by domain and op type."""
