"""The protobuf wire format: a message as its numbered fields, with nothing left to interpretation.

A message is a list of fields, each with a number and a value: an integer, bytes of a stated length
(a text, a message within the message, or numbers packed together), or four or eight bytes.

Sound: protobuf readers agree on well-formed data, and differ on the rest: which of two values of a
field counts, what becomes of a field of another wire type, of a number that is too long. All that
is refused, so what is read here is what every reader reads.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..failures import Bad, need


class FixedWidth(NamedTuple):
    """A field of four or eight bytes."""

    raw: bytes


FieldValue = int | bytes | FixedWidth

# How a field is written, by the last three bits of its tag.
VARINT, EIGHT_BYTES, COUNTED_BYTES, FOUR_BYTES = 0, 1, 2, 5


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """An integer that starts here, and where the next thing starts.

    Seven bits a byte, the lowest first; the top bit says that more bytes follow. Of the 70 bits
    of ten bytes 64 count, in two's complement.
    """
    value = 0
    for place in range(start, start + 10):
        need(place < len(data), "the protobuf data is cut short")
        byte = data[place]
        value |= (byte & 127) << 7 * (place - start)
        if byte < 128:
            unsigned = value & (1 << 64) - 1
            return unsigned - (unsigned >> 63 << 64), place + 1
    raise Bad("a protobuf number of over ten bytes")


class Message:
    """The fields of a message, by number, in the order in which they stand in the file."""

    def __init__(self, data: bytes) -> None:
        self.fields: dict[int, list[FieldValue]] = {}
        place = 0
        while place < len(data):
            tag, place = read_varint(data, place)
            need(8 <= tag < 1 << 32, "a wrong protobuf tag")
            value, place = read_value(data, place, tag & 7)
            self.fields.setdefault(tag >> 3, []).append(value)

    def has(self, *numbers: int) -> bool:
        """Whether any of these fields is given."""
        return any(number in self.fields for number in numbers)

    def values(self, number: int) -> Sequence[FieldValue]:
        """All values of a repeated field."""
        return self.fields.get(number, ())

    def single(self, number: int) -> FieldValue | None:
        """The value of a field that may be given once: readers disagree on one given twice."""
        values = self.values(number)
        need(len(values) < 2, f"a wrong protobuf field {number}")
        return values[0] if values else None

    def integer(self, number: int, default: int = 0) -> int:
        value = self.single(number)
        if value is None:
            return default
        if not isinstance(value, int):
            raise Bad(f"a wrong protobuf field {number}")
        return value

    def raw_bytes(self, number: int) -> bytes:
        """The bytes of a field, none where it is left out."""
        value = self.single(number)
        return b"" if value is None else as_bytes(value)

    def text(self, number: int) -> str:
        return self.raw_bytes(number).decode()

    def texts(self, number: int) -> list[str]:
        return [as_bytes(value).decode() for value in self.values(number)]

    def message(self, number: int) -> Message:
        """The message in a field, one without fields where it is left out."""
        return Message(self.raw_bytes(number))

    def messages(self, number: int) -> list[Message]:
        return [Message(as_bytes(value)) for value in self.values(number)]

    def float32(self, number: int) -> Fraction:
        """A single-precision number at its exact value, 0 where it is left out."""
        value = self.single(number)
        if value is None:
            return Fraction(0)
        if not isinstance(value, FixedWidth) or len(value.raw) != 4:
            raise Bad(f"a wrong protobuf field {number}")
        return reals(value.raw)[0]

    def integers(self, number: int) -> list[int]:
        """A repeated field of integers, each of which may be alone or packed with others."""
        found = list[int]()
        for value in self.values(number):
            if isinstance(value, int):
                found.append(value)
            else:
                found += packed_integers(as_bytes(value))
        return found

    def packed_numbers(self, number: int, width: int) -> bytes:
        """A repeated field of floats of so many bytes, packed or not, one after the other."""
        parts = list[bytes]()
        for value in self.values(number):
            if isinstance(value, FixedWidth):
                need(len(value.raw) == width, "wrong numbers")
                parts.append(value.raw)
            else:
                parts.append(as_bytes(value))
        return b"".join(parts)


def read_value(data: bytes, start: int, wire_type: int) -> tuple[FieldValue, int]:
    """The value that starts here, and where the next field starts."""
    if wire_type == VARINT:
        return read_varint(data, start)
    if wire_type == COUNTED_BYTES:
        length, start = read_varint(data, start)
    else:
        need(wire_type in (EIGHT_BYTES, FOUR_BYTES), "a wrong protobuf tag")
        length = 8 if wire_type == EIGHT_BYTES else 4
    end = start + length
    need(start <= end <= len(data), "the protobuf data is cut short")
    raw = data[start:end]
    return (raw if wire_type == COUNTED_BYTES else FixedWidth(raw)), end


def as_bytes(value: FieldValue) -> bytes:
    if not isinstance(value, bytes):
        raise Bad("a protobuf field of another type")
    return value


def packed_integers(data: bytes) -> list[int]:
    """Integers one after the other."""
    found, place = list[int](), 0
    while place < len(data):
        value, place = read_varint(data, place)
        found.append(value)
    return found


Ratio = tuple[int, int]
"""Numerator and denominator, in lowest terms."""


def ratios(raw: bytes, code: str = "<f") -> list[Ratio]:
    """Packed numbers, each at its exact value; NaN and infinities are refused.

    Sound: decoding is all that a float is used for. The next thing is the ratio of integers that it
    stands for, which is exact.
    """
    try:
        return [value.as_integer_ratio() for (value,) in struct.iter_unpack(code, raw)]
    except (OverflowError, ValueError):
        raise Bad("a NaN or an infinity among the numbers") from None


def reals(raw: bytes, code: str = "<f") -> list[Fraction]:
    """Packed numbers as fractions."""
    return [Fraction(*ratio) for ratio in ratios(raw, code)]
