"""Operators that are known and refused: smooth functions, and those of quantised models.

The checker knows planes around piecewise linear elements and products alone, none around a smooth
function. A quantised network rounds at every layer, which no linear form does.
"""

from __future__ import annotations

SMOOTH = frozenset({
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp",
    "Gelu", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log",
    "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "Mish", "ReduceL2",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "Reciprocal", "RMSNormalization", "Selu",
    "Sigmoid", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh",
})
"""Functions that are not piecewise linear."""

QUANTISED = frozenset({
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear",
})
"""Operators of quantised models."""


def why_not(name: str) -> str:
    """What an operator without a rule is, for the refusal."""
    if name in SMOOTH:
        return f"smooth function {name}"
    if name in QUANTISED or name.startswith("QLinear"):
        return f"quantised operator {name} (export the float model)"
    return f"operator {name[:40]}"
