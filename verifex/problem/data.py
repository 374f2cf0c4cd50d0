"""The reference point of a spec: written out, or a row of a CSV or NPY file, in exact numbers.

CSV cells mean the decimal they show; NPY floats mean their exact binary value. Scaling is done in
rationals, so the point of a scaled row is usually not a float: `round = "float32"` moves it to the
nearest float32, the point a framework would be given.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import islice
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np

from verifex.errors import InputError
from verifex.ir.decimals import parse_exact
from verifex.ir.fields import Array, exact, show, suggestion, under
from verifex.metrics.files import locate, open_npy
from verifex.metrics.names import Block
from verifex.problem.spec import InputSpec

MAX_LINE = 16 << 20
Vector: TypeAlias = tuple[Fraction, ...]


@dataclass(frozen=True)
class Point:
    """The reference (None if the spec has none), feature names or none, notes for verdicts."""

    values: tuple[Fraction, ...] | None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_point(spec: InputSpec, blocks: Sequence[Block], folder: Path) -> Point:
    """The point that `[input]` means for inputs of these shapes; raises InputError."""
    size = sum(prod(b.shape) for b in blocks)
    names: tuple[str, ...] = ()
    if spec.data is not None:
        with under("data"):
            path = locate(folder, spec.data)
        values, names = _from_npy(spec, path, size) if path.suffix == ".npy" else (
            _from_csv(spec, path, size))
    elif spec.point is not None:
        with under("point"):
            values = _from_point(spec.point, blocks)
    else:
        return Point(None, spec.names)
    notes: tuple[str, ...] = ()
    if spec.scale is not None or spec.minmax_of is not None:
        values = _scaled(spec, values, folder)
    if spec.round == "float32":
        with under("round"):
            values = tuple(nearest_float32(v) for v in values)
        notes = ("the reference point was rounded to the nearest float32 values",)
    return Point(values, spec.names or names, notes)


# --- written out ----------------------------------------------------------------------------


def _from_point(point: Array | Mapping[str, Array], blocks: Sequence[Block]) -> Vector:
    if isinstance(point, Array):
        if len(blocks) == 1:
            return _fit(point, blocks[0].shape)
        return _fit(point, (sum(prod(b.shape) for b in blocks),))
    known = [b.name for b in blocks]
    for name in point:
        if name not in known:
            raise InputError(f"unknown input '{name}'", expected=suggestion(name, known), key=name)
    values: list[Fraction] = []
    for b in blocks:
        if b.name not in point:
            raise InputError("missing", expected=f"{prod(b.shape)} numbers", key=b.name)
        with under(b.name):
            values += _fit(point[b.name], b.shape)
    return tuple(values)


def _fit(given: Array, shape: tuple[int, ...]) -> Vector:
    """The values if their shape is flat or that of the input (dimensions of 1 do not matter)."""
    size = prod(shape)
    if len(given.values) != size:
        raise InputError(f"{len(given.values)} numbers", expected=f"{size} (shape {list(shape)})")
    squeezed = [tuple(d for d in s if d != 1) for s in (given.shape, shape)]
    if len(given.shape) > 1 and squeezed[0] != squeezed[1]:
        raise InputError(f"shape {list(given.shape)}", expected=f"{list(shape)} or flat")
    return given.values


# --- numpy ----------------------------------------------------------------------------------


def _from_npy(spec: InputSpec, path: Path, size: int) -> tuple[Vector, tuple[str, ...]]:
    for key in ("header", "target", "drop"):
        if getattr(spec, key):
            raise InputError("no such thing in a .npy file", expected="no " + key, key=key)
    with under("data"):
        rows = open_npy(path)
        if spec.row is not None and rows.ndim == 0:
            raise InputError("a single number has no rows", expected="an array")
    if spec.row is not None and spec.row >= rows.shape[0]:
        raise InputError(f"row {spec.row} of {rows.shape[0]}", expected="an earlier row", key="row")
    with under("data"):
        found = rows if spec.row is None else rows[spec.row]
        if found.size != size:
            raise InputError(f"{found.size} numbers in '{path.name}'", expected=f"{size}")
        if not np.isfinite(found).all():
            raise InputError(f"'{path.name}' holds a NaN or an infinity", expected="finite numbers")
        flat = np.asarray(found).ravel()
        return tuple(Fraction(v) for v in flat.tolist()), ()


# --- CSV ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """A CSV file: its header (or none) and which columns are features."""

    path: Path
    header: tuple[str, ...]
    skip: int
    columns: tuple[int, ...]

    def rows(self) -> Iterator[list[str]]:
        with _csv_rows(self.path) as rows:
            for row in islice(rows, self.skip, None):
                if row:
                    yield row


@contextmanager
def _csv_rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV file, gzipped if its name ends in .gz; faults become InputErrors."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:

            def lines() -> Iterator[str]:
                while line := stream.readline(MAX_LINE):
                    if len(line) == MAX_LINE:
                        raise InputError(f"a line of over {MAX_LINE} characters in '{path.name}'")
                    yield line

            yield csv.reader(lines())
    except UnicodeDecodeError as error:
        raise InputError(f"'{path.name}' is not UTF-8: {error.reason}", expected="text") from None
    except (csv.Error, zlib.error, EOFError, OSError) as error:
        raise InputError(f"'{path.name}' cannot be read: {error}", expected="a CSV file") from None


def _table(spec: InputSpec, path: Path, size: int) -> _Table:
    """Find the header and the feature columns of a file."""
    with under("data"), _csv_rows(path) as rows:
        first = next((r for r in rows if r), None)
    if first is None:
        raise InputError(f"'{path.name}' is empty", expected="rows of numbers", key="data")
    has_header = spec.header if spec.header is not None else not all(map(_numeric, first))
    header = tuple(name.strip() for name in first) if has_header else ()
    left_out = _left_out(spec, header, len(first))
    columns = tuple(i for i in range(len(first)) if i not in left_out)
    if len(columns) != size:
        hint = "" if spec.target else " (name the label column with target = ...)"
        raise InputError(
            f"{len(columns)} columns of features in '{path.name}'", expected=f"{size}{hint}",
            key="data",
        )
    return _Table(path, header, 1 if has_header else 0, columns)


def _left_out(spec: InputSpec, header: Sequence[str], width: int) -> set[int]:
    """The columns of the target and of `drop`."""
    out: set[int] = set()
    named = [("target", spec.target)] if spec.target is not None else []
    for key, name in [*named, *((f"drop[{k}]", d) for k, d in enumerate(spec.drop))]:
        if isinstance(name, int) and name < width:
            out.add(name)
        elif name in header:
            out.add(header.index(str(name)))
        else:
            known = suggestion(str(name), header) if header else f"a position 0..{width - 1}"
            raise InputError(f"no column {show(name)}", expected=known, key=key)
    return out


def _numeric(cell: str) -> bool:
    try:
        parse_exact(cell)
    except ValueError:
        return False
    return True


def _from_csv(spec: InputSpec, path: Path, size: int) -> tuple[Vector, tuple[str, ...]]:
    if spec.row is None:
        raise InputError("missing", expected="row = a row of the data, from 0", key="row")
    table = _table(spec, path, size)
    with under("data"):
        row = next(islice(table.rows(), spec.row, None), None)
    if row is None:
        with under("data"):
            count = sum(1 for _ in table.rows())
        raise InputError(f"row {spec.row} of {count}", expected="an earlier row", key="row")
    names = tuple(table.header[i] for i in table.columns) if table.header else ()
    with under("data"):
        return tuple(_cell(row, i, table, spec.row) for i in table.columns), names


def _cell(row: Sequence[str], i: int, table: _Table, at: int) -> Fraction:
    column = f"'{table.header[i]}'" if table.header else str(i)
    if i >= len(row):
        raise InputError(f"row {at} of '{table.path.name}' ends before column {column}")
    try:
        return parse_exact(row[i])
    except ValueError as error:
        raise InputError(
            f"row {at}, column {column} of '{table.path.name}': {error}", expected="a number"
        ) from None


# --- scaling --------------------------------------------------------------------------------


def _scaled(spec: InputSpec, x: Vector, folder: Path) -> Vector:
    """(x - min) / (max - min) exactly; where max = min, x - min (as scikit-learn does)."""
    if spec.scale is not None:
        low, high = spec.scale.min.values, spec.scale.max.values
        for key, side in (("scale.min", low), ("scale.max", high)):
            if len(side) != len(x):
                raise InputError(f"{len(side)} numbers", expected=f"{len(x)}", key=key)
    else:
        with under("minmax_of"):
            low, high = _minmax(spec, locate(folder, spec.minmax_of or ""), len(x), folder)
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        if a > b:
            what = f"feature {i} has min {show(a)} above max {show(b)}"
            raise InputError(what, expected="min <= max", key="scale")
    return tuple((v - a) / ((b - a) or 1) for v, a, b in zip(x, low, high, strict=True))


def _minmax(
    spec: InputSpec, path: Path, size: int, folder: Path
) -> tuple[Vector, Vector]:
    """The least and greatest value of every feature column of a CSV file."""
    table = _table(spec, path, size)
    source = _table(spec, folder / (spec.data or ""), size)
    names = [tuple(t.header[i] for i in t.columns) for t in (table, source) if t.header]
    if len(names) == 2 and names[0] != names[1]:
        raise InputError(f"'{path.name}' has other columns than the data", expected="the same")
    low: list[Decimal] | None = None
    high: list[Decimal] = []
    for at, row in enumerate(table.rows()):
        values = _decimals(row, at, table)
        low = values if low is None else [min(a, b) for a, b in zip(low, values, strict=True)]
        high = [max(a, b) for a, b in zip(high, values, strict=True)] if high else values
    if low is None:
        raise InputError(f"'{path.name}' has no rows", expected="rows of numbers")
    return tuple(parse_exact(str(v)) for v in low), tuple(parse_exact(str(v)) for v in high)


def _decimals(row: Sequence[str], at: int, table: _Table) -> list[Decimal]:
    """The features of a row as decimals: exact, and quick to compare."""
    try:
        values = [Decimal(row[i]) for i in table.columns]
        if all(v.is_finite() for v in values):
            return values
    except (InvalidOperation, IndexError):
        pass
    raise InputError(f"row {at} of '{table.path.name}' is not all numbers", expected="numbers")


def nearest_float32(value: Fraction) -> Fraction:
    """The float32 nearest to an exact number, ties to even; InputError beyond its range."""
    try:
        with np.errstate(over="ignore"):
            guess = np.float32(float(value))
    except OverflowError:
        guess = np.float32(np.inf)
    if not np.isfinite(guess):
        raise InputError(f"{show(value)} is beyond float32", expected="a smaller number")
    around = [np.nextafter(guess, np.float32(side)) for side in (np.inf, -np.inf)]
    finite = [f for f in (guess, *around) if np.isfinite(f)]

    def distance(f: np.float32) -> tuple[Fraction, int]:
        return abs(Fraction(float(f)) - value), int(f.view(np.uint32)) & 1

    return exact(np.float64(min(finite, key=distance)))
