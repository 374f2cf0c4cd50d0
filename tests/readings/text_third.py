"""Third readers of texts, written for the tests alone: they share no code with either side.

Each raises `Refused` for what the documents refuse, and `Silent` where it has no opinion.
"""

from __future__ import annotations

import ast
import gzip
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any


class Refused(Exception):
    """The text is none that the documents allow."""


class Silent(Exception):
    """This reader cannot say."""


# --- numbers ------------------------------------------------------------------------------------

DIGITS = frozenset("0123456789")


def decimal(text: str) -> Fraction:
    """A decimal, read from left to right."""
    if len(text) > 1000:
        raise Refused("too long")
    rest = text[1:] if text[:1] in ("+", "-") and text else text
    body, exponent = rest, "0"
    for mark in "eE":
        if mark in rest:
            body, _, exponent = rest.partition(mark)
            break
    if exponent[:1] in ("+", "-"):
        sign, exponent = exponent[0], exponent[1:]
    else:
        sign = "+"
    left, dot, right = body.partition(".")
    if not (left + right and set(left + right + exponent) <= DIGITS and exponent):
        raise Refused("no decimal")
    if dot and not left and not right:
        raise Refused("no digits")
    if int(exponent) > 1000:
        raise Refused("a large exponent")
    value = Fraction(Decimal((0, tuple(int(d) for d in left + right) or (0,), 0)))
    value *= Fraction(10) ** (int(sign + exponent) - len(right))
    return -value if text[:1] == "-" else value


def number(text: str) -> Fraction:
    """A decimal, or a quotient of two; blanks around each."""
    if len(text) > 1000:
        raise Refused("too long")
    parts = [decimal(p.strip(" \t")) for p in text.split("/")]
    if len(parts) > 2 or (len(parts) == 2 and parts[-1] == 0):
        raise Refused("no quotient")
    return parts[0] / parts[1] if len(parts) == 2 else parts[0]


# --- linear constraints -------------------------------------------------------------------------

Side = Callable[[Sequence[Fraction]], Fraction]


class Constraint:
    """A recursive reader of the grammar in specs/LANGUAGE.md, one character at a time."""

    def __init__(self, text: str, names: Sequence[str], size: int) -> None:
        self.text, self.at, self.names, self.size = text, 0, list(names), size
        self.used: list[int] = []

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def see(self, *marks: str) -> str:
        self.blanks()
        found = next((m for m in marks if self.text.startswith(m, self.at)), "")
        self.at += len(found)
        return found

    def truth(self) -> Callable[[Sequence[Fraction]], bool]:
        if len(self.text) > 20_000:
            raise Refused("too long")
        sides, signs = [self.sum()], list[str]()
        while sign := self.see("<=", ">=", "=="):
            signs.append(sign)
            sides.append(self.sum())
        self.blanks()
        if self.at < len(self.text) or not signs:
            raise Refused(self.text[self.at :])
        tests = {"<=": Fraction.__le__, ">=": Fraction.__ge__, "==": Fraction.__eq__}
        self.gradients(sides)
        return lambda x: all(tests[s](a(x), b(x)) for s, a, b in zip(signs, sides, sides[1:]))

    def gradients(self, sides: Sequence[Side]) -> None:
        """Refuse comparisons that depend on no feature."""
        zero = [Fraction(0)] * self.size
        for a, b in pairwise(sides):
            base = a(zero) - b(zero)
            units = [[Fraction(i == k) for i in range(self.size)] for k in range(self.size)]
            if all(a(u) - b(u) == base for u in units):
                raise Refused("no feature")

    def sum(self) -> Side:
        first = self.signed()
        sign = self.see("+", "-")
        if not sign:
            return first
        return self.rest(first, sign)

    def rest(self, left: Side, sign: str) -> Side:
        term, factor = self.signed(), -1 if sign == "-" else 1
        both: Side = lambda x: left(x) + factor * term(x)  # noqa: E731
        more = self.see("+", "-")
        return self.rest(both, more) if more else both

    def signed(self) -> Side:
        sign = -1 if self.see("+", "-") == "-" else 1
        term = self.term()
        return lambda x: sign * term(x)

    def term(self) -> Side:
        self.blanks()
        if self.text[self.at : self.at + 1] in (*DIGITS, "."):
            value = self.number()
            if not self.see("*"):
                return lambda x: value
            self.blanks()
            i = self.name()
            return lambda x: value * x[i]
        i = self.name()
        by = self.see("*", "/")
        if not by:
            return lambda x: x[i]
        self.blanks()
        value = self.number()
        if by == "/" and value == 0:
            raise Refused("division by zero")
        return lambda x: x[i] * value if by == "*" else x[i] / value

    def number(self) -> Fraction:
        start = self.at
        while self.text[self.at : self.at + 1] in DIGITS or self.text[self.at : self.at + 1] == ".":
            self.at += 1
        if self.text[start : self.at].count(".") > 1:
            raise Refused("two points")
        tail = re.match("[eE][+-]?[0-9]+", self.text[self.at :])
        self.at += tail.end() if tail else 0
        return decimal(self.text[start : self.at])

    def name(self) -> int:
        start = self.at
        while self.at < len(self.text) and (
            self.text[self.at].isalnum() or self.text[self.at] == "_"
        ):
            self.at += 1
        word = self.text[start : self.at]
        if not word or word[0].isdecimal():
            raise Refused(f"no name: {self.text[start:]}")
        if self.text[self.at : self.at + 1] != "[":
            return self.find(word)
        inside = self.text[self.at + 1 :].lstrip(" \t")
        if word == "x" and inside[:1] in ('"', "'") and inside:
            name, quote, after = inside[1:].partition(inside[0])
            tail = after.lstrip(" \t")
            if not quote or tail[:1] != "]":
                raise Refused("an open quote")
            self.at = len(self.text) - len(tail) + 1
            return self.find(name)
        place, bracket, after = self.text[self.at :].partition("]")
        if not bracket or "[" in place[1:] or '"' in place or "'" in place:
            raise Refused("an open bracket")
        self.at = len(self.text) - len(after)
        return self.find(word + place + "]")

    def find(self, key: str) -> int:
        if key in self.names:
            return self.names.index(key)
        found = re.fullmatch(r"x\[ *(?:0 *, *)?([0-9]{1,9}) *\]", key)
        if found and int(found[1]) < self.size:
            return int(found[1])
        if "*" in key or "?" in key:
            raise Silent
        raise Refused(f"no feature {key}")


# --- CSV ----------------------------------------------------------------------------------------


def records(text: str) -> Iterator[tuple[list[str], bool]]:
    """RFC 4180 as a machine of four states; whether a record has quotes is told with it.

    Line ends are CRLF, LF or CR.
    """
    cells, cell, state, quotes, k = list[str](), "", "start", False, 0
    while k < len(text):
        c, k = text[k], k + 1
        if c == "\0":
            raise Refused("NUL")
        if state == "inside":
            if c == '"':
                state = "quote"
            else:
                cell += c
        elif c == '"':
            if state == "plain":
                raise Refused("a quote inside")
            cell, quotes = cell + '"' * (state == "quote"), True
            state = "inside"
        elif c == ",":
            cells, cell, state = [*cells, cell], "", "start"
        elif c in "\r\n":
            k += c == "\r" and text[k : k + 1] == "\n"
            yield [*cells, cell], quotes
            cells, cell, state, quotes = [], "", "start", False
        elif state == "quote":
            raise Refused("text after a quote")
        else:
            cell, state = cell + c, "plain"
    if state == "inside":
        raise Refused("an open quote")
    if cells or cell or quotes:
        yield [*cells, cell], quotes


def rows(data: bytes) -> Iterator[list[str]]:
    """The rows of a CSV file as specs/LANGUAGE.md describes them."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("no UTF-8") from None
    width = 0
    for cells, quotes in records(text.removeprefix("\ufeff")):
        if cells == [""] and not quotes:
            continue
        width = width or len(cells)
        if len(cells) != width or (width == 1 and not cells[0].strip(" \t")):
            raise Refused("a ragged row, or blanks")
        yield cells


def is_number(cell: str) -> bool:
    try:
        number(cell)
    except Refused:
        return False
    return True


class Data:
    """A CSV file with its header found and its columns chosen."""

    def __init__(self, data: bytes, options: dict[str, Any]) -> None:
        body = rows(data)
        first = next(body, None)
        if first is None:
            raise Refused("empty")
        kinds = {is_number(c) for c in first}
        titled = options.get("header")
        if titled is None and len(kinds) > 1:
            raise Refused("mixed")
        titled = kinds == {False} if titled is None else titled
        header = [c.strip(" \t") for c in first] if titled else []
        if titled and not any(header):
            raise Refused("no names")
        self.columns = list(range(len(first)))
        for name in [
            *options.get("drop", []),
            *([options["target"]] if "target" in options else []),
        ]:
            place = name if isinstance(name, int) else self.named(header, name)
            if not 0 <= place < len(first):
                raise Refused("no column")
            self.columns = [k for k in self.columns if k != place]
        self.names = tuple(header[k] for k in self.columns) if titled else ()
        self.body = body if titled else self.again(first, body)

    @staticmethod
    def again(first: list[str], body: Iterator[list[str]]) -> Iterator[list[str]]:
        yield first
        yield from body

    @staticmethod
    def named(header: list[str], name: str) -> int:
        if header.count(name) != 1:
            raise Refused("no such column, or two")
        return header.index(name)

    def row(self, k: int) -> list[Fraction]:
        for n, cells in enumerate(self.body):
            if n == k:
                return [number(cells[c]) for c in self.columns]
        raise Refused("no such row")

    def extremes(self, names: tuple[str, ...]) -> tuple[list[Fraction], list[Fraction]]:
        """Per name of the data, or per column where neither file has names."""
        every = [[decimal(cells[c].strip(" \t")) for c in self.columns] for cells in self.body]
        if (
            not every
            or set(names) != set(self.names)
            or len(set(names)) < len(names)
            or (len(self.names) != len(names))
        ):
            raise Refused("no rows, or other columns")
        order = [self.names.index(k) for k in names] if names else range(len(self.columns))
        return (
            [min(r[k] for r in every) for k in order],
            [max(r[k] for r in every) for k in order],
        )


def unzipped(files: dict[str, bytes], name: str) -> bytes:
    """A file is zipped if its name says so, and only then."""
    zipped = files[name][:2] == b"\x1f\x8b"
    if zipped != name.endswith(".gz"):
        raise Refused("zipped, or not")
    return gzip.decompress(files[name]) if zipped else files[name]


def csv_point(
    files: dict[str, bytes], options: dict[str, Any], size: int
) -> tuple[tuple[Fraction, ...], tuple[str, ...]]:
    """The reference of `[input]` with these options, and the names of the features."""
    data = Data(unzipped(files, options["data"]), options)
    names = tuple(options.get("names", ())) or data.names
    if len(data.columns) != size or len(set(names)) < len(names) or len(names) not in (0, size):
        raise Refused("another size, or names twice")
    x = data.row(options["row"])
    if "minmax_of" in options:
        other = Data(unzipped(files, options["minmax_of"]), options)
        if len(other.columns) != size:
            raise Refused("another size")
        low, high = other.extremes(data.names)
        x = [(v - a) / (b - a) if a != b else v - a for v, a, b in zip(x, low, high)]
    return tuple(x), names


# --- NPY ----------------------------------------------------------------------------------------


def npy(data: bytes, row: int | None) -> list[Fraction]:
    """By the text of NEP 1."""
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2, 3):
        raise Refused("no npy")
    width = 2 if data[6] == 1 else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    text = data[8 + width : 8 + width + length].decode("latin-1")
    try:
        head = ast.literal_eval(text)
        kind, shape, fortran = head["descr"], head["shape"], head["fortran_order"]
    except (ValueError, SyntaxError, KeyError, TypeError):
        raise Refused("no header") from None
    codes = {
        "f2": "e",
        "f4": "f",
        "f8": "d",
        "i1": "b",
        "i2": "h",
        "i4": "i",
        "i8": "q",
        "u1": "B",
        "u2": "H",
        "u4": "I",
        "u8": "Q",
    }
    if not isinstance(kind, str) or kind[1:] not in codes or fortran:
        raise Silent
    order = ">" if kind[0] == ">" else "<"
    count = 1
    for side in shape:
        count *= side
    body = data[8 + width + length :]
    size = struct.calcsize(codes[kind[1:]])
    if len(body) < count * size:
        raise Refused("too short")
    values = struct.unpack(f"{order}{count}{codes[kind[1:]]}", body[: count * size])
    if row is not None:
        if not shape or row >= shape[0]:
            raise Refused("no such row")
        each = count // shape[0]
        values = values[row * each : (row + 1) * each]
    if any(v != v or v in (float("inf"), -float("inf")) for v in values):
        raise Refused("no finite number")
    return [Fraction(v) for v in values]
