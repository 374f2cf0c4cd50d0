"""Operators of ai.onnx.ml on columns of features, and on what a classifier hands out."""

from __future__ import annotations

from fractions import Fraction

from ....failures import need
from ....graph.element_types import FLOAT32, FLOATS
from ....graph.moves import along
from ....graph.symbolic import SymbolicTensor, constants
from ...operator_call import Operator, OperatorCall
from ...signatures import (
    FLOAT32_INPUT,
    INTEGER,
    INTEGER_LIST,
    ML_FLOAT_INPUT,
    ML_INPUT,
    ML_INT64_INPUT,
    REAL,
    REAL_LIST,
    TEXT_LIST,
    ml_attribute,
    ml_signature,
)


def zip_map(call: OperatorCall) -> SymbolicTensor:
    """The tensor itself.

    ONNX: a list of one dictionary a row, from the names of the classes to the row's columns in
    their order. Claims count outputs by position, and those of the tensor stand in that order.
    """
    call.attributes.ignore("classlabels_int64s", "classlabels_strings")
    return call.tensor()


def feature_extractor(call: OperatorCall) -> SymbolicTensor:
    """Constant columns of the last axis; of one axis a row is made."""
    tensor, columns = call.tensor(0), call.tensor(1).whole_numbers()
    axis = len(tensor.shape) - 1
    need(axis >= 0 and all(0 <= k < tensor.shape[axis] for k in columns), "no such column")
    found = along(axis, [(tensor, column) for column in columns])
    return found.shaped((1, *found.shape)) if axis == 0 else found


def scaler(call: OperatorCall) -> SymbolicTensor:
    """(x - offset) * scale, a number for each column, or one for all."""
    offset, scale = call.attributes.reals("offset"), call.attributes.reals("scale")
    need(offset and scale, "no offset, or no scale")
    tensor = call.as_float32()
    found = (tensor - constants(call.graph, [len(offset)], offset)) * constants(
        call.graph, [len(scale)], scale)
    need(found.shape == tensor.shape, "numbers for other columns")
    return found


def imputer(call: OperatorCall) -> SymbolicTensor:
    """The tensor itself, where nothing but NaN is replaced.

    Sound: a real number is no NaN. The standard's default, and any other number, would be replaced,
    as is `replaced_value_int64` among integers.
    """
    need(call.tensor().kind in FLOATS, "unsupported: it replaces an integer")
    call.attributes.ignore("imputed_value_floats", "imputed_value_int64s", "replaced_value_int64")
    need(call.attributes.is_nan("replaced_value_float"), "unsupported: it replaces a number")
    return call.tensor()


def feature_vectorizer(call: OperatorCall) -> SymbolicTensor:
    """Columns side by side, as floats.

    ONNX: of rows of columns; of one axis a row is made, of more axes nothing is said.
    """
    parts = [call.as_float32(place) for place in range(len(call.inputs))]
    need(all(len(part.shape) == 2 for part in parts), "unsupported: no rows of columns")
    need([part.shape[1] for part in parts] == call.attributes.integers("inputdimensions"),
         "columns of other sizes")
    return along(1, [(part, k) for part in parts for k in range(part.shape[1])])


def binarizer(call: OperatorCall) -> SymbolicTensor:
    """1 where a number is above the threshold, else 0: the gate of the difference.

    Sound: where they are equal ONNX says 0; the node allows both, see `greater`.
    """
    threshold = call.attributes.real("threshold", Fraction(0))
    return (call.as_float32() - constants(call.graph, (), [threshold])).gate()


_LABELS = (ml_attribute("classlabels_int64s", INTEGER_LIST),
           ml_attribute("classlabels_strings", TEXT_LIST))

OPERATORS = {
    "ZipMap": Operator(zip_map, ml_signature((FLOAT32_INPUT,), _LABELS)),
    "ArrayFeatureExtractor": Operator(feature_extractor, ml_signature(
        (ML_INPUT, ML_INT64_INPUT))),
    "Scaler": Operator(scaler, ml_signature(
        (ML_INPUT,), (ml_attribute("offset", REAL_LIST), ml_attribute("scale", REAL_LIST)),
        FLOAT32)),
    "Imputer": Operator(imputer, ml_signature((ML_INPUT,), (
        ml_attribute("imputed_value_floats", REAL_LIST),
        ml_attribute("imputed_value_int64s", INTEGER_LIST),
        ml_attribute("replaced_value_float", REAL),
        ml_attribute("replaced_value_int64", INTEGER)))),
    "FeatureVectorizer": Operator(feature_vectorizer, ml_signature(
        (ML_INPUT.many(),), (ml_attribute("inputdimensions", INTEGER_LIST),), FLOAT32)),
    "Binarizer": Operator(binarizer, ml_signature(
        (ML_FLOAT_INPUT,), (ml_attribute("threshold", REAL),), FLOAT32)),
}
