"""The protobuf wire format."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ..failures import Bad, need

Message = dict[int, list[Any]]


def varint(source: io.BytesIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        (byte,) = source.read(1)
        value |= (byte & 127) << shift
        if byte < 128:
            return (value & (1 << 64) - 1) - ((value >> 63 & 1) << 64)
    raise Bad("a protobuf number of over ten bytes")


def message(data: bytes) -> Message:
    """Field number -> values: integers, bytes, or (bytes,) for four or eight of fixed width."""
    need(isinstance(data, bytes), "a protobuf field of another type")
    out, source = Message(), io.BytesIO(data)
    while source.tell() < len(data):
        key = varint(source)
        need(8 <= key < 1 << 32, "a wrong protobuf tag")
        value: Any = varint(source) if key & 7 in (0, 2) else {1: 8, 5: 4}[key & 7]
        if key & 7:
            need(0 <= value <= len(data) - source.tell(), "the protobuf data is cut short")
            value = source.read(value) if key & 7 == 2 else (source.read(value),)
        out.setdefault(key >> 3, []).append(value)
    return out


def one(m: Message, field: int, default: Any) -> Any:
    """A field of the default's type; given twice, or as another type, readers disagree on it."""
    found = m.get(field, [default])
    need(len(found) == 1 and type(found[0]) is type(default), f"a wrong protobuf field {field}")
    return found[0]


def text(m: Message, field: int) -> str:
    return str(one(m, field, b"").decode())


def integers(values: Sequence[Any]) -> list[int]:
    """A repeated integer field, packed or not."""
    out = list[int]()
    for v in values:
        source = io.BytesIO(b"" if isinstance(v, int) else v)  # TypeError for a fixed width
        out += [v] if isinstance(v, int) else []
        while source.tell() < len(source.getbuffer()):
            out.append(varint(source))
    return out


def packed_reals(values: Sequence[Any], width: int) -> bytes:
    """A repeated field of floats, packed or not."""
    need(all(isinstance(v, bytes) or len(v[0]) == width for v in values), "wrong numbers")
    return b"".join(v if isinstance(v, bytes) else v[0] for v in values)


def reals(raw: bytes, code: str = "<f") -> list[Fraction]:
    """Packed numbers, each at its exact value; NaN and infinities are refused."""
    try:
        # Decoding is all that a float is used for: the next thing is the fraction it stands for.
        return [Fraction(v) for (v,) in struct.iter_unpack(code, raw)]
    except (OverflowError, ValueError):
        raise Bad("a NaN or an infinity among the numbers") from None
