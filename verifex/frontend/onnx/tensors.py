"""Tensors stored in an ONNX file: every size is checked before anything is allocated."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.values import (
    BFLOAT16,
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT16,
    FLOATS,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Constant,
    Value,
    Whole,
    dtype_name,
)

RAW: Mapping[int, str] = {
    FLOAT: "<f4", DOUBLE: "<f8", FLOAT16: "<f2", BFLOAT16: "<u2", INT8: "i1", INT16: "<i2",
    INT32: "<i4", INT64: "<i8", UINT8: "u1", UINT16: "<u2", UINT32: "<u4", UINT64: "<u8",
    BOOL: "u1",
}
"""How the elements of each type lie in raw bytes."""

FIELDS: Mapping[int, str] = {
    FLOAT: "float_data", DOUBLE: "double_data", INT64: "int64_data", UINT32: "uint64_data",
    UINT64: "uint64_data",
}
"""The typed field of each element type; those not listed use int32_data."""

TYPED_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data",
                "uint64_data")
EXTERNAL = 1


@dataclass
class TensorReader:
    """Decodes TensorProtos; `folder` is where external data may lie, None to refuse it."""

    limits: Limits
    folder: Path | None = None
    _bytes: int = field(default=0)

    def decode(self, proto: Any) -> Value:
        """A TensorProto as a constant; InputError names what is wrong with it."""
        dtype = int(proto.data_type)
        if dtype not in RAW:
            raise UnsupportedError(f"a tensor of type {dtype_name(dtype)}",
                                   expected="floats, integers or booleans")
        if proto.HasField("segment"):
            raise UnsupportedError("a tensor stored in segments", expected="a whole tensor")
        shape = self.limits.shape(list(proto.dims))
        count = math.prod(shape)
        array = self._read(proto, dtype, count).reshape(shape)
        return _as_value(array, dtype)

    def _read(self, proto: Any, dtype: int, count: int) -> Any:
        """The stored elements, flat, in their own numpy type."""
        name = FIELDS.get(dtype, "int32_data")
        filled = [f for f in TYPED_FIELDS if len(getattr(proto, f))]
        if proto.data_location == EXTERNAL:
            if filled or proto.HasField("raw_data"):
                raise InputError("data both inside and outside the file", expected="one of them")
            raw = self._external(proto, count * np.dtype(RAW[dtype]).itemsize)
        elif proto.HasField("raw_data") and not (filled and not proto.raw_data):
            if filled:
                raise InputError(f"both raw_data and {filled[0]}", expected="one of them")
            raw = proto.raw_data
        else:
            if filled not in ([], [name]):
                raise InputError(f"type {dtype_name(dtype)} stored in {', '.join(filled)}",
                                 expected=name)
            return _from_field(getattr(proto, name), dtype, count)
        wanted = count * np.dtype(RAW[dtype]).itemsize
        if len(raw) != wanted:
            raise InputError(f"{len(raw)} bytes of data", expected=f"{wanted} bytes")
        return np.frombuffer(raw, dtype=RAW[dtype])

    def _external(self, proto: Any, wanted: int) -> bytes:
        """Bytes from a file inside the model's folder, reached without symbolic links."""
        if self.folder is None:
            raise InputError("the tensor is stored outside the file",
                             expected="a model in one file (torch: external_data=False)")
        entries = {e.key: e.value for e in proto.external_data}
        # A checksum is allowed and not looked at: sizes are checked, and content is never trusted.
        unknown = set(entries) - {"location", "offset", "length", "checksum"}
        if unknown or len(entries) != len(proto.external_data):
            raise InputError(f"external data entries {sorted(unknown)}",
                             expected="location, offset, length")
        offset = _count(entries.get("offset", "0"))
        length = _count(entries.get("length", str(wanted)))
        if length != wanted:
            raise InputError(f"{length} bytes of external data", expected=f"{wanted} bytes")
        self._bytes += length
        if self._bytes > self.limits.max_bytes:
            raise InputError("too much external data",
                             expected=f"at most {self.limits.max_bytes} bytes")
        return _read_inside(self.folder, entries.get("location", ""), offset, length)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputError(f"external data position '{text[:40]}'", expected="a number of bytes")
    return int(text)


def _read_inside(folder: Path, location: str, offset: int, length: int) -> bytes:
    """`length` bytes at `offset` of a regular file under `folder`, no component being a link."""
    parts = Path(location).parts
    outside = not parts or Path(location).is_absolute() or "\\" in location or "\0" in location
    if outside or ".." in parts:
        raise InputError("external data outside the model's folder",
                         expected="a relative path inside it")
    path = folder
    try:
        for part in parts:
            path = path / part
            if stat.S_ISLNK(path.lstat().st_mode):
                raise InputError("external data behind a symbolic link", expected="a plain file")
        # The path may change between the look and the opening: no link is followed here either, and
        # a pipe does not block.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
                         | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size < offset + length:
                raise InputError("external data shorter than declared",
                                 expected=f"{offset + length} bytes in a plain file")
            stream.seek(offset)
            return stream.read(length)
    except OSError as error:
        raise InputError(f"external data cannot be read ({error.strerror})",
                         expected="a readable file") from None


def _from_field(stored: Any, dtype: int, count: int) -> Any:
    """Elements kept in a typed field of the proto."""
    if len(stored) != count:
        raise InputError(f"{len(stored)} elements of data", expected=f"{count} elements")
    # Python integers first: a number that is too large for the type must be seen, not wrapped.
    values = np.array(stored, dtype=np.float64 if dtype in (FLOAT, DOUBLE) else object)
    if dtype in (FLOAT, DOUBLE):
        return values
    if dtype in (FLOAT16, BFLOAT16):
        if any(not 0 <= v < 2**16 for v in values):
            raise InputError("a 16-bit float out of range", expected="bits in 0..65535")
        bits = values.astype(np.uint16)
        return bits.view(np.float16) if dtype == FLOAT16 else bits
    kind = np.dtype(RAW[dtype])
    info = np.iinfo(kind)
    if any(not info.min <= v <= info.max for v in values):
        raise InputError(f"a number out of the range of {dtype_name(dtype)}",
                         expected="numbers that fit")
    return values.astype(kind)


def _as_value(array: Any, dtype: int) -> Value:
    """Stored elements at their exact values."""
    if dtype == BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if dtype in FLOATS:
        with np.errstate(invalid="ignore"):  # signalling NaNs
            floats = array.astype(np.float64)
        if not np.isfinite(floats).all():
            raise InputError("a NaN or an infinity among the values", expected="finite numbers")
        return Constant(floats, dtype)
    if dtype == BOOL:
        if (array > 1).any():
            raise InputError("a boolean that is neither 0 nor 1", expected="0 or 1")
        return Whole(array.astype(bool), BOOL)
    if dtype == UINT64 and (array > np.uint64(2**63 - 1)).any():
        raise UnsupportedError("an integer above 2^63 - 1", expected="smaller numbers")
    return Whole(array.astype(np.int64), dtype)
