"""The element types of ONNX that the checker knows, and the numbers that each can hold."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

# The numbers by which ONNX files name element types (TensorProto.DataType).
FLOAT32, INT32, INT64, BOOL, FLOAT16, FLOAT64, BFLOAT16 = 1, 6, 7, 9, 10, 11, 16
UNTYPED = 0  # of a tensor on the way through a rule, before its type is decided

FLOATS = (FLOAT32, FLOAT16, FLOAT64, BFLOAT16)
INTEGERS = (INT32, INT64)

LARGEST = Fraction((1 << 24) - 1) * (1 << 104)
"""The largest finite float32."""


class ElementType(NamedTuple):
    """A name, and the least and the greatest finite number of the type."""

    name: str
    least: int | Fraction
    greatest: int | Fraction


ELEMENT_TYPES = {
    FLOAT32: ElementType("float32", -LARGEST, LARGEST),
    INT32: ElementType("int32", -(1 << 31), (1 << 31) - 1),
    INT64: ElementType("int64", -(1 << 63), (1 << 63) - 1),
    BOOL: ElementType("bool", 0, 1),
    FLOAT16: ElementType("float16", -65504, 65504),
    BFLOAT16: ElementType("bfloat16", -255 << 120, 255 << 120),
    FLOAT64: ElementType("float64", -((1 << 53) - 1) << 971, ((1 << 53) - 1) << 971),
}


OTHER_NAMES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 8: "string", 12: "uint32",
               13: "uint64"}
"""Of types that are not read."""


def typed_name(kind: int) -> str:
    """The name of an element type, for messages."""
    if kind in ELEMENT_TYPES:
        return ELEMENT_TYPES[kind].name
    return OTHER_NAMES.get(kind, f"element type {kind}")
