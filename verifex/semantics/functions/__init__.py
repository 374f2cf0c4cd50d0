"""Smooth scalar functions: one file each, found by being there; a file defines `FUNCTION`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from verifex.errors import UnsupportedError
from verifex.semantics.functions.base import SmoothFunction

__all__ = ["SmoothFunction", "find", "registry"]


@cache
def registry() -> Mapping[str, SmoothFunction]:
    """Every function by its name."""
    found: dict[str, SmoothFunction] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        entry = getattr(importlib.import_module(f"{__name__}.{module}"), "FUNCTION", None)
        if isinstance(entry, SmoothFunction):
            found[entry.name] = entry
    return found


def find(name: str) -> SmoothFunction:
    """The function called `name`; UnsupportedError lists the known ones."""
    found = registry().get(name)
    if found is None:
        known = ", ".join(registry())
        raise UnsupportedError(f"unknown function '{name}'", expected=f"one of {known}")
    return found
