"""Files as they lie on disk, and the lines of a certificate."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from .failures import MAX_FILE, MAX_LINE, Bad, need


def read(path: str) -> tuple[bytes, str]:
    """A file, unzipped if it is zipped, and the SHA-256 of its bytes as they lie on disk."""
    with open(path, "rb") as opened:
        data = plain = opened.read(MAX_FILE + 1)
    if data[:2] == b"\x1f\x8b":
        plain = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_FILE + 1)
    need(max(len(data), len(plain)) <= MAX_FILE, f"{path} is too big")
    return plain, hashlib.sha256(data).hexdigest()


class Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, path: str, digest: Any) -> None:
        self.raw, self.digest = open(path, "rb", buffering=0), digest  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self.raw.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:size])
        return size

    def close(self) -> None:
        self.raw.close()
        super().close()


def stream(path: str, digest: Any, place: list[str]) -> Iterator[Any]:
    """The lines of a certificate, one at a time; `int` refuses floating-point literals.

    `place` is set to the line that was read last, for messages.
    """
    with io.BufferedReader(Hashed(path, digest), 1 << 16) as raw:
        source: Any = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        for number, line in enumerate(iter(partial(source.readline, MAX_LINE + 1), b""), 1):
            place[:] = [f"line {number}"]
            need(len(line) <= MAX_LINE, "a line is too long")
            yield _object(line)


def _object(line: bytes) -> Any:
    """What a line of JSON says; numbers are whole."""
    try:
        return json.loads(line, parse_float=int, parse_constant=int)
    except (ValueError, RecursionError):
        raise Bad("no line of JSON whose numbers are whole") from None
