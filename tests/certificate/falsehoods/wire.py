"""Protobuf messages written byte by byte, and ONNX files edited where `onnx` would not let one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import TensorProto


def number(n: int) -> bytes:
    """A varint; negative numbers take ten bytes."""
    out = bytearray()
    n &= (1 << 70) - 1 if n >= 0 else (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def block(field: int, data: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(data)) + data


def whole(field: int, n: int) -> bytes:
    return number(field << 3) + number(n)


def fields(data: bytes) -> Iterator[tuple[int, int, Any, bytes]]:
    """(field, wire type, value, its bytes) of a message that is well formed."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        start, key = at, varint()
        if key & 7 == 0:
            value: Any = varint()
        else:
            size = varint() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            value, at = data[at : at + size], at + size
        yield key >> 3, key & 7, value, data[start:at]


Edit = Callable[[bytes], bytes]


def within(path: tuple[int, ...], edit: Edit, which: Callable[[bytes], bool] = lambda v: True
           ) -> Edit:
    """The edit of the innermost messages on a path of fields, of those that `which` picks."""

    def apply(data: bytes, path: tuple[int, ...]) -> bytes:
        if not path:
            return edit(data) if which(data) else data
        return b"".join(block(n, apply(value, path[1:])) if n == path[0] and kind == 2 else raw
                        for n, kind, value, raw in fields(data))

    return lambda data: apply(data, path)


def named(field: int, name: str) -> Callable[[bytes], bool]:
    """Whether a message has this text in a field."""
    return lambda data: any(n == field and v == name.encode() for n, _, v, _ in fields(data))


TENSORS, NODES = (7, 5), (7, 1)  # where initializers and nodes lie in a model


def stored_as(name: str, *parts: bytes) -> Edit:
    """An initializer with other fields beside its shape, type and name."""

    def edit(data: bytes) -> bytes:
        kept = b"".join(raw for n, _, _, raw in fields(data) if n in (1, 2, 8))
        return kept + b"".join(parts)

    return within(TENSORS, edit, named(8, name))


def raw_tensor(kind: int, shape: tuple[int, ...], data: bytes) -> TensorProto:
    return TensorProto(data_type=kind, dims=shape, raw_data=data)


def reals(values: Any) -> bytes:
    return bytes(np.asarray(values, "<f4").tobytes())
