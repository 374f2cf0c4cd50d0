"""The attributes of an operator, read by name and type."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from ..failures import Bad, need
from .protobuf import FixedWidth, Message, reals
from .signatures import INTEGER, INTEGER_LIST, REAL, REAL_LIST, TEXT, TEXT_LIST, AttributeSlot

# Fields of an AttributeProto.
NAME, REAL_VALUE, INTEGER_VALUE, TEXT_VALUE, TENSOR_VALUE = 1, 2, 3, 4, 5
REAL_VALUES, INTEGER_VALUES, TEXT_VALUES = 7, 8, 9
TYPE, REFERENCE = 20, 21


class RealList(NamedTuple):
    """A list of numbers."""

    numbers: tuple[Fraction, ...]


class TextList(NamedTuple):
    """A list of texts."""

    texts: list[str]


class NanAttribute:
    """A float32 that is a NaN."""


AttributeValue = (
    NanAttribute | Fraction | int | str | list[int] | RealList | TextList | Message)


def is_nan(attribute: Message) -> bool:
    """Whether the number of an attribute is a NaN: all bits of its exponent are set, and some of
    the rest below the sign."""
    given = attribute.single(REAL_VALUE)
    bits = int.from_bytes(given.raw, "little") if isinstance(given, FixedWidth) else 0
    return (bits & 0x7FFFFFFF) > 0x7F800000


def value_of(attribute: Message, kind: int) -> AttributeValue:
    """What an attribute of this type holds."""
    if kind == REAL:
        return NanAttribute() if is_nan(attribute) else attribute.float32(REAL_VALUE)
    if kind == INTEGER:
        return attribute.integer(INTEGER_VALUE)
    if kind == TEXT:
        return attribute.text(TEXT_VALUE)
    if kind == REAL_LIST:
        return RealList(tuple(reals(attribute.packed_numbers(REAL_VALUES, 4))))
    if kind == INTEGER_LIST:
        return attribute.integers(INTEGER_VALUES)
    if kind == TEXT_LIST:
        return TextList(attribute.texts(TEXT_VALUES))
    return attribute.message(TENSOR_VALUE)


class Attributes:
    """What a node of the file says; an attribute that its rule never asks for is refused.

    Sound: an attribute that the operator set does not have, that has another type, stands twice, or
    refers to one of a function is refused, for readers ignore it or do not.
    """

    def __init__(
        self, given: list[Message], slots: Mapping[str, AttributeSlot], opset: int
    ) -> None:
        self.values: dict[str, AttributeValue] = {}
        for attribute in given:
            name, kind = attribute.text(NAME), attribute.integer(TYPE)
            need(name in slots, f"unsupported attribute '{name[:40]}' at opset {opset}")
            need(kind == slots[name].kind and not attribute.has(REFERENCE),
                 f"a wrong type of '{name}'")
            need(name not in self.values, f"attribute '{name}' twice")
            self.values[name] = value_of(attribute, kind)
        self.unread = set(self.values)

    def take(self, name: str) -> AttributeValue | None:
        """The value of an attribute, None where it is left out; it counts as read."""
        self.unread.discard(name)
        return self.values.get(name)

    def has(self, name: str) -> bool:
        return name in self.values

    def ignore(self, *names: str) -> None:
        """Attributes on which nothing depends that the checker reads."""
        self.unread.difference_update(names)

    def integer(self, name: str, default: int) -> int:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, int):
            raise Bad(f"'{name}' is no integer")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """An integer that has to be 0 or 1."""
        value = self.integer(name, default)
        need(value in (0, 1), f"'{name}' is {value}")
        return value == 1

    def real(self, name: str, default: Fraction) -> Fraction:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, Fraction):
            raise Bad(f"'{name}' is no number")
        return value

    def is_nan(self, name: str) -> bool:
        """Whether a number is given that is a NaN."""
        return isinstance(self.take(name), NanAttribute)

    def text(self, name: str, default: str) -> str:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Bad(f"'{name}' is no text")
        return value

    def integers(self, name: str) -> list[int] | None:
        """A list of integers, None where it is left out."""
        value = self.take(name)
        if value is None or isinstance(value, list):
            return value
        raise Bad(f"'{name}' is no list of integers")

    def reals(self, name: str) -> tuple[Fraction, ...]:
        """A list of numbers, empty where it is left out."""
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, RealList):
            raise Bad(f"'{name}' is no list of numbers")
        return value.numbers

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty where it is left out."""
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, TextList):
            raise Bad(f"'{name}' is no list of texts")
        return value.texts

    def tensor(self, name: str) -> Message:
        """A tensor (TensorProto) that has to be given."""
        value = self.take(name)
        if not isinstance(value, Message):
            raise Bad(f"no {name}")
        return value

    def finish(self) -> None:
        """Refuses what the rule has not read."""
        need(not self.unread, f"unsupported {', '.join(sorted(self.unread))[:80]}")
