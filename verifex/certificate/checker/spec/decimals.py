"""Numbers, words and tables as specs write them."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..failures import Bad, need

NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?"
DECIMAL = re.compile(rf"[+-]?{NUMBER}")


def shown(value: Any) -> str:
    return (str(value) if isinstance(value, Fraction) else repr(value))[:40]


def exact(value: Any) -> Fraction:
    """The number a spec writes: whole, a decimal, or a quotient of two. ASCII digits only."""
    if isinstance(value, Fraction):
        return value
    need(type(value) in (int, str), f"{shown(value)} is no number")
    parts = [DECIMAL.fullmatch(part.strip(" \t")) for part in str(value).split("/")]
    need(len(str(value)) <= 1000 and len(parts) <= 2 and all(
        m and abs(int(m[1] or 0)) <= 1000 for m in parts), f"{shown(value)} is no number")
    found = [Fraction(m[0]) for m in parts if m]
    need(all(found[1:]), "division by zero")
    return Fraction(*found)


def numeric(cell: str) -> bool:
    try:
        return exact(cell) is not None
    except Bad:
        return False


def decimal(cell: str) -> Decimal:
    """A cell that is a decimal and no quotient: exact, and quick to compare."""
    m = DECIMAL.fullmatch(cell.strip(" \t"))
    need(m and len(m[0]) <= 1000 and abs(int(m[1] or 0)) <= 1000, f"{cell!r:.40} is no decimal")
    return Decimal(m[0] if m else 0)


def whole(value: Any) -> int:
    need(type(value) is int and value >= 0, f"{shown(value)} is no whole number")
    return int(value)


def word(value: Any, known: str) -> str:
    need(type(value) is str and value in known.split(), f"{shown(value)} is none of {known}")
    return str(value)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def full(value: Any) -> list[Any]:
    need(isinstance(value, list) and value, f"{shown(value)} is no list, or an empty one")
    return list(value)


def shaped(value: Any) -> tuple[tuple[int, ...], list[Fraction]]:
    """The shape of a number, or of evenly nested lists, and the numbers."""
    if not isinstance(value, list):
        return (), [exact(value)]
    parts = [shaped(v) for v in value]
    shapes = {shape for shape, _ in parts}
    need(len(shapes) <= 1, "rows of different lengths")
    shape = (len(value), *(shapes.pop() if shapes else ()))
    need(len(shape) <= 8, "lists nested too deeply")
    return shape, [x for _, found in parts for x in found]


def numbers(value: Any, size: int | None = None) -> list[Fraction]:
    """The numbers of a list, nested or not."""
    need(isinstance(value, list), f"{shown(value)} is no list")
    found = shaped(value)[1]
    need(size in (None, len(found)), f"{len(found)} numbers, not {size}")
    return found


def table(value: Any, keys: str) -> Any:
    need(isinstance(value, dict), f"{shown(value)} is no table")
    more = value.keys() - set(keys.split())
    need(not more, f"unknown key {', '.join(sorted(map(repr, more)))!s:.80}")
    return value
