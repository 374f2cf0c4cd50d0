"""TOML tables with every number as it is written: read, changed and written without rounding.

A spec that is written out anew (the claim of an end of a range, a spec with changed keys) keeps the
text of all of its numbers, so that the checker reads the same rationals.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from verifex.errors import UnsupportedError
from verifex.ir.decimals import finite_decimal

_LONGEST = 400
"""Characters of a decimal; numbers of a spec may have 1,000."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Number(str):
    """A number of a TOML file as it is written there."""

    __slots__ = ()


def read_table(text: str) -> dict[str, Any]:
    """The tables of a TOML text, its decimals as `Number`; raises ValueError (and RecursionError)
    as `tomllib` does."""
    return tomllib.loads(text, parse_float=Number)


def exact_number(value: Fraction) -> str:
    """A number of a spec: a decimal where a short one is exact, else a quotient as text."""
    try:
        text = finite_decimal(value)
    except ValueError:
        return str(value)
    return Number(text) if len(text) <= _LONGEST else str(value)


def toml_text(table: Mapping[str, Any]) -> str:
    """The text of a document, which `read_table` reads to the same tables; raises UnsupportedError
    for what no spec holds (dates and times)."""
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
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
            return f"{{ {inside} }}" if inside else "{}"
    # Dates and times, which no key of a spec takes.
    raise UnsupportedError(f"a {type(value).__name__} in a spec cannot be written as TOML")


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
