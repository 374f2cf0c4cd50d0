"""The table [input]: the reference point x0 and the names of the features.

The certificate states x0 too, but the checker does not take it from there: x0 decides what the
region is and what "unchanged" means, so whoever chose x0 (or the least and greatest values of the
columns) would choose the claim. It is read here, from the row that the spec names, exactly: a
decimal of a CSV file means itself, a float of a .npy file its binary value, and scaling is a
quotient of Fractions. Only `round` ever moves a number, because the spec asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

from ..failures import Bad, at, need
from ..onnx.rounding import FLOAT32_BITS, FLOAT32_LEAST, nearest
from .data.csv_rows import FeatureTable, feature_table
from .data.data_files import DataFiles
from .data.npy_file import NUMBERS, npy_numbers
from .names import ElementNames
from .toml_values import (
    BLANKS,
    TomlTable,
    exact,
    is_decimal,
    nested_numbers,
    number_list,
    shown,
    text_of,
    whole_number,
)

INPUT_KEYS = ("point", "data", "row", "header", "target", "drop", "scale", "minmax_of", "round",
              "names")
STD_STEPS = 10**30
OF_CSV = ("header", "target", "drop", "minmax_of")


class InputReading(NamedTuple):
    """The features' names and the point; no numbers if the spec has no reference."""

    features: ElementNames
    point: list[Fraction]


def read_input(
    table: TomlTable, shapes: Mapping[str, Sequence[int]], files: DataFiles
) -> InputReading:
    """The table [input] of a spec, for network inputs of these names and shapes."""
    check_keys(table)
    given = given_names(table)
    titles, point = raw_point(table, shapes, files)
    with at("names"):
        features = ElementNames(list(shapes.items()), given or titles)
    need(len(point) == features.size or not table.present("data", "point"),
         f"{len(point)} numbers, not {features.size}")
    if point and table.present("scale", "minmax_of"):
        point = scaled(point, column_ends(table, titles, features.size, files))
    if "round" in table:
        table.word("round", "float32")
        point = [nearest(value, FLOAT32_BITS, FLOAT32_LEAST) for value in point]
    return InputReading(features, point)


def check_keys(table: TomlTable) -> None:
    """Refuses keys that contradict each other, or that speak of data where there is none."""
    for pair in (("point", "data"), ("scale", "minmax_of")):
        need(len(table.present(*pair)) < 2, f"both {' and '.join(pair)}")
    for key in stated(table, "row", *OF_CSV):
        need("data" in table, f"{key} without data")
    text_of(table.get("target", ""), "name of a column")


def stated(table: TomlTable, *keys: str) -> list[str]:
    """Those of the keys that say something: an empty list of columns to drop says nothing."""
    return [key for key in table.present(*keys) if table.get(key) != []]


def given_names(table: TomlTable) -> list[str]:
    """The names that the spec itself gives to the features."""
    names = table.get("names", [])
    if not isinstance(names, list):
        raise Bad(f"names: {shown(names)} is no list")
    return [text_of(name, "name") for name in names]


# --- the numbers as they are written ------------------------------------------------------------


def raw_point(
    table: TomlTable, shapes: Mapping[str, Sequence[int]], files: DataFiles
) -> tuple[list[str], list[Fraction]]:
    """The names of the data's columns, if there are any, and the numbers before scaling."""
    if "data" in table:
        name = text_of(table.get("data"), "file")
        with at(f"data {name!r:.40}"):
            return data_row(name, table, files)
    if "point" in table:
        with at("point"):
            return [], written_point(table.get("point"), shapes)
    return [], []


def data_row(
    name: str, table: TomlTable, files: DataFiles
) -> tuple[list[str], list[Fraction]]:
    """One row of a data file: of a CSV file one is always named, of a .npy file it may be all."""
    row = whole_number(table.get("row")) if "row" in table else None
    if name.endswith(".npy"):
        strange = stated(table, *OF_CSV)
        need(not strange, f"{', '.join(strange)} of a .npy file")
        return [], npy_numbers(files.content(name), row, NUMBERS)
    if row is None:
        raise Bad("row: missing")
    found = feature_table(files.content(name), table)
    cells = next(islice(found.rows, row, None), None)
    if cells is None:
        raise Bad(f"no row {row}")
    return found.names, [exact(cell) for cell in cells]


def written_point(point: object, shapes: Mapping[str, Sequence[int]]) -> list[Fraction]:
    """The numbers of `point`: for one input, by the name of each, or of all inputs in one list."""
    if isinstance(point, dict):
        need(point.keys() == shapes.keys(), "not the names of the inputs")
        return [number for name, shape in shapes.items()
                for number in tensor_numbers(point[name], shape)]
    if len(shapes) == 1:
        return tensor_numbers(point, next(iter(shapes.values())))
    return tensor_numbers(point, [sum(map(math.prod, shapes.values()))])


def tensor_numbers(value: object, shape: Sequence[int]) -> list[Fraction]:
    """The numbers of one tensor, flat or nested as its shape says; sides of 1 do not matter."""
    found = number_list(value, math.prod(shape))
    written = nested_numbers(value).shape
    same = [side for side in written if side != 1] == [side for side in shape if side != 1]
    need(len(written) == 1 or same, "another shape than the input's")
    return found


# --- units of columns ---------------------------------------------------------------------------


def feature_units(
    table: TomlTable, wanted: TomlTable, features: ElementNames, files: DataFiles
) -> list[Fraction]:
    """What `linf_relative` measures each feature in: the range or the standard deviation of its
    column in a CSV file, scaled as the point is.

    Columns are those of the features' names where both have names, else those of the same place.
    """
    stated_file = wanted.get("data", table.get("minmax_of", table.get("data")))
    name = text_of(stated_file, "file")
    need(not name.endswith(".npy"), "data: no CSV file")
    with at(f"data {name!r:.40}"):
        found = feature_table(files.content(name), table)
        columns = decimal_columns(found)
        need(len(columns) == features.size, "no rows, or another number of columns")
        if found.names and features.given:
            need(sorted(found.names) == sorted(features.given)
                 and len(set(found.names)) == len(found.names), "other columns than the features")
            columns = [columns[found.names.index(given)] for given in features.given]
    spread = {"range": column_range, "std": standard_deviation}
    units = [spread[wanted.word("of", "range std")](column) for column in columns]
    if not table.present("scale", "minmax_of"):
        return units
    titles = list(data_titles(table, files))
    ends = column_ends(table, titles, features.size, files)
    need(all(low <= high for low, high in ends), "scale: min above max")
    return [Fraction(unit, (high - low) or 1)
            for unit, (low, high) in zip(units, ends, strict=True)]


def data_titles(table: TomlTable, files: DataFiles) -> list[str]:
    """The names of the columns of the CSV file that the point is a row of."""
    name = table.get("data", "")
    if not name or str(name).endswith(".npy"):
        return []
    return feature_table(files.content(text_of(name, "file")), table).names


def column_range(column: list[Fraction]) -> Fraction:
    """The greatest less the least number."""
    return max(column) - min(column)


def standard_deviation(column: list[Fraction]) -> Fraction:
    """The root of the mean square distance from the mean, rounded down to 30 decimals.

    Sound: it is this number that the language means, whatever a root is.
    """
    mean = Fraction(sum(column), len(column))
    variance = Fraction(sum((value - mean) ** 2 for value in column), len(column))
    whole = variance * STD_STEPS * STD_STEPS
    return Fraction(math.isqrt(whole.numerator // whole.denominator), STD_STEPS)


def decimal_columns(table: FeatureTable) -> list[list[Fraction]]:
    """All numbers of each column; quotients of two numbers are refused here."""
    columns = []
    for column in zip(*table.rows, strict=True):
        cells = [cell.strip(BLANKS) for cell in column]
        known = {cell: exact(cell) for cell in set(cells) if is_decimal(cell)}
        need(len(known) == len(set(cells)), "a cell that is no decimal")
        columns.append([known[cell] for cell in cells])
    return columns


# --- scaling ------------------------------------------------------------------------------------


def scaled(point: list[Fraction], ends: list[tuple[Fraction, Fraction]]) -> list[Fraction]:
    """(x - min) / (max - min) for every feature; x - min where max = min."""
    need(all(low <= high for low, high in ends), "scale: min above max")
    return [Fraction(value - low, (high - low) or 1)
            for value, (low, high) in zip(point, ends, strict=True)]


def column_ends(
    table: TomlTable, titles: list[str], size: int, files: DataFiles
) -> list[tuple[Fraction, Fraction]]:
    """The least and greatest value of every feature, as written or as a CSV file has them."""
    if "scale" in table:
        with at("scale"):
            scale = TomlTable(table.get("scale"), ("min", "max"))
            least, greatest = (number_list(scale.required(key), size) for key in ("min", "max"))
            return list(zip(least, greatest, strict=True))
    name = text_of(table.get("minmax_of"), "file")
    with at(f"minmax_of {name!r:.40}"):
        found = feature_table(files.content(name), table)
        need(sorted(found.names) == sorted(titles) and len(set(titles)) == len(titles),
             "other columns than the data has")
        ends = ends_of_columns(found)
        need(len(ends) == size, "no rows, or another number of columns")
        # Columns are those of the same name, in whatever order; without names, of the same place.
        order = [found.names.index(title) for title in titles] or range(size)
        return [ends[column] for column in order]


def ends_of_columns(table: FeatureTable) -> list[tuple[Fraction, Fraction]]:
    """The least and greatest number of each column.

    Sound: a Decimal made from a text has all of its digits, and comparisons of Decimals are exact.
    They are several times quicker than Fractions, and most columns have few different cells.
    Quotients of two numbers are refused here.
    """
    from decimal import Decimal

    columns = list(zip(*table.rows, strict=True))
    ends = []
    for column in columns:
        cells = {cell.strip(BLANKS) for cell in set(column)}
        for cell in cells:
            need(is_decimal(cell), f"{cell!r:.40} is no decimal")
        numbers = [Decimal(cell) for cell in cells]
        ends.append((Fraction(min(numbers)), Fraction(max(numbers))))
    return ends
