"""Tensors stored in an ONNX file: every size is checked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.structure import keyed, printable
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
from verifex.source import SiblingFiles

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
    """Decodes TensorProtos; `siblings` are the files where external data may lie, None to refuse
    it."""

    limits: Limits
    siblings: SiblingFiles | None = None

    def open_all(self, protos: Iterable[Any]) -> None:
        """Read every file that one of these tensors names, whether the tensor is needed or not: a
        certificate names them all."""
        for proto in protos:
            if proto.data_location == EXTERNAL and self.siblings is not None:
                try:
                    self.siblings.read(_entries(proto).get("location", ""))
                except InputError as error:
                    raise keyed(error, printable(proto.name)) from None
        if self.siblings is not None:
            self.siblings.all_read = True

    def take_in(self, proto: Any) -> None:
        """Move the data of a tensor that is stored outside into it."""
        dtype = int(proto.data_type)
        if proto.data_location != EXTERNAL or dtype not in RAW:
            return
        count = math.prod(self.limits.shape(list(proto.dims)))
        proto.raw_data = self._external(proto, count * np.dtype(RAW[dtype]).itemsize)
        proto.ClearField("external_data")
        proto.ClearField("data_location")

    def decode_inner(self, proto: Any) -> Value:
        """`decode` for a tensor in a node's attribute, which stands there itself."""
        if proto.data_location == EXTERNAL:
            raise UnsupportedError("an attribute's tensor stored outside the file",
                                   expected="an initialiser")
        return self.decode(proto)

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
        elif len(proto.external_data):
            raise InputError("data both inside and outside the file", expected="one of them")
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
        """Bytes of a file beside the model."""
        entries = _entries(proto)
        offset = _count(entries.get("offset", "0"))
        length = _count(entries.get("length", str(wanted)))
        if length != wanted:
            raise InputError(f"{length} bytes of external data", expected=f"{wanted} bytes")
        files = self.siblings or SiblingFiles(None, 0)
        data = files.read(entries.get("location", ""))
        if offset + length > len(data):
            raise InputError("external data shorter than declared",
                             expected=f"{offset + length} bytes in a plain file")
        return data[offset : offset + length]


def _entries(proto: Any) -> dict[str, str]:
    """Where a tensor's data lies, by key."""
    entries = {e.key: e.value for e in proto.external_data}
    # A checksum is allowed and not looked at: sizes are checked, and certificates name the content
    # by a hash of their own.
    unknown = set(entries) - {"location", "offset", "length", "checksum"}
    if unknown or len(entries) != len(proto.external_data):
        raise InputError(f"external data entries {sorted(map(printable, unknown))}",
                         expected="location, offset, length")
    return entries


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputError(f"external data position '{text[:40]}'", expected="a number of bytes")
    return int(text)


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
