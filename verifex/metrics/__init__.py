"""Properties: one file a family, found by being there; a file defines `FAMILY`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from verifex.metrics.support.base import Family

__all__ = ["Family", "registry"]


@cache
def registry() -> Mapping[str, Family[Any]]:
    """Every family of properties by its keyword."""
    found: dict[str, Family[Any]] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        entry = getattr(importlib.import_module(f"{__name__}.{module}"), "FAMILY", None)
        if isinstance(entry, Family):
            found[entry.keyword] = entry
    return found
