"""Attributions: one file each, found by being there; a file defines `ATTRIBUTION`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from verifex.attribution.base import Attribution, NetworkFunction
from verifex.errors import UnsupportedError

__all__ = ["Attribution", "NetworkFunction", "find", "registry"]


@cache
def registry() -> Mapping[str, Attribution]:
    """Every attribution by its name."""
    found: dict[str, Attribution] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        entry = getattr(importlib.import_module(f"{__name__}.{module}"), "ATTRIBUTION", None)
        if isinstance(entry, Attribution):
            found[entry.name] = entry
    return found


def find(name: str) -> Attribution:
    """The attribution called `name` (or an alias of it); UnsupportedError lists the known ones."""
    known = registry()
    for entry in known.values():
        if name == entry.name or name in entry.aliases:
            return entry
    if name == "saliency":
        # In the literature and in captum its values are absolute; taken for the signed gradient it
        # would answer another question.
        raise UnsupportedError(
            "attribution 'saliency'", expected='attribution = "gradient" with reduce = "abs"')
    raise UnsupportedError(f"unknown attribution '{name}'", expected=f"one of {', '.join(known)}")
