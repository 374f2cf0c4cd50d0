"""Operators that change no value: Identity, Constant, Cast, Shape."""

from __future__ import annotations

from ...failures import need
from ...graph.element_types import BOOL, FLOAT16, FLOAT32, FLOAT64, INT64, INTEGERS, typed_name
from ...graph.symbolic import SymbolicTensor, constants
from ..operator_call import Operator, OperatorCall
from ..rounding import (
    FLOAT32_BITS,
    FLOAT32_LEAST,
    FLOAT64_BITS,
    FLOAT64_LEAST,
    nearest,
)
from ..signatures import ANY_INPUT, INTEGER, OF_RULE, TENSOR, AttributeSlot, Signature
from ..stored import stored_tensor

PRECISION = {FLOAT32: (FLOAT32_BITS, FLOAT32_LEAST), FLOAT64: (FLOAT64_BITS, FLOAT64_LEAST)}
"""Floats that a Cast may lead to: bits of the significand, exponent of the least number."""


def identity(call: OperatorCall) -> SymbolicTensor:
    """The input itself."""
    return call.tensor()


def constant(call: OperatorCall) -> SymbolicTensor:
    """The tensor that the node holds; the other ways of giving a value are refused."""
    return stored_tensor(call.graph, call.attributes.tensor("value"))


def cast(call: OperatorCall) -> SymbolicTensor:
    """The same numbers as another type, where the type holds them: else a Cast is refused.

    ONNX rounds floats to the nearest, and what becomes of numbers beyond the type is open. So are
    refused: constants that the type does not hold; computed floats but to float64, which holds
    them (a computed bool or float16 fits into a float32 too); floats to other types; and to floats
    integers that arithmetic made, since readers make them with different widths.
    """
    tensor, kind = call.tensor(), call.attributes.integer("to", 0)
    call.attributes.ignore("saturate")  # of types that are not read
    words = f"{typed_name(tensor.kind)} to {typed_name(kind)}"
    if kind == tensor.kind:
        return tensor
    if kind in INTEGERS:
        need(tensor.kind in INTEGERS, f"unsupported Cast of {words}")
        return tensor.typed(kind, tensor.derived)
    need(kind in PRECISION and not tensor.derived, f"unsupported Cast of {words}")
    exact = tensor.kind in (BOOL, FLOAT16) or kind == FLOAT64
    need(tensor.fixed or exact, f"unsupported Cast of computed {words}")
    need(not tensor.fixed or all(
        number == nearest(number, *PRECISION[kind]) for number in tensor.constants()),
        f"unsupported Cast of {words} that rounds")
    return tensor.typed(kind)


def shape_of(call: OperatorCall) -> SymbolicTensor:
    """The sides of the input, or those from `start` until `end`, as integers.

    Sound: what lies outside of the axes is cut down in different ways by readers.
    """
    sides = call.tensor().shape
    rank = len(sides)
    start, end = call.attributes.integer("start", 0), call.attributes.integer("end", rank)
    need(-rank <= start <= rank and -rank <= end <= rank, "unsupported axes that are not there")
    chosen = sides[start:end]
    return constants(call.graph, [len(chosen)], chosen)


OPERATORS = {
    "Identity": Operator(identity, Signature(inputs=(ANY_INPUT,))),
    "Constant": Operator(constant, Signature(
        inputs=(), attributes=(AttributeSlot("value", TENSOR),), result=OF_RULE)),
    "Cast": Operator(cast, Signature(
        inputs=(ANY_INPUT,),
        attributes=(AttributeSlot("to", INTEGER), AttributeSlot("saturate", INTEGER, since=19)),
        result=OF_RULE)),
    "Shape": Operator(shape_of, Signature(
        inputs=(ANY_INPUT,),
        attributes=(AttributeSlot("start", INTEGER, since=15),
                    AttributeSlot("end", INTEGER, since=15)), result=INT64)),
}
