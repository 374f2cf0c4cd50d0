"""LinearClassifier and LinearRegressor of ai.onnx.ml: scores that are linear in the features."""

from __future__ import annotations

from ....failures import need
from ....graph.element_types import FLOAT32
from ....graph.moves import along
from ....graph.symbolic import SymbolicTensor, constants
from ...operator_call import (
    SIGMOID,
    SOFTMAX,
    HeadTensor,
    Operator,
    OperatorCall,
    Result,
)
from ...signatures import (
    INTEGER,
    INTEGER_LIST,
    ML_INPUT,
    REAL_LIST,
    TEXT,
    TEXT_LIST,
    ml_attribute,
    ml_signature,
)
from ..products import matmul


def scores(call: OperatorCall, needs_intercepts: bool) -> SymbolicTensor:
    """x W' + b for one row of features: a row of scores.

    ONNX: the coefficients stand score by score. There are as many scores as intercepts; without
    any, which not every reader takes, as the coefficients are enough for.
    """
    tensor = call.as_float32()
    weights, offsets = call.attributes.reals("coefficients"), call.attributes.reals("intercepts")
    need(len(tensor.shape) == 2 and tensor.shape[0] == 1 and tensor.size > 0,
         "unsupported: not one row of features")
    count = len(offsets) if needs_intercepts or offsets else len(weights) // tensor.size
    need(count > 0 and len(weights) == count * tensor.size, "coefficients that do not fit")
    by_feature = [weights[score * tensor.size + k]
                  for k in range(tensor.size) for score in range(count)]
    found = matmul(tensor, constants(call.graph, (tensor.size, count), by_feature))
    return found + constants(call.graph, (1, count), offsets) if offsets else found


def linear_regressor(call: OperatorCall) -> SymbolicTensor:
    """A score for each target."""
    need(call.attributes.text("post_transform", "NONE") == "NONE", "unsupported post_transform")
    found = scores(call, False)
    need(found.shape[1] == call.attributes.integer("targets", 1), "scores for other targets")
    return found


def linear_classifier(call: OperatorCall) -> list[Result]:
    """A score for each class, after `post_transform`; the label, the first output, is no number.

    One score s for two classes is that of the second; readers make (1 - s, s) of it, and with
    LOGISTIC (1 - sigmoid(s), sigmoid(s)), which is the softmax of (0, s).
    """
    labels = len(call.attributes.integers("classlabels_ints") or ()) + len(
        call.attributes.texts("classlabels_strings"))
    call.attributes.ignore("multi_class")
    transform = call.attributes.text("post_transform", "NONE")
    found = scores(call, True)
    single = found.shape[1] == 1 and labels == 2
    need(single or found.shape[1] == labels, "scores for other classes")
    if transform == "NONE":
        one = constants(call.graph, (1, 1), [1])
        return [None, along(1, [(one - found, 0), (found, 0)]) if single else found]
    need(not found.fixed, "unsupported: smooth, of constants")
    if transform == "LOGISTIC" and single:
        zero = constants(call.graph, (1, 1), [0])
        return [None, HeadTensor(SOFTMAX, call.finished(along(1, [(zero, 0), (found, 0)])))]
    if transform == "LOGISTIC":
        return [None, HeadTensor(SIGMOID, call.finished(found))]
    need(transform == "SOFTMAX" and labels > 1 and not single,
         f"unsupported post_transform {transform[:20]}")
    return [None, HeadTensor(SOFTMAX, call.finished(found))]


_LINEAR = (ml_attribute("coefficients", REAL_LIST), ml_attribute("intercepts", REAL_LIST),
           ml_attribute("post_transform", TEXT))

OPERATORS = {
    "LinearRegressor": Operator(linear_regressor, ml_signature(
        (ML_INPUT,), (*_LINEAR, ml_attribute("targets", INTEGER)), FLOAT32)),
    "LinearClassifier": Operator(linear_classifier, ml_signature(
        (ML_INPUT,), (*_LINEAR, ml_attribute("multi_class", INTEGER),
                      ml_attribute("classlabels_ints", INTEGER_LIST),
                      ml_attribute("classlabels_strings", TEXT_LIST)), FLOAT32)),
}
