"""A row of data in memory: of a table or a row of pandas, a numpy array, a tensor of torch, a dict.

The numbers are those that are stored: a float means its exact binary value, wherever it lies; true
and false are 1 and 0, as in columns that pandas makes of categories.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic_core import PydanticCustomError

from verifex.errors import InputError
from verifex.ir.exact import as_numpy
from verifex.ir.fields import Array, array, exact, show, suggestion, whole


@dataclass(frozen=True)
class DataRow:
    """The features of a row, and their names; none where the data has none."""

    point: Array
    names: tuple[str, ...] = ()


def row_of(source: Any, number: Any, target: str | None, drop: Sequence[str | int]) -> DataRow:
    """DataRow `number` (from 0) of data in memory without the columns `target` and `drop`.

    The number may be left out where there is one row. Raises InputError, which names the column.
    """
    if isinstance(source, Mapping) or hasattr(source, "to_numpy"):
        return _named(source, number, target, drop)
    found = as_numpy(source)
    if not isinstance(found, np.ndarray | list | tuple):
        raise InputError(f"a {type(source).__name__}", expected="a file, or rows of numbers")
    if target is not None or drop:
        key = "target" if target is not None else "drop"
        raise InputError("an array has no names of columns", expected=f"no {key}", key=key)
    if number is not None:
        # A list is not made an array first: its whole numbers may have more than 53 bits.
        alone = isinstance(found, np.ndarray) and not found.ndim
        found = found[_place(number, 0 if alone else len(found))]
    return DataRow(_array(_stored(found)))


def _stored(value: Any) -> Any:
    """Numbers in lists as those of an array: a float is data, true and false are 1 and 0."""
    if isinstance(value, list | tuple):
        return [_stored(one) for one in value]
    if isinstance(value, bool):
        return int(value)
    return np.float64(value) if isinstance(value, float) else value


def _named(source: Any, number: Any, target: str | None, drop: Sequence[str | int]) -> DataRow:
    """A row whose cells have names: of a table, or alone."""
    if getattr(source, "ndim", 1) == 2:
        count = len(source)
        if number is None and count != 1:
            raise InputError(
                f"a table of {count} rows", expected="row = one of them, from 0", key="row")
        place = 0 if number is None else _place(number, count)
        # Column by column: as one row, all cells would become of one type.
        names, cells = list(source.columns), [source.iloc[place, k] for k in range(source.shape[1])]
    elif number is not None:
        raise InputError("a row by itself", expected="no row", key="row")
    else:
        names, cells = [key for key, _ in source.items()], [cell for _, cell in source.items()]
    texts = [str(name) for name in names]
    out = _left_out(texts, names, target, drop)
    kept = [k for k in range(len(texts)) if k not in out]
    values = tuple(_cell(cells[k], texts[k]) for k in kept)
    return DataRow(Array((len(values),), values), tuple(texts[k] for k in kept))


def _left_out(
    texts: Sequence[str], names: Sequence[Hashable], target: str | None, drop: Sequence[str | int]
) -> set[int]:
    """The places of the columns `target` and `drop`."""
    asked = [("target", target)] if target is not None else []
    found = set()
    for key, name in [*asked, *((f"drop[{k}]", one) for k, one in enumerate(drop))]:
        if name in names:
            found.add(list(names).index(name))
        elif isinstance(name, int) and 0 <= name < len(texts):
            found.add(name)
        else:
            raise InputError(f"no column {show(name)}", expected=suggestion(str(name), texts),
                             key=key)
    return found


def _place(number: Any, count: int) -> int:
    try:
        place = whole(number)
    except PydanticCustomError as error:
        context = error.context or {}
        raise InputError(context["what"], expected=context["expected"], key="row") from None
    if place >= count:
        raise InputError(f"row {place} of {count}", expected="an earlier row", key="row")
    return place


def _cell(value: Any, name: str) -> Fraction:
    """The number in a cell: a float is data, so it means its binary value."""
    stored = as_numpy(value)
    if isinstance(stored, np.ndarray) and stored.ndim == 0:
        stored = stored[()]
    if isinstance(stored, bool | np.bool_):
        return Fraction(int(stored))
    if isinstance(stored, float):
        stored = np.float64(stored)
    try:
        if isinstance(stored, str):
            raise InputError(show(stored), expected="a number; text is to be encoded first, or "
                             "left out with target = or drop =")
        return exact(stored)
    except PydanticCustomError as error:
        context = error.context or {}
        what, expected = context["what"], context["expected"]
    except InputError as error:
        what, expected = error.what, error.expected
    raise InputError(f"column {show(name)}: {what}", expected=expected)


def _array(values: object) -> Array:
    try:
        return array(values)
    except PydanticCustomError as error:
        context = error.context or {}
        raise InputError(context["what"], expected=context["expected"],
                         key=str(context["key"])) from None
