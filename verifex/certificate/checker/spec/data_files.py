"""CSV and .npy files."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from fractions import Fraction

from ..failures import MAX_SIZE, need, pick
from ..onnx.protobuf import reals

QUOTES = re.compile(r'(?:[^"]++|(?<![^,\r\n])"(?:[^"]++|"")*+"(?![^,\r\n]))*+')
HEADER = re.compile(r"\{'descr': '([<>|])([fiub])([1248])', 'fortran_order': False, 'shape': "
                    r"\((|[0-9]+,|[0-9]+(?:, ?[0-9]+)+,?)\)(?:, ?)?\} *\n?")


def array(data: bytes, row: int | None, kinds: str) -> list[Fraction]:
    """The numbers of a .npy file of these kinds, or of one row of it."""
    need(data[:6] == b"\x93NUMPY" and len(data) > 12, "no .npy file")
    start = 12 if data[6] > 1 else 10
    start, skip = start + int.from_bytes(data[8:start], "little"), start
    head = HEADER.fullmatch(data[skip:start].decode("latin-1"))
    need(head, f"no plain .npy file: {data[skip:start]!r:.80}")
    order, kind, size, sides = head.groups() if head else ("",) * 4
    codes, width = {"f": " e f   d", "i": "bh i   q", "u": "BH I   Q", "b": "?       "}, int(size)
    code = codes[kind][width - 1]
    need(kind in kinds and code != " " and (order != "|" or width == 1),
         f"a .npy file of {kind}{size}")
    shape, code = list(map(int, re.findall("[0-9]+", sides))), order.strip("|") + code
    if row is not None:
        pick(range(shape[0]), row, "row")
    count = math.prod(shape if row is None else shape[1:])
    need(len(data) - start >= math.prod(shape) * width, "a .npy file that is cut short")
    start += (row or 0) * count * width
    values = reals(data[start : start + count * width], code)
    need(len(values) == count <= MAX_SIZE, "a wrong .npy file")
    return values


def records(source: str) -> Iterator[list[str]]:
    """The rows of a CSV file by RFC 4180, all of one width; blank lines are none."""
    need("\0" not in source, "a NUL character")
    end = QUOTES.match(source)
    need(end and end.end() == len(source), "a quote inside a cell, or one that is never closed")
    body, width = csv.reader(io.StringIO(source, newline=""), strict=True), 0
    for cells in body:
        if cells:
            blank = len(cells) == 1 and not cells[0].strip(" \t")
            need(not blank, f"line {body.line_num}: nothing but blanks")
            width = width or len(cells)
            need(len(cells) == width, f"line {body.line_num}: {len(cells)} cells, not {width}")
            yield cells
