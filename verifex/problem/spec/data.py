"""The reference point of a spec: written out, or a row of a CSV or NPY file, in exact numbers.

CSV cells mean the decimal they show; NPY floats mean their exact binary value. Scaling is done in
rationals, so the point of a scaled row is usually not a float: `round = "float32"` moves it to the
nearest float32, the point a framework would be given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from math import prod
from typing import TypeAlias

import numpy as np

from verifex.errors import InputError
from verifex.ir.decimals import is_decimal, parse_exact
from verifex.ir.fields import Array, exact, show, suggestion, under
from verifex.metrics.support.files import DataFolder, read_npy
from verifex.metrics.support.names import Block
from verifex.problem.spec.csv_file import csv_rows, is_number
from verifex.problem.spec.model import InputSpec
from verifex.source import Source

Vector: TypeAlias = tuple[Fraction, ...]

_LOOK = 100
"""Rows of a table that are looked at to say what a column is."""


@dataclass(frozen=True)
class Point:
    """The reference (None if the spec has none), feature names or none, notes for verdicts.

    `label` is the cell of the target column, as the file has it.
    """

    values: tuple[Fraction, ...] | None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    label: str | None = None


def load_point(spec: InputSpec, blocks: Sequence[Block], files: DataFolder) -> Point:
    """The point that `[input]` means for inputs of these shapes; raises InputError."""
    size = sum(prod(b.shape) for b in blocks)
    names: tuple[str, ...] = ()
    label = None
    if spec.data is not None:
        with under("data"):
            source = files.read(spec.data)
        if spec.data.endswith(".npy"):
            values = _from_npy(spec, source, size)
        else:
            values, names, label = _from_csv(spec, source, size)
    elif spec.point is not None:
        with under("point"):
            values = _from_point(spec.point, blocks)
    else:
        return Point(None, spec.names)
    notes: tuple[str, ...] = ()
    if spec.scale is not None or spec.minmax_of is not None:
        values = _scaled(spec, values, files)
    if spec.round == "float32":
        with under("round"):
            values = tuple(nearest_float32(v) for v in values)
        notes = ("the reference point was rounded to the nearest float32 values",)
    return Point(values, spec.names or names, notes, label)


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


def _from_npy(spec: InputSpec, source: Source[bytes], size: int) -> Vector:
    for key in ("header", "target", "drop"):
        if getattr(spec, key) not in (None, ()):
            raise InputError("no such thing in a .npy file", expected="no " + key, key=key)
    with under("data"):
        rows = read_npy(source)
        if rows.dtype.kind == "b":
            raise InputError(f"'{source.name}' holds true and false", expected="numbers")
        if spec.row is not None and rows.ndim == 0:
            raise InputError("a single number has no rows", expected="an array")
    if spec.row is not None and spec.row >= rows.shape[0]:
        raise InputError(f"row {spec.row} of {rows.shape[0]}", expected="an earlier row", key="row")
    with under("data"):
        found = rows if spec.row is None else rows[spec.row]
        if found.size != size:
            raise InputError(f"{found.size} numbers in '{source.name}'", expected=f"{size}")
        if not np.isfinite(found).all():
            what = f"'{source.name}' holds a NaN or an infinity"
            raise InputError(what, expected="finite numbers")
        flat = np.asarray(found).ravel()
        return tuple(Fraction(v) for v in flat.tolist())


# --- CSV ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CsvTable:
    """A CSV file: its header (or none) and which columns are features."""

    source: Source[bytes]
    header: tuple[str, ...]
    skip: int
    columns: tuple[int, ...]

    def rows(self) -> Iterator[list[str]]:
        with csv_rows(self.source) as rows:
            yield from islice(rows, self.skip, None)


def csv_table(spec: InputSpec, source: Source[bytes], size: int, key: str) -> CsvTable:
    """Find the header and the feature columns of a file."""
    with under(key):
        _require_text(source)
    with under(key), csv_rows(source) as rows:
        first = next(rows, None)
    if first is None:
        raise InputError(f"'{source.name}' is empty", expected="rows of numbers", key=key)
    _require_commas(source, first, key)
    header = _header(spec, source, first, key)
    left_out = _left_out(spec, header, len(first))
    columns = tuple(i for i in range(len(first)) if i not in left_out)
    table = CsvTable(source, header, 1 if header else 0, columns)
    if len(columns) != size:
        what = f"{len(columns)} columns of features in '{source.name}'"
        raise InputError(what, expected=f"{size}, as many as the network takes"
                         + _hint(spec, table, size), key=key)
    return table


_TABLES = {
    ".xlsx": "read_excel", ".xls": "read_excel", ".ods": "read_excel",
    ".parquet": "read_parquet", ".feather": "read_feather", ".json": "read_json",
    ".pkl": "read_pickle", ".pickle": "read_pickle", ".sav": "read_spss", ".dta": "read_stata",
}
"""Files of tables that are no text, and what of pandas reads them."""


def _require_text(source: Source[bytes]) -> None:
    """InputError for a file that its name says to be another table than a CSV file."""
    for ending, reader in _TABLES.items():
        if source.name.lower().endswith(ending):
            raise InputError(f"'{source.name}' is no CSV file", expected="a .csv or .npy file: "
                             f"pandas.{reader}(FILE).to_csv('data.csv', index=False) writes one")


def _require_commas(source: Source[bytes], first: Sequence[str], key: str) -> None:
    """InputError where marks other than commas divide the first row."""
    # Blanks around a number or a name do not count, tabs among them.
    first = [cell.strip(" \t") for cell in first]
    inner = first[1:-1]
    # Decimal commas make several cells of a row, of which each but the ends has a semicolon in it.
    marks = (";", "\t", "|") if len(first) == 1 else (";",) if inner else ()
    mark = next((m for m in marks if all(m in cell for cell in inner or first)), "")
    if mark:
        shown = "tabs" if mark == "\t" else f"'{mark}'"
        raise InputError(
            f"'{source.name}' has {shown} between its columns", expected="commas, and points in "
            f"numbers: pandas.read_csv(FILE, sep={mark!r}).to_csv(FILE, index=False) writes them",
            key=key)


def _hint(spec: InputSpec, table: CsvTable, size: int) -> str:
    """What may be the matter with a table of the wrong number of feature columns."""
    if len(table.columns) <= size:
        return ""
    names = {i: table.header[i] if table.header else "" for i in table.columns}
    counted = next((i for i in table.columns if _counts_rows(table, i)), None)
    if counted is not None:
        name = show(names[counted]) if names[counted] else str(counted)
        return f"; column {name} only counts the rows, leave it out with drop = [{name}]"
    if spec.target is None:
        return "; a column of labels is left out with target = its name"
    return "; others are left out with drop = [their names]"


def _counts_rows(table: CsvTable, column: int) -> bool:
    """Whether a column of the first hundred rows is 0, 1, 2, ... or 1, 2, 3, ..."""
    cells = [row[column].strip(" \t") for row in islice(table.rows(), _LOOK)]
    starts = (0, 1) if len(cells) > 1 else ()
    return any(cells == [str(start + k) for k in range(len(cells))] for start in starts)


def _header(
    spec: InputSpec, source: Source[bytes], first: Sequence[str], key: str
) -> tuple[str, ...]:
    """The names in the first row, if that is a header.

    A row of numbers and other cells may be either, a header with years as names or data whose last
    column is a label: then the spec has to say.
    """
    numbers = sum(map(is_number, first))
    if spec.header is None and 0 < numbers < len(first):
        raise InputError(
            f"the first row of '{source.name}' has {numbers} numbers among {len(first)} cells, it "
            "may be a header or not", expected="header = true or false", key=key,
        )
    if not (spec.header if spec.header is not None else numbers == 0):
        return ()
    header = tuple(name.strip(" \t") for name in first)
    if not any(header):
        raise InputError(f"the header of '{source.name}' has no names", expected="names", key=key)
    return header


def _left_out(spec: InputSpec, header: Sequence[str], width: int) -> set[int]:
    """The columns of the target and of `drop`."""
    out: set[int] = set()
    named = [("target", spec.target)] if spec.target is not None else []
    for key, name in [*named, *((f"drop[{k}]", d) for k, d in enumerate(spec.drop))]:
        if isinstance(name, int) and 0 <= name < width:
            out.add(name)
        elif header.count(str(name)) > 1:
            raise InputError(f"two columns are named {show(name)}", expected="one", key=key)
        elif name in header:
            out.add(header.index(str(name)))
        else:
            known = _known(key, str(name), header, width)
            what = f"no column {show(name)}" if header else (
                f"the file has no header, so that no column is called {show(name)}")
            raise InputError(what, expected=known, key=key)
    return out


def _known(key: str, name: str, header: Sequence[str], width: int) -> str:
    """What could have been meant by a column that is not there."""
    if header:
        return suggestion(name, header)
    where = f"a position 0..{width - 1}"
    return f"drop = [{where}]" if key == "target" else where


def _from_csv(
    spec: InputSpec, source: Source[bytes], size: int
) -> tuple[Vector, tuple[str, ...], str | None]:
    """The values of the row, the names of the features, and the row's label."""
    if spec.row is None:
        raise InputError("missing", expected="row = a row of the data, from 0", key="row")
    table = csv_table(spec, source, size, "data")
    with under("data"):
        row = next(islice(table.rows(), spec.row, None), None)
    if row is None:
        with under("data"):
            count = sum(1 for _ in table.rows())
        raise InputError(f"row {spec.row} of {count}", expected="an earlier row", key="row")
    names = tuple(table.header[i] for i in table.columns) if table.header else ()
    with under("data"):
        values = tuple(_cell(row, i, table, spec.row) for i in table.columns)
    at = None if spec.target is None else table.header.index(spec.target)
    return values, names, None if at is None else row[at].strip(" \t")


def _cell(row: Sequence[str], index: int, table: CsvTable, at: int) -> Fraction:
    column = f"'{table.header[index]}'" if table.header else str(index)
    try:
        return parse_exact(row[index])
    except ValueError as error:
        raise InputError(
            f"row {at}, column {column} of '{table.source.name}': {error}", expected="a number"
        ) from None


# --- scaling --------------------------------------------------------------------------------


def _scaled(spec: InputSpec, point: Vector, files: DataFolder) -> Vector:
    """(point - min) / (max - min) exactly; where max = min, point - min (as scikit-learn does)."""
    low, high = scaling_ends(spec, len(point), files)
    return tuple((v - a) / ((b - a) or 1) for v, a, b in zip(point, low, high, strict=True))


def scaling_ends(spec: InputSpec, size: int, files: DataFolder) -> tuple[Vector, Vector]:
    """The min and max of every feature, by which the point is scaled."""
    if spec.scale is not None:
        low, high = spec.scale.min.values, spec.scale.max.values
        for key, side in (("scale.min", low), ("scale.max", high)):
            if len(side) != size:
                raise InputError(f"{len(side)} numbers", expected=f"{size}", key=key)
    else:
        with under("minmax_of"):
            source = files.read(spec.minmax_of or "")
        low, high = _minmax(spec, source, size, files)
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        if a > b:
            what = f"feature {i} has min {show(a)} above max {show(b)}"
            raise InputError(what, expected="min <= max", key="scale")
    return low, high


def _minmax(
    spec: InputSpec, scale: Source[bytes], size: int, files: DataFolder
) -> tuple[Vector, Vector]:
    """The least and greatest value of every feature column of a CSV file, in the data's order."""
    if (spec.data or "").endswith(".npy"):
        raise InputError("scaling by a CSV file of data in a .npy file", expected="scale = {...}")
    given = csv_table(spec, files.read(spec.data or ""), size, "data")
    with under("minmax_of"):
        table = csv_table(spec, scale, size, "")
        table = _matched(table, given)
        return _ends(table)


def _matched(table: CsvTable, source: CsvTable) -> CsvTable:
    """The table with its columns in the order of the data's: by name, or by place without names."""
    if bool(table.header) != bool(source.header):
        which = table if table.header else source
        raise InputError(f"only '{which.source.name}' has a header", expected="two files alike")
    if not table.header:
        return table
    names = [source.header[i] for i in source.columns]
    place = {table.header[i]: i for i in table.columns}
    for name in [*names, *(table.header[i] for i in table.columns)]:
        if name not in place or name not in names:
            which = table if name not in place else source
            raise InputError(f"'{which.source.name}' has no column '{name}'",
                             expected="the same columns in both files")
    if len(place) < len(table.columns):
        what = f"'{table.source.name}' has two columns of a name"
        raise InputError(what, expected="distinct ones")
    return replace(table, columns=tuple(place[name] for name in names))


def _ends(table: CsvTable) -> tuple[Vector, Vector]:
    """The least and the greatest value of every column."""
    low: list[Decimal] | None = None
    high: list[Decimal] = []
    for at, row in enumerate(table.rows()):
        values = row_decimals(row, at, table)
        low = values if low is None else [min(a, b) for a, b in zip(low, values, strict=True)]
        high = [max(a, b) for a, b in zip(high, values, strict=True)] if high else values
    if low is None:
        raise InputError(f"'{table.source.name}' has no rows", expected="rows of numbers")
    return tuple(map(Fraction, low)), tuple(map(Fraction, high))


def row_decimals(row: Sequence[str], at: int, table: CsvTable) -> list[Decimal]:
    """The features of a row as decimals: exact, and quick to compare."""
    cells = [row[i].strip(" \t") for i in table.columns]
    for i, cell in zip(table.columns, cells, strict=True):
        if not is_decimal(cell):
            raise InputError(f"row {at} of '{table.source.name}': {cell[:40]!r} in column {i}",
                             expected="a decimal")
    return [Decimal(cell) for cell in cells]


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

    def distance(candidate: np.float32) -> tuple[Fraction, int]:
        return abs(Fraction(float(candidate)) - value), int(candidate.view(np.uint32)) & 1

    return exact(np.float64(min(finite, key=distance)))
