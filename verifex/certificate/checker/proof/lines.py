"""The lines of a certificate: which there are, what each may hold, and how its values are read."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from ..failures import Bad, need
from ..graph.fingerprints import WIDTH
from ..spec.toml_values import exact

Line = dict[str, Any]

MULTIPLIERS = ("fractions", "splits", "rows", "exact")
KINDS: dict[str, tuple[str, ...]] = {
    "group": (), "parts": (), "leaf": (), "split": (), "input": (), "whole": (),
    "cut": (),
    "fact": MULTIPLIERS, "bound": (*MULTIPLIERS, "atoms"),
}
LONGEST = 1 << 12
"""Bits of a multiplier's exponent; half of those of its numerator and of its denominator."""

QUOTIENT = re.compile("([0-9]{1,2500})/([1-9][0-9]{0,2499})")
"""Multipliers of exact lines are quotients of determinants: longer than the numbers of a spec."""


def kind_of(line: object) -> str:
    """The key that says what a line is; refused if it has other keys than such lines have."""
    if not isinstance(line, dict):
        raise Bad(f"no object: {line!r:.60}")
    found = [kind for kind in KINDS if kind in line]
    known = {found[0], *KINDS[found[0]]} if found else set[str]()
    need(len(found) == 1 and line.keys() <= known, f"a line with keys {list(line)!r:.60}")
    return found[0]


def packed_bytes(value: object, what: str) -> bytes:
    """Bytes that are written in base64."""
    if not isinstance(value, str):
        raise Bad(f"{what}: no text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise Bad(f"{what}: no base64") from None


def fingerprints(value: object, what: str) -> list[int]:
    """Numbers of `WIDTH` bytes, the least significant first."""
    data = packed_bytes(value, what)
    need(len(data) % WIDTH == 0, f"{what}: broken fingerprints")
    return [int.from_bytes(data[k : k + WIDTH], "little") for k in range(0, len(data), WIDTH)]


def numerators(value: object, what: str, bits: int, size: int) -> list[int]:
    """Fractions in units of 2^-bits, as few bytes each as hold 1; those that are left out are 0."""
    data, width = packed_bytes(value, what), bits // 8 + 1
    need(len(data) % width == 0 and len(data) <= width * size, f"{what}: out of range")
    found = list(data) if width == 1 else [
        int.from_bytes(data[k : k + width], "little") for k in range(0, len(data), width)]
    need(max(found, default=0) <= 1 << bits, f"{what}: above 1")
    return found + [0] * (size - len(found))


def weighted(entries: object, what: str) -> Iterable[tuple[int, Fraction]]:
    """Numbers of constraints with multipliers >= 0: `[j, m, e]` is m * 2^e, `[j, "p/q"]` a
    fraction."""
    if not isinstance(entries, list):
        raise Bad(f"{what}: no list")
    found = []
    for entry in entries:
        need(isinstance(entry, list) and len(entry) in (2, 3), f"{what}: a wrong entry")
        number, *value = entry
        need(type(number) is int, f"{what}: no number of a constraint")
        found.append((number, _multiplier(value, what)))
    return found


def _multiplier(value: list[object], what: str) -> Fraction:
    if len(value) == 1:
        quotient = QUOTIENT.fullmatch(value[0]) if isinstance(value[0], str) else None
        factor = Fraction(*map(int, quotient.groups())) if quotient else exact(value[0])
    else:
        mantissa, exponent = value
        if type(mantissa) is not int or type(exponent) is not int or abs(exponent) > LONGEST:
            raise Bad(f"{what}: a multiplier out of range")
        factor = mantissa * Fraction(2) ** exponent
    sizes = factor.numerator.bit_length(), factor.denominator.bit_length()
    need(factor >= 0 and max(sizes) <= 2 * LONGEST, f"{what}: a multiplier out of range")
    return factor
