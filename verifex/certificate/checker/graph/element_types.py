"""The element types of ONNX."""

from __future__ import annotations

from fractions import Fraction


def typed_name(kind: int) -> str:
    return KINDS[kind][0] if kind in KINDS else f"element type {kind}"


LARGEST = Fraction((1 << 24) - 1) * (1 << 104)  # of the finite float32
# ONNX element types: name, least and greatest number. Arithmetic is on floats; integers are
# constants (shapes, axes, indices), booleans are constants or gates.
KINDS = {
    1: ("float32", -LARGEST, LARGEST), 6: ("int32", -(1 << 31), (1 << 31) - 1),
    7: ("int64", -(1 << 63), (1 << 63) - 1), 9: ("bool", 0, 1), 10: ("float16", -65504, 65504),
    11: ("float64", -((1 << 53) - 1) << 971, ((1 << 53) - 1) << 971),
}
LETTERS = {"R": (1, 10, 11), "S": (1, 10, 11), "T": (1, 10, 11), "N": (1, 6, 7, 10, 11),
           "A": (1, 6, 7, 9, 10, 11), "J": (6, 7), "L": (7,), "B": (9,)}
