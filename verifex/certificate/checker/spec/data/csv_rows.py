"""CSV files: cells as they are written, and the columns that are features.

The text is that of RFC 4180 with the liberties that specs/LANGUAGE.md names (a byte order mark,
lines that end in LF, CR or CRLF, blank lines), and no other: a cell is wholly in quotes or has no
quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from ...failures import Bad, need, pick
from ..toml_values import BLANKS, TomlTable, as_list, is_number

LINE_END = re.compile(r"\r\n|\r|\n")
CELL = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",\r\n]*+))(,|\r\n|\r|\n|\Z)')


def records(source: str) -> Iterator[list[str]]:
    """The rows of a file, all as wide as the first; blank lines are none."""
    need("\0" not in source, "a NUL character")
    # Without a quote every comma ends a cell and every line end a row: nothing is to be parsed.
    lines = quoted_lines(source) if '"' in source else map(cells_of, LINE_END.split(source))
    width = 0
    for number, cells in enumerate(lines, 1):
        if not cells:
            continue
        need(len(cells) > 1 or cells[0].strip(BLANKS), f"record {number}: nothing but blanks")
        width = width or len(cells)
        need(len(cells) == width, f"record {number}: {len(cells)} cells, not {width}")
        yield cells


def cells_of(line: str) -> list[str]:
    """The cells of a line without quotes; none of a blank line."""
    return line.split(",") if line else []


def quoted_lines(source: str) -> list[list[str]]:
    """The cells of the lines of a file with quotes: a line goes on where its end is in quotes."""
    lines: list[list[str]] = []
    cells: list[str] = []
    place = 0
    while place < len(source):
        found = CELL.match(source, place)
        if found is None:
            raise Bad(f"record {len(lines) + 1}: a quote inside a cell, or never closed")
        quoted, plain, end = found.groups()
        place = found.end()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        if end != ",":
            # A line of one empty cell without quotes is a blank one.
            lines.append([] if cells == [""] and quoted is None else cells)
            cells = []
    if cells:  # the text ends with a comma, and after it an empty cell
        lines.append([*cells, ""])
    return lines


class FeatureTable(NamedTuple):
    """The columns of a CSV file that are features: their names, if it has any, and the rows."""

    names: list[str]
    rows: Iterator[list[str]]


def feature_table(data: bytes, options: TomlTable) -> FeatureTable:
    """A CSV file without the columns that `target` and `drop` name; `header` as it says."""
    body = records(data.decode("utf-8-sig"))
    first = next(body, [])
    need(first, "no rows")
    titled = has_header(first, options.flag("header"))
    header = [name.strip(BLANKS) for name in first] if titled else []
    need(any(header) or not titled, "a header without names")
    unwanted = as_list(options.get("drop", [])) + [options.get(key) for key in
                                                   options.present("target")]
    left_out = {column_of(header, len(first), key) for key in unwanted}
    kept = [column for column in range(len(first)) if column not in left_out]
    rows: Iterable[list[str]] = body if titled else chain([first], body)
    return FeatureTable([header[column] for column in kept if titled],
                        ([row[column] for column in kept] for row in rows))


def has_header(first: list[str], said: bool | None) -> bool:
    """Whether the first row is a header: as the spec says, or if it has no number at all.

    A row of numbers and others may be one or not, so it is refused unless the spec says so.
    """
    numbers = sum(map(is_number, first))
    need(said is not None or numbers in (0, len(first)),
         "header: a first row of numbers and others may be one or not")
    return numbers == 0 if said is None else said


def column_of(header: list[str], width: int, key: object) -> int:
    """A column by position, or by a name that just one column has."""
    if type(key) is int:
        return int(pick(range(width), key, "column"))
    need(isinstance(key, str) and header.count(key) == 1, f"not one column is {key!r:.40}")
    return header.index(str(key))
