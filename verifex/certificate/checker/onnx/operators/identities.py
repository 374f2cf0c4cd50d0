"""Operators that change no value, and constants: Identity, Cast, CastLike, Shape, Size, Constant,
ConstantOfShape, Range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ...failures import MAX_SIZE, need
from ...graph.element_types import (
    BFLOAT16,
    BOOL,
    ELEMENT_TYPES,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT64,
    INTEGERS,
    typed_name,
)
from ...graph.symbolic import SymbolicTensor, constants, need_size
from ..operator_call import Operator, OperatorCall
from ..rounding import (
    BFLOAT16_BITS,
    BFLOAT16_LEAST,
    FLOAT16_BITS,
    FLOAT16_LEAST,
    FLOAT32_BITS,
    FLOAT32_LEAST,
    FLOAT64_BITS,
    FLOAT64_LEAST,
    nearest,
)
from ..signatures import (
    ANY_INPUT,
    INT64_INPUT,
    INTEGER,
    INTEGER_LIST,
    NUMBER_INPUT,
    OF_FIRST_INPUT,
    OF_RULE,
    REAL,
    REAL_LIST,
    TENSOR,
    AttributeSlot,
    InputSlot,
    Signature,
)
from ..stored import stored_tensor

PRECISION = {FLOAT32: (FLOAT32_BITS, FLOAT32_LEAST), FLOAT64: (FLOAT64_BITS, FLOAT64_LEAST),
             FLOAT16: (FLOAT16_BITS, FLOAT16_LEAST), BFLOAT16: (BFLOAT16_BITS, BFLOAT16_LEAST)}
"""Floats that a Cast may lead to: bits of the significand, exponent of the least number."""


RANGE_INPUT = InputSlot(tuple(k for k in NUMBER_INPUT.kinds if k != FLOAT16))
HOLDS = {FLOAT16: (FLOAT32, FLOAT64), BFLOAT16: (FLOAT32, FLOAT64), FLOAT32: (FLOAT64,),
         BOOL: tuple(PRECISION)}
"""For each type, the floats that hold every number of it."""


def identity(call: OperatorCall) -> SymbolicTensor:
    """The input itself."""
    return call.tensor()


def constant(call: OperatorCall) -> SymbolicTensor:
    """The tensor, the number, or the list of numbers that the node holds."""
    attributes, graph = call.attributes, call.graph
    need(len(attributes.values) == 1, "a Constant without one value")
    if attributes.has("value_int"):
        return constants(graph, (), [attributes.integer("value_int", 0)], INT64)
    if attributes.has("value_float"):
        return constants(graph, (), [attributes.real("value_float", Fraction(0))], FLOAT32)
    integers = attributes.integers("value_ints")
    if integers is not None:
        return constants(graph, [len(integers)], integers, INT64)
    if attributes.has("value_floats"):
        numbers = attributes.reals("value_floats")
        return constants(graph, [len(numbers)], numbers, FLOAT32)
    return stored_tensor(graph, attributes.tensor("value"))


def cast(call: OperatorCall) -> SymbolicTensor:
    """The same numbers as another type, where the type holds them: else a Cast is refused.

    ONNX rounds floats to the nearest, and what becomes of numbers beyond the type is open. So are
    refused: constants that the type does not hold; computed floats but to a type that holds them
    all (float64, and float32 for the 16-bit floats); floats to other types; and to floats
    integers that arithmetic made, since readers make them with different widths.
    """
    call.attributes.ignore("saturate")  # of types that are not read
    return cast_to(call.tensor(), call.attributes.integer("to", 0))


def cast_like(call: OperatorCall) -> SymbolicTensor:
    """A Cast to the type of the second input."""
    call.attributes.ignore("saturate")
    return cast_to(call.tensor(), call.tensor(1).kind)


def cast_to(tensor: SymbolicTensor, kind: int) -> SymbolicTensor:
    """The tensor as another type, where that changes no number."""
    words = f"{typed_name(tensor.kind)} to {typed_name(kind)}"
    if kind == tensor.kind:
        return tensor
    if kind in INTEGERS and not tensor.fixed and tensor.kind != BOOL:
        # Sound: of whole numbers in the range of the type every Cast keeps each.
        _, least, greatest = ELEMENT_TYPES[kind]
        tensor.hold_whole(int(least), int(greatest))
        return tensor.typed(kind, tensor.derived)
    if kind in (*INTEGERS, BOOL):
        need(tensor.fixed and tensor.kind in (*INTEGERS, BOOL), f"unsupported Cast of {words}")
        if kind == BOOL:
            told = [int(number != 0) for number in tensor.constants()]
            return constants(tensor.graph, tensor.shape, told).typed(kind, tensor.derived)
        return tensor.typed(kind, tensor.derived)
    need(kind in PRECISION and not tensor.derived, f"unsupported Cast of {words}")
    exact = kind in HOLDS.get(tensor.kind, ())
    if tensor.kind in INTEGERS and not tensor.fixed:
        most = 1 << PRECISION[kind][0]  # whole numbers of at most this size are floats of the type
        tensor.hold_whole(-most, most)
        exact = True
    need(tensor.fixed or exact, f"unsupported Cast of computed {words}, which would round")
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


def size_of(call: OperatorCall) -> SymbolicTensor:
    """The number of elements."""
    return constants(call.graph, (), [call.tensor().size])


def constant_of_shape(call: OperatorCall) -> SymbolicTensor:
    """One number throughout: of `value`, by default a float32 zero."""
    wanted = call.tensor()
    sides = wanted.whole_numbers()
    need(all(0 <= side <= MAX_SIZE for side in sides), "a wrong shape")
    need_size(sides)
    count, kind, number = math.prod(sides), FLOAT32, Fraction(0)
    if call.attributes.has("value"):
        given = stored_tensor(call.graph, call.attributes.tensor("value"))
        need(given.size == 1, "a value of several elements")
        kind, number = given.kind, given.constants()[0]
    return constants(call.graph, sides, [number] * count, kind)


def range_of(call: OperatorCall) -> SymbolicTensor:
    """start, start + delta, ... before limit; of whole numbers alone, where nobody rounds."""
    ends = [call.tensor(place) for place in range(3)]
    need(all(end.size == 1 for end in ends) and ends[0].kind in INTEGERS,
         "unsupported Range of floats, or of several numbers")
    start, limit, delta = (end.whole_numbers()[0] for end in ends)
    need(delta != 0, "a Range without steps")
    numbers: Sequence[int] = range(start, limit, delta)
    need(len(numbers) <= MAX_SIZE, "a tensor is too big")
    return constants(call.graph, [len(numbers)], numbers)


OPERATORS = {
    "Identity": Operator(identity, Signature(inputs=(ANY_INPUT,))),
    "Constant": Operator(constant, Signature(
        inputs=(), attributes=(
            AttributeSlot("value", TENSOR), AttributeSlot("value_float", REAL, since=12),
            AttributeSlot("value_floats", REAL_LIST, since=12),
            AttributeSlot("value_int", INTEGER, since=12),
            AttributeSlot("value_ints", INTEGER_LIST, since=12)), result=OF_RULE)),
    "ConstantOfShape": Operator(constant_of_shape, Signature(
        inputs=(INT64_INPUT,), attributes=(AttributeSlot("value", TENSOR),), result=OF_RULE,
        since=9)),
    "CastLike": Operator(cast_like, Signature(
        inputs=(InputSlot(ANY_INPUT.kinds, "T1"), InputSlot(ANY_INPUT.kinds, "T2")),
        attributes=(AttributeSlot("saturate", INTEGER, since=19),), result=OF_RULE, since=15)),
    "Size": Operator(size_of, Signature(inputs=(ANY_INPUT,), result=INT64)),
    "Range": Operator(range_of, Signature(
        inputs=(RANGE_INPUT, RANGE_INPUT, RANGE_INPUT), result=OF_FIRST_INPUT, since=11)),
    "Cast": Operator(cast, Signature(
        inputs=(ANY_INPUT,),
        attributes=(AttributeSlot("to", INTEGER), AttributeSlot("saturate", INTEGER, since=19)),
        result=OF_RULE)),
    "Shape": Operator(shape_of, Signature(
        inputs=(ANY_INPUT,),
        attributes=(AttributeSlot("start", INTEGER, since=15),
                    AttributeSlot("end", INTEGER, since=15)), result=INT64)),
}
