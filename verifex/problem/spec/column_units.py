"""The unit in which `linf_relative` measures each feature: the range, or the standard deviation, of
its column in a data file.

Both are rationals that the checker finds too: a range is exact, and a standard deviation (of all
rows: the mean of squares is divided by their number) is rounded down to 30 decimals. Where the
point is scaled, so are the units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.fields import suggestion, under
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.names import Names
from verifex.problem.spec.data import CsvTable, csv_table, row_decimals, scaling_ends
from verifex.problem.spec.model import InputSpec, RelativeRadius

DECIMALS = 30
"""Decimals to which a standard deviation is rounded down."""


def column_units(
    wanted: RelativeRadius, given: InputSpec, names: Names, files: DataFolder
) -> tuple[Fraction, ...]:
    """One unit for every feature; a constant column has 0, so that its feature does not move."""
    name = wanted.data or given.minmax_of or given.data
    if name is None or name.endswith(".npy"):
        raise InputError("no CSV file whose columns say the units",
                         expected='data = "train.csv", with a column for each feature', key="data")
    with under("data"):
        table = _by_name(csv_table(given, files.read(name), names.size, ""), names)
        units = _spreads(table, wanted.of)
    if given.scale is None and given.minmax_of is None:
        return units
    low, high = scaling_ends(given, names.size, files)
    return tuple(u / ((b - a) or 1) for u, a, b in zip(units, low, high, strict=True))


def _by_name(table: CsvTable, names: Names) -> CsvTable:
    """The table with its columns in the order of the features: by name where both have names, else
    by place."""
    if not table.header or not names.given:
        return table
    titles = [table.header[i] for i in table.columns]
    for name in names.given:
        if titles.count(name) != 1:
            what = f"'{table.source.name}' has {titles.count(name) or 'no'} columns '{name}'"
            raise InputError(what, expected=f"one, such as {suggestion(name, titles)}")
    place = {table.header[i]: i for i in table.columns}
    return replace(table, columns=tuple(place[name] for name in names.given))


def _spreads(table: CsvTable, of: str) -> tuple[Fraction, ...]:
    """The range or the standard deviation of every column."""
    rows = [row_decimals(row, at, table) for at, row in enumerate(table.rows())]
    if not rows:
        raise InputError(f"'{table.source.name}' has no rows", expected="rows of numbers")
    columns = list(zip(*rows, strict=True))
    if of == "range":
        return tuple(Fraction(max(column)) - Fraction(min(column)) for column in columns)
    return tuple(map(standard_deviation, columns))


def standard_deviation(column: Sequence[Decimal]) -> Fraction:
    """The root of the mean square distance from the mean, rounded down to `DECIMALS`."""
    # Sound: exact in whole numbers of the finest unit that a cell has; only the root is rounded.
    digits = max(0, max(-int(value.as_tuple().exponent) for value in column))
    whole = [int(Fraction(value) * 10**digits) for value in column]
    count = len(whole)
    square = count * sum(v * v for v in whole) - sum(whole) ** 2  # (count * unit) ** 2 * variance
    scaled = square * 10 ** (2 * DECIMALS) // (count * 10**digits) ** 2
    return Fraction(math.isqrt(scaled), 10**DECIMALS)
