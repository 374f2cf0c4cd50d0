"""TOML tables with every number as it is written: read, changed and written without rounding.

A spec that is written out anew (the claim of an end of a range, a spec with changed keys) keeps the
text of all of its numbers, so that the checker reads the same rationals. Of a number that has no
text yet a whole number, a decimal or a quotient is made, whichever is exact and short enough for
readers of specs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

from verifex.errors import InputError, UnsupportedError
from verifex.ir.decimals import MAX_CHARACTERS, MAX_EXPONENT, finite_decimal

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Number(str):
    """A number of a TOML file as it is written there."""

    __slots__ = ()


def read_table(text: str) -> dict[str, Any]:
    """The tables of a TOML text, its decimals as `Number`; raises ValueError (and RecursionError)
    as `tomllib` does."""
    return tomllib.loads(text, parse_float=Number)


def exact_number(value: Fraction, counts: bool = True) -> int | str:
    """A number of a spec: whole, else a decimal (`Number`), else a quotient as text.

    `counts` false: a whole number is written as a decimal, which no reader takes for a count.
    Raises InputError for a number of which no spec file can be made.
    """
    if counts and value.denominator == 1 and len(str(value.numerator)) <= MAX_CHARACTERS:
        return value.numerator
    try:
        # Without an exponent a decimal may be too long, which with one is not.
        found = Decimal(finite_decimal(value))
    except ValueError:
        pass
    else:
        if len(str(found)) <= MAX_CHARACTERS and abs(found.adjusted()) <= MAX_EXPONENT:
            return Number(str(found).lower())
    text = str(value)
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"a number of {len(text)} characters", expected="a shorter one")
    return text


def toml_text(table: Mapping[str, Any]) -> str:
    """The text of a document, which `read_table` reads to the same tables."""
    return "\n".join(_document(table)) + "\n"


def _document(table: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a document: plain keys first, then tables and lists of tables."""
    later: list[str] = []
    for key, value in table.items():
        several = isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
        if isinstance(value, dict):
            later += ["", f"[{_key(key)}]", *(f"{_key(k)} = {_value(v)}" for k, v in value.items())]
        elif several:
            for entry in value:
                inner = (f"{_key(k)} = {_value(v)}" for k, v in entry.items())
                later += ["", f"[[{_key(key)}]]", *inner]
        else:
            yield f"{_key(key)} = {_value(value)}"
    yield from later


def _value(value: Any) -> str:
    match value:
        case Number():
            return str(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return quoted(value)
        case date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
            return f"{{ {inside} }}" if inside else "{}"
    raise UnsupportedError(f"a {type(value).__name__} cannot be written as TOML")


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """A basic string: quotes, backslashes and what is no printing character are escaped."""
    out = []
    for character in text:
        if character in '"\\':
            out.append("\\" + character)
        elif character.isprintable():
            out.append(character)
        else:
            out.append(f"\\U{ord(character):08X}")
    return f'"{"".join(out)}"'
