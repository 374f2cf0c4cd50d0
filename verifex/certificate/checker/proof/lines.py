"""Lines of a certificate."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..failures import need

LINES = {"f": "fpzr", "b": "bpzra", "s": "s", "x": "x", "l": "l", "t": "t"}


def kind_of(line: dict[str, Any]) -> str:
    found = [k for k, keys in LINES.items() if k in line and line.keys() <= set(keys)]
    need(found, f"a line with keys {list(line)!r:.60}")
    return found[0]


def dyadic(m: int, e: int) -> Fraction:
    need(0 <= m < 1 << 4096 and abs(e) <= 4096, "a multiplier out of range")
    return m * Fraction(2) ** e
