"""Formulas over atoms: negation, conjunction, truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..graph.forms import total

Formula = Any  # (form, strict): form >= 0 or > 0; or [count, parts]: at least so many of the parts


def negate(f: Formula) -> Formula:
    if isinstance(f, list):
        return [len(f[1]) - f[0] + 1, [negate(p) for p in f[1]]]
    return total([(f[0], -1)]), not f[1]


def every(parts: Iterable[Formula]) -> Formula:
    found = list(parts)
    return found[0] if len(found) == 1 else [len(found), found]


def alive(f: Any, dead: Callable[[int], bool]) -> bool:
    """Whether a numbered formula can be true when just these atoms cannot."""
    return not dead(f) if isinstance(f, int) else sum(alive(p, dead) for p in f[1]) >= f[0]
