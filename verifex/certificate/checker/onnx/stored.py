"""Tensors that an ONNX file stores (TensorProto)."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from ..failures import MAX_SIZE, need
from ..graph.element_types import (
    BFLOAT16,
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT32,
    INT64,
    typed_name,
)
from ..graph.elements import NumberElements
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor
from .external import ExternalFiles, is_outside
from .protobuf import Message, Ratio, ratios

# Fields of a TensorProto.
DIMS, DATA_TYPE, SEGMENT, FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA = 1, 2, 3, 4, 5, 6, 7
NAME, RAW_DATA, DOUBLE_DATA, UINT64_DATA = 8, 9, 10, 11
NUMBERS = (FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA, RAW_DATA, DOUBLE_DATA, UINT64_DATA)


class Storage(NamedTuple):
    """How numbers of a type are stored: as raw bytes by a code of `struct`, or in a field."""

    code: str
    field: int


# Booleans are read as bytes, so that one that is neither 0 nor 1 is seen.
STORED = {FLOAT32: Storage("<f", FLOAT_DATA), INT32: Storage("<i", INT32_DATA),
          INT64: Storage("<q", INT64_DATA), BOOL: Storage("<B", INT32_DATA),
          FLOAT64: Storage("<d", DOUBLE_DATA), FLOAT16: Storage("<e", INT32_DATA),
          BFLOAT16: Storage("<H", INT32_DATA)}
HALVES = (FLOAT16, BFLOAT16)
"""Types of two bytes, whose field holds their bits as integers."""


def stored_tensor(
    graph: NetworkGraph, tensor: Message, files: ExternalFiles | None = None
) -> SymbolicTensor:
    """The tensor at its exact value, with its element type.

    ONNX: the numbers stand in `raw_data` (little-endian) or in the field of their type, in C
    order, as many as the dimensions say; or, as in `raw_data`, in a file beside the network, if
    there are `files`.
    Sound: refused are other types, tensors in segments, numbers in two places or in the field of
    another type, NaN, infinities, and integers and booleans that their type does not hold: of each,
    readers have made different things.
    """
    kind = tensor.integer(DATA_TYPE)
    need(kind in STORED, f"unsupported tensor of {typed_name(kind)}")
    need(not tensor.has(SEGMENT), "unsupported tensor in segments")
    code, field = STORED[kind]
    given = {number for number in NUMBERS if tensor.has(number)}
    need(len(given) < 2 and given <= {field, RAW_DATA},
         "a tensor with its numbers elsewhere, or twice")
    shape, width, raw = tensor.integers(DIMS), struct.calcsize(code), tensor.raw_bytes(RAW_DATA)
    need(all(0 <= side <= MAX_SIZE for side in shape), "a tensor with a wrong dimension")
    need(math.prod(shape) <= MAX_SIZE, "a tensor is too big")
    if is_outside(tensor):
        need(not given, "a tensor with its numbers elsewhere, or twice")
        raw = (files or ExternalFiles()).data_of(tensor, width * math.prod(shape))
    need(len(raw) <= width * MAX_SIZE, "a tensor is too big")
    need(len(raw) % width == 0, "a tensor with broken bytes")
    if kind in FLOATS:
        elements = over_one(floats_of(kind, raw or field_bytes(tensor, kind)))
    else:
        whole = [numerator for numerator, _ in ratios(raw, code)]
        elements = NumberElements(whole or tensor.integers(field), 1)
    found = SymbolicTensor(graph, shape, elements, kind)
    return found if kind in FLOATS else found.within()


def field_bytes(tensor: Message, kind: int) -> bytes:
    """The floats that stand in the field of their type, as raw bytes."""
    code, field = STORED[kind]
    if kind not in HALVES:
        return tensor.packed_numbers(field, struct.calcsize(code))
    bits = tensor.integers(field)
    need(all(0 <= one < 1 << 16 for one in bits), "a 16-bit float out of range")
    return struct.pack(f"<{len(bits)}H", *bits)


def floats_of(kind: int, raw: bytes) -> list[Ratio]:
    """Raw floats at their exact values.

    A bfloat16 is the upper half of the float32 with the same value.
    """
    if kind != BFLOAT16:
        return ratios(raw, STORED[kind].code)
    halves = [raw[place : place + 2] for place in range(0, len(raw), 2)]
    return ratios(b"".join(b"\0\0" + half for half in halves), "<f")


def over_one(numbers: list[Ratio]) -> NumberElements:
    """Binary floats over one denominator: the greatest of theirs, all of which are powers of 2."""
    shared = max([denominator for _, denominator in numbers], default=1)
    return NumberElements(
        [numerator * (shared // denominator) for numerator, denominator in numbers], shared)
