"""What a file declares of its inputs and outputs (ValueInfoProto)."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..failures import MAX_SIZE, need
from ..graph.element_types import FLOATS, INTEGERS, UNTYPED, typed_name
from ..graph.symbolic import SymbolicTensor
from .protobuf import Message

# Fields of ValueInfoProto, of TypeProto (and its denotation), of its tensor type, of shapes.
NAME, TYPE = 1, 2
TENSOR_TYPE, SEQUENCE_TYPE, DENOTATION = 1, 4, 6
ELEMENT_TYPE, SHAPE = 1, 2
DIM, DIM_VALUE = 1, 1

NO_FLOATS = (*range(2, 10), 12, 13)
"""The element types of integers, strings and booleans."""

OPEN = -1
"""A side that a file leaves open, or gives a name."""


class Declaration(NamedTuple):
    """A name, an element type (UNTYPED: none given) and sides; None where no shape is given."""

    name: str
    kind: int
    shape: list[int] | None

    def check(self, tensor: SymbolicTensor, with_shape: bool) -> None:
        """What is declared of a tensor is so.

        Sound: of a stored tensor that is declared otherwise, readers believe either. Of an output
        the shape is but a hint, which readers do not look at: `with_shape` is false, and the type
        may be left out.
        """
        label = self.name[:40]
        said = self.kind != UNTYPED or with_shape
        need(not said or self.kind == tensor.kind,
             f"'{label}' is declared as {typed_name(self.kind)}")
        if with_shape and self.shape is not None:
            need(fits(self.shape, tensor.shape), f"'{label}' is declared with another shape")

    def input_shape(self) -> list[int]:
        """The shape of an input of numbers; a batch of any size is a batch of one."""
        label = self.name[:40]
        need(self.kind in (*FLOATS, *INTEGERS),
             f"unsupported {typed_name(self.kind)} as input '{label}'")
        shape = list(self.shape or ())
        if shape and shape[0] < 1:
            shape[0] = 1
        need(self.shape is not None and min(shape, default=1) > 0
             and math.prod(shape) <= MAX_SIZE, f"a wrong shape of input '{label}'")
        return shape


def fits(declared: list[int], shape: tuple[int, ...]) -> bool:
    """Whether a shape is as declared, where sides may be left open."""
    return len(declared) == len(shape) and all(
        side < 1 or side == found for side, found in zip(declared, shape, strict=True))


def output_declaration(info: Message) -> Declaration:
    """As `declaration`, of an output; a sequence, as ZipMap makes of a tensor, has no type."""
    if info.message(TYPE).has(SEQUENCE_TYPE):
        return Declaration(info.text(NAME), UNTYPED, None)
    return declaration(info)


def declaration(info: Message) -> Declaration:
    """What a ValueInfoProto says of a tensor; optional values, sequences and maps are refused."""
    name, about = info.text(NAME), info.message(TYPE)
    need(about.fields.keys() <= {TENSOR_TYPE, DENOTATION}, f"'{name[:40]}' is no tensor")
    tensor_type = about.message(TENSOR_TYPE)
    shape = None
    if tensor_type.has(SHAPE):
        sides = tensor_type.message(SHAPE).messages(DIM)
        shape = [side.integer(DIM_VALUE, OPEN) for side in sides]
    return Declaration(name, tensor_type.integer(ELEMENT_TYPE), shape)
