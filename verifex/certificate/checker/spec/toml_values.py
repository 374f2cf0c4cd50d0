"""What a spec writes: numbers, words, lists and tables, each read exactly or refused.

A value is an `object` until a function of this file has said what it is. Every number stays the
rational that was written: no value is ever converted to a binary float, and nothing is guessed
("2.0" is no count, true is no number, digits of other scripts are none).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from ..failures import Bad, need

NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?"
DECIMAL = re.compile(rf"[+-]?{NUMBER}")
MAX_CHARACTERS, MAX_EXPONENT, MAX_NESTING = 1000, 1000, 8
BLANKS = " \t"


def shown(value: object) -> str:
    """A value for a message, cut short."""
    return (str(value) if isinstance(value, Fraction) else repr(value))[:40]


# --- numbers ------------------------------------------------------------------------------------


def is_decimal(text: str) -> bool:
    """Whether a text is a decimal of a sensible length, such as -12, .5, 2. or 1e-3.

    The exponent is limited, since a few characters could otherwise ask for a number of gigabytes.
    """
    found = DECIMAL.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    return found is not None and abs(int(found[1] or 0)) <= MAX_EXPONENT


def exact(value: object) -> Fraction:
    """The number that is written: a whole number, a decimal, or a quotient of two such as "1/3".

    Decimals of a TOML file come as Fractions already: its reader is told to call this function.
    """
    if isinstance(value, Fraction):
        return value
    need(type(value) in (int, str), f"{shown(value)} is no number")
    text = str(value)
    parts = [part.strip(BLANKS) for part in text.split("/")]
    need(len(text) <= MAX_CHARACTERS and len(parts) <= 2 and all(map(is_decimal, parts)),
         f"{shown(value)} is no number")
    found = [Fraction(part) for part in parts]
    need(all(found[1:]), "division by zero")
    return Fraction(*found)


def is_number(cell: str) -> bool:
    """Whether `exact` reads a cell; a division by zero is not read."""
    try:
        exact(cell)
    except Bad:
        return False
    return True


def whole_number(value: object) -> int:
    """A count, a position or a row: a whole number from 0, written as such."""
    if type(value) is not int or value < 0:
        raise Bad(f"{shown(value)} is no whole number")
    return value


# --- words and lists ----------------------------------------------------------------------------


def text_of(value: object, what: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise Bad(f"{shown(value)} is no {what}")
    return value


def one_of(value: object, choices: str) -> str:
    """One of the words that `choices` lists, separated by blanks."""
    if not isinstance(value, str) or value not in choices.split():
        raise Bad(f"{shown(value)} is none of {choices}")
    return value


def as_list(value: object) -> list[object]:
    """A list, or a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def filled_list(value: object) -> list[object]:
    """A list of something. An empty one is refused: "all" of nothing would always hold."""
    if not isinstance(value, list) or not value:
        raise Bad(f"{shown(value)} is no list, or an empty one")
    return value


class NestedNumbers(NamedTuple):
    """Numbers in C order, and the shape of the lists they were written in."""

    shape: tuple[int, ...]
    flat: list[Fraction]


def nested_numbers(value: object) -> NestedNumbers:
    """A number (of shape ()), or evenly nested lists of numbers."""
    if not isinstance(value, list):
        return NestedNumbers((), [exact(value)])
    parts = [nested_numbers(part) for part in value]
    inner = parts[0].shape if parts else ()
    need(all(part.shape == inner for part in parts), "rows of different lengths")
    shape = (len(value), *inner)
    need(len(shape) <= MAX_NESTING, "lists nested too deeply")
    return NestedNumbers(shape, [number for part in parts for number in part.flat])


def number_list(value: object, size: int) -> list[Fraction]:
    """The numbers of a list, nested or not, of which there have to be so many."""
    need(isinstance(value, list), f"{shown(value)} is no list")
    found = nested_numbers(value).flat
    need(len(found) == size, f"{len(found)} numbers, not {size}")
    return found


# --- tables -------------------------------------------------------------------------------------


class TomlTable:
    """A table whose keys are all known: a key that nobody reads could be a claim misunderstood."""

    def __init__(self, value: object, known: Iterable[str]) -> None:
        if not isinstance(value, dict):
            raise Bad(f"{shown(value)} is no table")
        unknown = value.keys() - set(known)
        need(not unknown, f"unknown key {', '.join(sorted(map(repr, unknown)))!s:.80}")
        self.entries: dict[str, object] = value

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def present(self, *keys: str) -> list[str]:
        """Those of the keys that the table has."""
        return [key for key in keys if key in self.entries]

    def get(self, key: str, default: object = None) -> object:
        return self.entries.get(key, default)

    def required(self, key: str) -> object:
        need(key in self.entries, f"{key}: missing")
        return self.entries[key]

    def number(self, key: str, default: int = 0) -> Fraction:
        return exact(self.entries.get(key, default))

    def whole(self, key: str, default: int) -> int:
        return whole_number(self.entries.get(key, default))

    def word(self, key: str, choices: str) -> str:
        """One of some words; the first one if the key is left out."""
        return one_of(self.entries.get(key, choices.split()[0]), choices)

    def flag(self, key: str) -> bool | None:
        """True or false, None if the key is left out."""
        value = self.entries.get(key)
        if value is not None and not isinstance(value, bool):
            raise Bad(f"{key}: neither true nor false")
        return value
