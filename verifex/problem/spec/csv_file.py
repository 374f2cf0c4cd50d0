"""CSV files by RFC 4180, and nothing that readers take differently.

A line ends with LF, CR or CRLF. A cell may stand in quotes, and only wholly; a quote within is
doubled, and line ends within belong to the cell. Blank lines are no rows, wherever they stand, and
every row is as wide as the first. UTF-8, with or without a byte order mark; gzipped if the name
ends in `.gz`.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from verifex.errors import InputError
from verifex.ir.decimals import parse_exact
from verifex.source import Source

MAX_LINE = 16 << 20


@contextmanager
def csv_rows(source: Source[bytes]) -> Iterator[Iterator[list[str]]]:
    """The rows of a file, all of one width; faults become InputErrors that name file and line.

    What is zipped is unzipped line by line: its size does not matter.
    """
    name, data = source.name, io.BytesIO(source.data)
    raw = gzip.GzipFile(fileobj=data) if name.endswith(".gz") else data
    try:
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:

            def lines() -> Iterator[str]:
                while line := stream.readline(MAX_LINE):
                    if len(line) == MAX_LINE:
                        raise InputError(f"a line of over {MAX_LINE} characters in '{name}'")
                    yield line

            yield _even(_Records(lines(), name))
    except UnicodeDecodeError as error:
        raise InputError(f"'{name}' is not UTF-8: {error.reason}", expected="text") from None
    except (zlib.error, EOFError, OSError) as error:
        raise InputError(f"'{name}' cannot be read: {error}", expected="a CSV file") from None


def is_number(cell: str) -> bool:
    """Whether a cell is a number by itself: what tells rows of data from a header."""
    try:
        parse_exact(cell)
    except ValueError:
        return False
    return True


def _even(records: _Records) -> Iterator[list[str]]:
    """The records that are rows; InputError where one is not as wide as the first."""
    width = None
    for cells in records:
        if cells == [""] and not records.quoted:
            continue
        if len(cells) == 1 and not cells[0].strip(" \t"):
            raise records.error("nothing but blanks", "cells, or an empty line")
        width = len(cells) if width is None else width
        if len(cells) != width:
            raise records.error(f"{len(cells)} cells", f"{width}, as in the first row")
        yield cells


class _Records:
    """The records of a file, as they lie there; `line` counts lines, `quoted` is of the last."""

    def __init__(self, lines: Iterator[str], name: str) -> None:
        self._lines, self._name = lines, name
        self.line, self.quoted = 0, False

    def __iter__(self) -> Iterator[list[str]]:
        for line in self._counted():
            self.quoted = '"' in line
            body = _without_end(line)
            yield self._cells(line) if self.quoted else body.split(",")

    def _counted(self) -> Iterator[str]:
        for line in self._lines:
            self.line += 1
            if "\0" in line:
                raise self.error("a NUL character", "text")
            yield line

    def _cells(self, line: str) -> list[str]:
        """The cells of a record that begins with a line in which there are quotes."""
        cells: list[str] = []
        while True:
            if not line.startswith('"'):
                cell, comma, line = line.partition(",")
                cell = cell if comma else _without_end(cell)
                if '"' in cell:
                    raise self.error("a quote inside a cell", "cells wholly in quotes")
                cells.append(cell)
                if not comma:
                    return cells
                continue
            cell, line = self._quoted(line[1:])
            cells.append(cell)
            if not _without_end(line):
                return cells
            if line[0] != ",":
                raise self.error("text after a closing quote", "a comma or the end of the line")
            line = line[1:]

    def _quoted(self, line: str) -> tuple[str, str]:
        """A cell up to its closing quote, over as many lines as it takes, and what follows it."""
        parts: list[str] = []
        size = 0
        while True:
            inside, quote, line = line.partition('"')
            parts.append(inside)
            if not quote:
                line = next(self._counted(), "")
                size += len(line)
                if not line or size > MAX_LINE:
                    raise self.error("a quote that is never closed", "a closing quote")
            elif line.startswith('"'):
                parts.append('"')
                line = line[1:]
            else:
                return "".join(parts), line

    def error(self, what: str, expected: str) -> InputError:
        """An error about the record that was read last."""
        return InputError(f"line {self.line} of '{self._name}': {what}", expected=expected)


def _without_end(line: str) -> str:
    """A line without the characters that end it."""
    if line.endswith("\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(("\n", "\r")) else line
