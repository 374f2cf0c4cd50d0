"""Files that commands write for people: none is replaced unless that is asked for."""

from __future__ import annotations

from pathlib import Path

from verifex.errors import UsageError


def may_write(path: Path, force: bool) -> None:
    """UsageError where something lies at the path already, unless it may be replaced."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists already, expected another --output, or --force")
