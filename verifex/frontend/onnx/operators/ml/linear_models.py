"""ai.onnx.ml LinearClassifier and LinearRegressor: scores that are linear in the features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.lowering import Lowering
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.operators.heads import binary_head, sigmoid_head, softmax_head
from verifex.frontend.onnx.operators.linear import matmul_nodes
from verifex.frontend.onnx.values import FLOAT, Tensor, Value
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Concat


def _numbers(call: Call, name: str) -> FloatArray:
    """A list of finite floats."""
    values = np.array(call.floats_(name) or [], dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"attribute '{name}' of {call.op} is not finite", expected="numbers")
    return values


def _scores(call: Call, needs_intercepts: bool) -> int:
    """`x @ W' + b` for one row of features, of shape (1, scores)."""
    node = call.number(0)
    shape = call.low.shape(node)
    weights, offsets = _numbers(call, "coefficients"), _numbers(call, "intercepts")
    if len(shape) != 2 or shape[0] != 1:
        raise UnsupportedError(f"{call.op} of shape {list(shape)}", expected="one row of features")
    count = weights.size // shape[1]
    if needs_intercepts or offsets.size:
        count = offsets.size
    if count == 0 or weights.size != count * shape[1]:
        raise InputError(
            f"{call.op} of {shape[1]} features with {weights.size} coefficients and "
            f"{offsets.size} intercepts", expected="a coefficient for each feature and score")
    matrix = call.low.const(weights.reshape(count, shape[1]).T.copy())
    product = matmul_nodes(call, node, matrix)
    return call.low.combine([(product, 1)], offsets.reshape(1, count) if offsets.size else None)


def linear_regressor(call: Call) -> Result:
    """One row of coefficients for each target."""
    targets, transform = call.int_("targets", 1), call.str_("post_transform", "NONE")
    if transform != "NONE":
        # onnxruntime knows the attribute and does not look at it.
        raise UnsupportedError(f"LinearRegressor with post_transform {transform}", expected="NONE")
    made = _scores(call, False)
    if call.low.shape(made) != (1, targets):
        raise InputError(f"LinearRegressor of {targets} targets with {call.low.shape(made)[1]} "
                         "rows of coefficients", expected="as many")
    return call.low.wrap(made, FLOAT)


def linear_classifier(call: Call) -> Result:
    """The scores, after `post_transform`; the label, the first output, is no number to compare.

    One row of coefficients for two classes is the score s of the second: the scores are then
    (1 - s, s), and the probabilities (1 - sigmoid(s), sigmoid(s)).
    """
    labels = (call.ints_("classlabels_ints") or []) + (call.strs_("classlabels_strings") or [])
    call.ignored("multi_class")
    transform = call.str_("post_transform", "NONE")
    made = _scores(call, True)
    rows = call.low.shape(made)[1]
    if rows != len(labels) and (rows, len(labels)) != (1, 2):
        raise InputError(f"LinearClassifier of {len(labels)} classes with {rows} rows of "
                         "coefficients", expected="one a class")
    return [None, _transformed(call.low, made, transform, rows < len(labels))]


def _transformed(low: Lowering, scores: int, transform: str, binary: bool) -> Value:
    """Scores (1, classes), or the only one of two classes, after a `post_transform`."""
    if transform == "NONE" and binary:
        first = low.combine([(scores, -1)], np.ones((1, 1)))
        return low.wrap(low.add(Concat(1), first, scores), FLOAT)
    if transform == "NONE":
        return low.wrap(scores, FLOAT)
    known = isinstance(low.wrap(scores, FLOAT), Tensor)
    if transform == "LOGISTIC" and known:
        return (binary_head if binary else sigmoid_head)(low, scores, FLOAT)
    if transform == "SOFTMAX" and known and not binary:
        return softmax_head(low, scores, FLOAT)
    raise UnsupportedError(
        f"LinearClassifier with post_transform {transform}"
        + (" and one row of coefficients" if binary else ""),
        expected="NONE, LOGISTIC, or SOFTMAX of a row a class")


RULES: Mapping[str, Rule] = {
    "LinearClassifier": Rule(linear_classifier),
    "LinearRegressor": Rule(linear_regressor),
}
