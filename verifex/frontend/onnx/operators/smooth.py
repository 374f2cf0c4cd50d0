"""Gelu and LayerNormalization, made of smooth functions; operators that are refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule, normal_axis
from verifex.frontend.onnx.values import simplify
from verifex.ir.exact import ExactArray

ROUNDED = (
    "Gelu's irrational factors (sqrt(1/2), or sqrt(2/pi)) are rounded once to the nearest float64, "
    "and the network with these is the one verified"
)


def gelu(call: Call) -> Result:
    """`x/2 (1 + erf(x sqrt(1/2)))`, or `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`."""
    low, x = call.low, call.node(0)
    how = call.str_("approximate", "none")
    low.builder.notes.append(ROUNDED)
    if how == "none":
        inner, name = low.combine([(x, math.sqrt(0.5))]), "erf"
    elif how == "tanh":
        cube = low.mul(low.mul(x, x), x)
        factor = math.sqrt(2 / math.pi)
        inner = low.combine([(x, factor), (cube, Fraction(factor) * Fraction(44715, 10**6))])
        name = "tanh"
    else:
        raise InputError(f"Gelu with approximate '{how[:20]}'", expected="none or tanh")
    share = low.combine([(low.univariate(name, inner), Fraction(1, 2))], np.array(0.5))
    return low.mul(x, share)


def layer_normalization(call: Call) -> Result:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias` over the axes from `axis` on.

    `stash_type` says in which floats a runtime computes; here all is real.
    """
    low, x = call.low, call.node(0)
    shape = call.shape(0)
    call.int_("stash_type", 1)
    axes = list(range(normal_axis(call.int_("axis", -1), len(shape)), len(shape)))
    epsilon = call.float_("epsilon", 1e-5)
    count = math.prod(shape[k] for k in axes)
    if count == 0 or epsilon <= 0:
        raise InputError(f"LayerNormalization of {list(shape)} with epsilon {float(epsilon)}",
                         expected="elements, and a positive epsilon")
    share = Fraction(1, count)
    centred = low.combine([(x, 1), (low.sum_axes(x, axes, share), -1)])
    variance = low.sum_axes(low.univariate("square", centred), axes, share)
    offset = simplify(ExactArray.from_numbers([epsilon], ()))
    root = low.univariate("sqrt", low.combine([(variance, 1)], offset))
    normal = low.mul(centred, low.univariate("reciprocal", root))
    out = low.mul(normal, call.node(1))
    if call.has(2):
        out = low.combine([(out, 1), (call.node(2), 1)])
    if low.shape(out) != shape:
        raise InputError("LayerNormalization parameters do not fit", expected="the data's axes")
    return out


QUANTISED = frozenset({
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear",
})
"""Operators of quantised models, which round at every layer."""

SMOOTH = frozenset({
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "GroupNormalization",
    "InstanceNormalization", "LpNormalization", "MeanVarianceNormalization", "Mish",
    "ReduceLogSum", "ReduceLogSumExp", "RMSNormalization", "Sinh", "Softsign", "Swish", "Tan",
})
"""Smooth operators without rules of their own."""


def refusal(name: str, printed: str) -> UnsupportedError:
    """Why an operator without a rule is refused, and the way out."""
    if name in QUANTISED or name.startswith("QLinear"):
        return UnsupportedError(f"op '{printed}' of a quantised model",
                                expected="the float model, exported before it was quantised")
    if name in SMOOTH:
        return UnsupportedError(f"op '{printed}' is a smooth function that is not supported",
                                expected="a supported op (see `verifex support`)")
    return UnsupportedError(f"op '{printed}' is not supported",
                            expected="a supported op (see `verifex support`)")


RULES: Mapping[str, Rule] = {
    "Gelu": Rule(gelu), "LayerNormalization": Rule(layer_normalization, 2, 3),
}
