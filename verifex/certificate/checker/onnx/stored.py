"""Tensors that an ONNX file stores."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

from ..failures import MAX_SIZE, need
from ..graph.element_types import typed_name
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor, constants
from .protobuf import Message, integers, one, packed_reals, reals


def tensor(graph: NetworkGraph, t: Message) -> SymbolicTensor:
    """A TensorProto at its exact value, with its element type."""
    kind = one(t, 2, 0)
    need(kind in STORED, f"unsupported tensor of {typed_name(kind)}")
    need(not t.keys() & {3, 13} and not one(t, 14, 0),
         "unsupported tensor in segments or outside the file")
    code, field = STORED[kind]
    given = t.keys() & {4, 5, 6, 7, 9, 10, 11}
    need(len(given) < 2 and given <= {field, 9}, "a tensor with its numbers elsewhere, or twice")
    shape, width = integers(t.get(1, ())), struct.calcsize(code)
    raw, stored = one(t, 9, b""), t.get(field, ())
    need(all(0 <= d <= MAX_SIZE for d in shape), "a tensor with a wrong dimension")
    need(math.prod(shape) <= MAX_SIZE and len(raw) <= width * MAX_SIZE, "a tensor is too big")
    need(len(raw) % width == 0, "a tensor with broken bytes")
    if field in (4, 10):
        return constants(graph, shape, reals(raw or packed_reals(stored, width), code), kind)
    whole = reals(raw, code) or [Fraction(v) for v in integers(stored)]
    return constants(graph, shape, whole, kind).within()


STORED = {1: ("<f", 4), 6: ("<i", 5), 7: ("<q", 7), 9: ("<B", 5), 11: ("<d", 10)}  # code, field
