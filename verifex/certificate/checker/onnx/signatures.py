"""What the operator sets of ONNX say of an operator: its inputs, attributes and result.

An entry states for every operator set from 7 to 23 what the standard allows, cut down to the
element types that the checker knows. tests/readings compares each of them with the standard's own
schemas.
"""

from __future__ import annotations

from typing import NamedTuple

from ..graph.element_types import BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT64, INTEGERS

FIRST_OPSET, LAST_OPSET = 7, 23


class InputSlot(NamedTuple):
    """An input: its element types, and the type variable that it shares with other inputs.

    All inputs of one variable have one type in a call. `optional`: may be left out. `repeated`:
    stands for one or more inputs. It exists in the operator sets from `since` until `until`.
    """

    kinds: tuple[int, ...]
    variable: str = "T"
    optional: bool = False
    repeated: bool = False
    since: int = FIRST_OPSET
    until: int = LAST_OPSET

    def optionally(self) -> InputSlot:
        """The same input where it may be left out."""
        return self._replace(optional=True)

    def many(self) -> InputSlot:
        """One or more of such inputs."""
        return self._replace(repeated=True)

    def during(self, since: int = FIRST_OPSET, until: int = LAST_OPSET) -> InputSlot:
        """The same input in some operator sets only."""
        return self._replace(since=since, until=until)


FLOATS = (FLOAT32, FLOAT16, FLOAT64)
"""The floats that an input of floats may have in all operator sets; bfloat16 came later."""

FLOAT_INPUT = InputSlot(FLOATS)
NUMBER_INPUT = InputSlot((*FLOATS, *INTEGERS))
ANY_INPUT = InputSlot((*FLOATS, *INTEGERS, BOOL))
# Inputs that say where, how many or whether, with types of their own.
INDEX_INPUT = InputSlot(INTEGERS, "Tind")
INT64_INPUT = InputSlot((INT64,), "int64")
BOOL_INPUT = InputSlot((BOOL,), "bool")
# Floats whose type may be another than that of the first input.
FLOAT_INPUT_1, FLOAT_INPUT_2 = InputSlot(FLOATS, "T1"), InputSlot(FLOATS, "T2")

# Types of attributes, by their numbers in the file (AttributeProto.AttributeType).
REAL, INTEGER, TEXT, TENSOR, REAL_LIST, INTEGER_LIST, TEXT_LIST = 1, 2, 3, 4, 6, 7, 8


class AttributeSlot(NamedTuple):
    """An attribute that may be given, in the operator sets from `since` until `until`."""

    name: str
    kind: int
    since: int = FIRST_OPSET
    until: int = LAST_OPSET


# Operators of ai.onnx.ml have operator sets of their own.
FIRST_ML, LAST_ML = 1, 5
FLOAT32_INPUT = InputSlot((FLOAT32,), since=FIRST_ML)
ML_FLOAT_INPUT = InputSlot((FLOAT32, FLOAT64), since=FIRST_ML)
ML_INPUT = InputSlot((FLOAT32, FLOAT64, *INTEGERS), since=FIRST_ML)
ML_INT64_INPUT = InputSlot((INT64,), "int64", since=FIRST_ML)
LABEL_INPUTS = (InputSlot((INT64,), since=1, until=1), InputSlot((FLOAT32, INT64), since=2))


def ml_attribute(name: str, kind: int, since: int = FIRST_ML, until: int = LAST_ML
                 ) -> AttributeSlot:
    """An attribute of an operator of ai.onnx.ml."""
    return AttributeSlot(name, kind, since, until)


OF_FIRST_INPUT, OF_RULE = "first input", "rule"
"""Element types of a result: that of the first input; the one that the rule gives it."""


class Signature(NamedTuple):
    """Inputs and attributes of an operator, and the element type of its results (or where it is
    had from).

    The operator exists in the operator sets from `since` until `until`; from `bfloat16` on, its
    inputs of floats may be bfloat16 as well.
    """

    inputs: tuple[InputSlot, ...]
    attributes: tuple[AttributeSlot, ...] = ()
    result: int | str = OF_FIRST_INPUT
    since: int = FIRST_OPSET
    until: int = LAST_OPSET
    bfloat16: int = 13

    def inputs_at(self, opset: int) -> list[InputSlot]:
        """The inputs that the operator has in an operator set."""
        slots = [slot for slot in self.inputs if slot.since <= opset <= slot.until]
        return [slot._replace(kinds=(*slot.kinds, BFLOAT16))
                if opset >= self.bfloat16 and FLOAT16 in slot.kinds else slot for slot in slots]

    def exists_in(self, opset: int) -> bool:
        """Whether an operator set has the operator."""
        return self.since <= opset <= self.until

    def attributes_at(self, opset: int) -> dict[str, AttributeSlot]:
        """The attributes that it has there, by name."""
        return {slot.name: slot for slot in self.attributes if slot.since <= opset <= slot.until}

    def computes_integers(self) -> bool:
        """Whether it does arithmetic on integers."""
        return any(slot.kinds == NUMBER_INPUT.kinds for slot in self.inputs)


def ml_signature(
    inputs: tuple[InputSlot, ...], attributes: tuple[AttributeSlot, ...] = (),
    result: int | str = OF_FIRST_INPUT,
) -> Signature:
    """A signature of ai.onnx.ml, in whose operator sets none has ended."""
    return Signature(inputs, attributes, result, FIRST_ML, LAST_ML)
