"""Readers of JSON data: a value of the wrong kind is an InputError that names its place."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

from verifex.errors import InputError

_INTEGER = re.compile(r"-?(\d{1,4300}|0x[0-9a-f]+)")


def fields(data: Any, where: str, required: str, optional: str = "") -> list[Any]:
    """The values of the space-separated keys, None where an optional one is missing."""
    wanted, extra = required.split(), optional.split()
    if not isinstance(data, dict):
        raise InputError(f"{show(data)} is not an object", expected="an object", key=where)
    for key in data:
        if key not in wanted and key not in extra:
            known = ", ".join([*wanted, *extra])
            raise InputError(f"unknown key '{key}'", expected=f"one of {known}", key=where)
    for key in wanted:
        if key not in data:
            raise InputError(f"the key '{key}' is missing", expected=f"'{key}'", key=where)
    return [data.get(key) for key in (*wanted, *extra)]


def show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def wrong(value: Any, expected: str, where: str) -> InputError:
    return InputError(f"{show(value)} does not fit", expected=expected, key=where)


def read_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(value, "a list", where)
    return value


def read_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(value, "a text", where)
    return value


def read_bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise wrong(value, "true or false", where)
    return value


def read_int(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # The pattern bounds the digits: Python refuses longer decimals with an error of its own.
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value, 16 if "x" in value else 10)
    raise wrong(value, "an integer", where)


def read_ints(value: Any, where: str) -> tuple[int, ...]:
    return tuple(read_int(v, where) for v in read_list(value, where))


def read_shape(value: Any, where: str) -> tuple[int, ...]:
    shape = read_ints(value, where)
    if any(d < 0 for d in shape):
        raise wrong(value, "dimensions >= 0", where)
    return shape


def read_float(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(value, "a number", where)
    if not math.isfinite(value):
        raise wrong(value, "a finite number", where)
    return float(value)


def read_fraction(value: Any, where: str) -> Fraction:
    """A fraction from "p/q", "p" or an integer."""
    if not isinstance(value, str):
        return Fraction(read_int(value, where))
    num, slash, den = value.partition("/")
    bottom = read_int(den, where) if slash else 1
    if bottom <= 0:
        raise wrong(value, "a positive denominator", where)
    return Fraction(read_int(num, where), bottom)


def read_fractions(value: Any, where: str) -> tuple[Fraction, ...]:
    return tuple(read_fraction(v, where) for v in read_list(value, where))
