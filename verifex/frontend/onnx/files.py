"""Reading untrusted files up to a limit; gzip is recognised by its first bytes."""

from __future__ import annotations

import zlib
from pathlib import Path

from verifex.errors import InputError


def read_limited(path: str | Path, limit: int, name: str, what: str) -> bytes:
    """The bytes of a file as they are; InputError where there are more than `limit`.

    `name` stands for the file in messages, `what` for its content ("the model").
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", expected="a readable file",
                         file=name) from None
    if len(data) > limit:
        raise too_big(what, limit, name)
    return data


def unzipped(data: bytes, limit: int, name: str, what: str) -> bytes:
    """The bytes, unzipped if they are zipped; InputError where that makes more than `limit`.

    Unzipping stops as soon as the result passes the limit.
    """
    if data[:2] == b"\x1f\x8b":
        data = _unzip(data, limit, name)
    if len(data) > limit:
        raise too_big(what, limit, name)
    return data


def too_big(what: str, limit: int, name: str) -> InputError:
    """The error of a file that passes a limit."""
    return InputError(f"{what} is too big", expected=f"at most {limit} bytes", file=name)


def _unzip(data: bytes, limit: int, name: str) -> bytes:
    """At most `limit + 1` bytes of one gzip member, which must be whole and alone."""
    unzip = zlib.decompressobj(wbits=31)
    try:
        # One byte more than allowed is enough to know: a small file can unzip to terabytes.
        out = unzip.decompress(data, limit + 1)
    except zlib.error:
        raise InputError("the gzip data is damaged", expected="a .gz file", file=name) from None
    if len(out) > limit:
        return out
    if not unzip.eof:
        raise InputError("the gzip data is cut short", expected="a whole .gz file", file=name)
    if unzip.unused_data:
        raise InputError("the gzip data is followed by more", expected="one .gz member", file=name)
    return out
