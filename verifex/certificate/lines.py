"""The lines of a certificate as objects, for commands that read one without checking it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from verifex.errors import InputError

FORMAT = 2
MAX_LINE = 1 << 26


def numbered_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered lines, from a header of this format on; InputError where one is none, OSError where
    the file cannot be read. Zipped files are recognised by their first bytes."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            yield from _objects(file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"cannot be unzipped: {error}", expected="a certificate") from None


def first_line(path: Path) -> dict[str, Any]:
    """The header of a certificate of this format."""
    for _, line in numbered_lines(path):
        return line
    raise InputError("not a certificate", expected="one object a line", key="line 1")


def _objects(file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    while data := file.readline(MAX_LINE + 1):
        number += 1
        try:
            line = None if len(data) > MAX_LINE else json.loads(data)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            key = f"line {number}"
            raise InputError("not a certificate", expected="one object a line", key=key)
        if number == 1:
            _require_format(line)
        yield number, line


def _require_format(header: dict[str, Any]) -> None:
    """Raise InputError for a certificate of another format; format 1 came before this one."""
    version = header.get("vxc")
    if type(version) is int and version == FORMAT:
        return
    if type(version) is int and version == 1:
        raise InputError(
            "a certificate of format 1",
            expected=f"format {FORMAT}: write it anew with `verifex verify --certificate`",
            key="line 1")
    raise InputError(
        "not a certificate of this format", expected=f'"vxc": {FORMAT}', key="line 1")
