"""Operators of ai.onnx.ml on columns of features, and on what a classifier hands out."""

from __future__ import annotations

from ....graph.symbolic import SymbolicTensor
from ...operator_call import Operator, OperatorCall
from ...signatures import FLOAT32_INPUT, INTEGER_LIST, TEXT_LIST, Signature, ml_attribute


def zip_map(call: OperatorCall) -> SymbolicTensor:
    """The tensor itself.

    ONNX: a list of one dictionary a row, from the names of the classes to the row's columns in
    their order. Claims count outputs by position, and those of the tensor stand in that order.
    """
    call.attributes.ignore("classlabels_int64s", "classlabels_strings")
    return call.tensor()


OPERATORS = {
    "ZipMap": Operator(zip_map, Signature(
        inputs=(FLOAT32_INPUT,),
        attributes=(ml_attribute("classlabels_int64s", INTEGER_LIST),
                    ml_attribute("classlabels_strings", TEXT_LIST)))),
}
