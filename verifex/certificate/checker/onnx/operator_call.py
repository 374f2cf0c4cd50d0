"""One operator of a file with its inputs and attributes, held against its signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from ..failures import Bad, need
from ..graph.element_types import BOOL, FLOAT32, INTEGERS, typed_name
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import MAX_CODE, SymbolicTensor
from .attributes import Attributes
from .protobuf import Message
from .signatures import OF_FIRST_INPUT, InputSlot, Signature

# Fields of a NodeProto.
INPUT, OUTPUT, OPERATOR, ATTRIBUTE, DOMAIN, OVERLOAD = 1, 2, 4, 5, 7, 8


class OperatorCall:
    """One operator: its inputs, None where left out, its attributes, how many outputs it has."""

    def __init__(
        self, graph: NetworkGraph, node: Message, inputs: Sequence[SymbolicTensor | None],
        opset: int, signature: Signature,
    ) -> None:
        self.graph, self.opset, self.signature = graph, opset, signature
        self.inputs, self.output_count = list(inputs), len(node.values(OUTPUT))
        need(signature.exists_in(opset), f"no such operator at opset {opset}")
        check_inputs(inputs, signature.inputs_at(opset))
        self.attributes = Attributes(
            node.messages(ATTRIBUTE), signature.attributes_at(opset), opset)

    def optional(self, place: int) -> SymbolicTensor | None:
        """The input at this place, None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def tensor(self, place: int = 0) -> SymbolicTensor:
        """The input at this place, which is there."""
        found = self.optional(place)
        if found is None:
            raise Bad(f"input {place + 1} is missing")
        return found

    def as_float32(self, place: int = 0) -> SymbolicTensor:
        """The input at this place as float32, as operators of ai.onnx.ml read it: whole numbers
        have to be such that float32 holds them."""
        found = self.tensor(place)
        if found.kind in INTEGERS:
            need(not found.derived, "unsupported: integers that arithmetic made")
            found.hold_whole(-MAX_CODE, MAX_CODE)
        return found.typed(FLOAT32)

    def tensors(self) -> list[SymbolicTensor]:
        """All inputs, none of them left out."""
        return [self.tensor(place) for place in range(len(self.inputs))]

    def integers(self, name: str, place: int) -> list[int] | None:
        """Integers that are an attribute or, in later operator sets, the constant input at a
        place; None where they are left out."""
        given = self.optional(place)
        return self.attributes.integers(name) if given is None else given.whole_numbers()

    def axis(self, given: int) -> int:
        """An axis of the first input."""
        return axes_of([given], len(self.tensor().shape))[0]

    def axes(self, given: Iterable[int]) -> list[int]:
        """Axes of the first input."""
        return axes_of(given, len(self.tensor().shape))

    def finished(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """A result with its element type.

        Sound: integers that arithmetic made are marked as such, and so is what is made of them
        (booleans that compare them too): a
        Cast to floats of those is refused, since readers compute shapes in integers of different
        widths.
        """
        kind = self.signature.result
        if not isinstance(kind, int):
            from_input = kind == OF_FIRST_INPUT and self.inputs
            kind = self.tensor().kind if from_input else tensor.kind
        given = [one for one in self.inputs if one is not None]
        derived = any(one.derived for one in given)
        if kind in INTEGERS:
            derived = derived or self.signature.computes_integers()
        return tensor.typed(kind, kind in (*INTEGERS, BOOL) and derived)


SOFTMAX, LOG_SOFTMAX, SIGMOID = "softmax", "log_softmax", "sigmoid"
NORMALIZED = "normalized_sigmoid"


class HeadTensor(NamedTuple):
    """A smooth function, by name, of logits: as many, in the same order, as it has elements.

    The shape and element type of the logits are its own; of a sum alone the shape is another.
    """

    function: str
    logits: SymbolicTensor


Result = SymbolicTensor | HeadTensor | None
"""A result; None for one that is not computed."""

Rule = Callable[
    [OperatorCall], SymbolicTensor | list[SymbolicTensor] | list[Result]]
"""The result of an operator, or the list of its results where it may have several."""


class Operator(NamedTuple):
    """An operator that the checker reads: what computes it, and what it takes."""

    rule: Rule
    signature: Signature


def check_inputs(inputs: Sequence[SymbolicTensor | None], slots: list[InputSlot]) -> None:
    """Number and element types of the inputs are those that the standard allows."""
    if slots and slots[0].repeated:
        slots = slots * max(1, len(inputs))
    need(len(inputs) <= len(slots), f"{len(inputs)} inputs")
    kinds = dict[str, int]()
    for number, (tensor, slot) in enumerate(zip_longest(inputs, slots), 1):
        if tensor is None:
            need(slot.optional, f"input {number} is missing")
            continue
        need(tensor.kind in slot.kinds,
             f"unsupported {typed_name(tensor.kind)} as input {number}")
        need(kinds.setdefault(slot.variable, tensor.kind) == tensor.kind,
             "inputs of different types")


def axes_of(given: Iterable[int], rank: int) -> list[int]:
    """Axes of a tensor of this rank, each once; those below 0 count from the end."""
    axes = [axis + rank if axis < 0 else axis for axis in given]
    need(all(0 <= axis < rank for axis in axes) and len(set(axes)) == len(axes), "wrong axes")
    return axes
