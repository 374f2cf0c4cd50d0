"""All operators that the checker reads; every other is refused by name."""

from __future__ import annotations

from ..operator_call import Operator
from . import (
    convolution,
    einsum,
    elementwise,
    identities,
    indexing,
    logic,
    normalization,
    products,
    rectifiers,
    resize,
    scatters,
    shapes,
    windows,
)
from .ml import rules as ml_rules

ML_DOMAIN = "ai.onnx.ml"

OPERATORS: dict[str, Operator] = {
    **convolution.OPERATORS,
    **einsum.OPERATORS,
    **elementwise.OPERATORS,
    **identities.OPERATORS,
    **indexing.OPERATORS,
    **logic.OPERATORS,
    **normalization.OPERATORS,
    **products.OPERATORS,
    **rectifiers.OPERATORS,
    **resize.OPERATORS,
    **scatters.OPERATORS,
    **shapes.OPERATORS,
    **windows.OPERATORS,
}

BY_DOMAIN: dict[str, dict[str, Operator]] = {"": OPERATORS, ML_DOMAIN: ml_rules.OPERATORS}
"""Operators by domain and name."""
