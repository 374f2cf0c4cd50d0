"""What a data file seems to hold: its features, its label, and the range of every feature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import numpy as np

from verifex.errors import InputError
from verifex.ir.decimals import is_decimal
from verifex.metrics.support.files import read_npy
from verifex.problem.spec.csv_file import csv_rows, is_number
from verifex.source import Source

MAX_ROWS = 100_000
"""Rows that ranges are taken of."""

_TARGETS = ("target", "label", "class", "y", "outcome", "diagnosis", "species", "quality", "income")
_POSITIONS = ("", "id", "index", "unnamed: 0", "row")


@dataclass(frozen=True)
class Column:
    """A feature: its name (empty without a header), its least and greatest value, whether all its
    values are whole, and whether all of them are 0 or 1."""

    name: str
    least: Decimal
    greatest: Decimal
    whole: bool
    binary: bool


@dataclass(frozen=True)
class DataFile:
    """What a data file seems to hold. `header` is None where a spec need not say; `drop` are
    columns that are neither features nor the label; `labels` are the cells of the target, one a
    row; `groups` are features of which exactly one is 1 in every row."""

    name: str
    columns: tuple[Column, ...]
    rows: int
    header: bool | None = None
    target: str | None = None
    drop: tuple[str | int, ...] = ()
    labels: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()


def read_columns(
    path: Path, name: str, features: int, target: str | None, names: Sequence[str] = ()
) -> DataFile:
    """What the file at `path` (called `name` in the spec) seems to hold, for so many features.

    `names` are those that the network gives its inputs, where each is one feature. Raises
    InputError where the columns do not fit.
    """
    data = path.read_bytes()
    source = Source(path, path.name, data, bytes)
    if path.name.endswith(".npy"):
        return _from_npy(source, name, features, target)
    with csv_rows(source) as found:
        rows = list(islice(found, MAX_ROWS + 1))
    if len(rows) < 2:
        raise InputError(f"{len(rows)} rows", expected="a header and rows of numbers",
                         file=str(path))
    header, told = _header(rows)
    body = rows[1:] if header else rows
    if not header and target is not None:
        raise InputError(f"no header, and so no column '{target}'", expected="a file with names",
                         file=str(path))
    label, drop = _left_out(header, body, features, target, names, path)
    kept = [i for i in range(len(rows[0])) if i != label and i not in drop]
    columns = tuple(_column(header[i] if header else "", body, i, path) for i in kept)
    left = tuple(header[i] if header and header.count(header[i]) == 1 else i for i in drop)
    if not header and label is not None:
        left = (*left, label)
    return DataFile(
        name, columns, len(body), told, header[label] if header and label is not None else None,
        left, tuple(row[label].strip() for row in body) if label is not None else (),
        tuple(_groups(header, kept, columns, body)))


def _from_npy(
    source: Source[bytes], name: str, features: int, target: str | None
) -> DataFile:
    if target is not None:
        raise InputError("a .npy file has no columns of labels", expected="no --target",
                         file=str(source.path))
    rows = read_npy(source)
    if rows.ndim < 2 or rows[0].size != features:
        raise InputError(f"an array of shape {list(rows.shape)}",
                         expected=f"(rows, ...) with {features} numbers a row",
                         file=str(source.path))
    flat = np.asarray(rows[:MAX_ROWS], dtype=np.float64).reshape(min(len(rows), MAX_ROWS), -1)
    low, high = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
    columns = tuple(Column("", Decimal(repr(a)), Decimal(repr(b)), False, False)
                    for a, b in zip(low, high, strict=True))
    return DataFile(name, columns, len(rows))


def _header(rows: Sequence[Sequence[str]]) -> tuple[list[str], bool | None]:
    """(the names, or none; what a spec has to say about the header).

    A first row with numbers and other cells is a header if a column has words there and numbers
    below.
    """
    first, second = rows[0], rows[1]
    numbers = sum(map(is_number, first))
    if numbers == 0:
        return [cell.strip(" \t") for cell in first], None
    if numbers == len(first):
        return [], None
    header = any(not is_number(a) and is_number(b) for a, b in zip(first, second, strict=True))
    return ([cell.strip(" \t") for cell in first] if header else []), header


def _left_out(
    header: Sequence[str], body: Sequence[Sequence[str]], features: int, target: str | None,
    names: Sequence[str], path: Path,
) -> tuple[int | None, list[int]]:
    """(the column of the label, the columns that are left out)."""
    width = len(body[0])
    if target is not None:
        if target not in header:
            raise InputError(f"no column '{target}'", expected=f"one of {', '.join(header[:20])}",
                             file=str(path), key="target")
        label: int | None = list(header).index(target)
    else:
        label = _guessed_label(header, body, features, path) if width > features else None
    drop = [i for i in range(width) if i != label and width - (label is not None) > features and
            ((names and header and header[i] not in names) or (not names and _is_position(
                header, body, i)))]
    left = width - len(drop) - (label is not None)
    if left != features:
        raise InputError(
            f"{left} columns that may be features, of {width}",
            expected=f"{features}, one an input of the network (--target names the label)",
            file=str(path))
    return label, drop


def _guessed_label(
    header: Sequence[str], body: Sequence[Sequence[str]], features: int, path: Path
) -> int:
    """The column of a usual name; else the last one with words; else the last one.

    Of two columns that may be the only one that is no feature, one by its name and one by its
    words, none is taken.
    """
    lower = [name.lower() for name in header]
    words = [i for i, cell in enumerate(body[0]) if not is_number(cell)]
    usual = next((lower.index(name) for name in _TARGETS if name in lower), None)
    if words and usual is not None and usual not in words and len(body[0]) == features + 1:
        raise InputError(
            f"columns '{header[usual]}' and '{header[words[-1]]}' may both be the label",
            expected=f"--target {header[words[-1]]}, or numbers in all columns of features",
            file=str(path))
    if usual is not None:
        return usual
    return words[-1] if words else len(body[0]) - 1


def _is_position(header: Sequence[str], body: Sequence[Sequence[str]], column: int) -> bool:
    """Whether a column numbers the rows, or holds words."""
    if header and header[column].lower() in _POSITIONS:
        return True
    return not is_number(body[0][column])


def _column(name: str, body: Sequence[Sequence[str]], place: int, path: Path) -> Column:
    least = greatest = None
    whole = binary = True
    for at, row in enumerate(body):
        cell = row[place].strip(" \t")
        if not is_decimal(cell):
            raise InputError(f"row {at}, column {name or place}: {cell[:40]!r}",
                             expected="numbers in the columns of features", file=str(path))
        value = Decimal(cell)
        least = value if least is None else min(least, value)
        greatest = value if greatest is None else max(greatest, value)
        whole = whole and value == value.to_integral_value()
        binary = binary and value in (0, 1)
    if least is None or greatest is None:
        raise InputError("no rows", expected="rows of numbers", file=str(path))
    return Column(name, least, greatest, whole, binary)


def _groups(
    header: Sequence[str], kept: Sequence[int], columns: Sequence[Column],
    body: Sequence[Sequence[str]],
) -> Iterator[tuple[str, ...]]:
    """Neighbouring 0/1 columns of one stem (`job_a`, `job_b`) of which one is 1 in every row."""
    stems: dict[str, list[int]] = {}
    for place, column in zip(kept, columns, strict=True):
        if header and column.binary and "_" in column.name:
            stems.setdefault(column.name.rpartition("_")[0], []).append(place)
    for group in stems.values():
        if len(group) > 1 and all(sum(Decimal(row[i]) for i in group) == 1 for row in body):
            yield tuple(header[i] for i in group)
