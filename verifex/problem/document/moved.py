"""A document of a spec for another folder: the files that it names, as found from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Renaming: TypeAlias = Callable[[str], str]
"""From a name in a spec to the name of the same file in another."""


@dataclass(frozen=True)
class Moved:
    """Names of files relative to one folder, as names relative to another."""

    old: Path
    new: Path

    def __call__(self, name: str) -> str:
        return self.file(self.old / name)

    def file(self, path: Path) -> str:
        """The name of a file from the new folder.

        Only folders are resolved: what a file is called says how it is read, a link to it too.
        """
        return os.path.relpath(path.parent.resolve() / path.name, self.new.resolve())


def moved_document(document: Mapping[str, Any], moved: Renaming) -> dict[str, Any]:
    """The document with its data files named from the new folder (`network` is left as it is).

    What is no name of a file there (a wrong document) is left as it is too.
    """
    out = dict(document)
    given = out.get("input")
    if isinstance(given, Mapping):
        out["input"] = {
            key: moved(value) if key in ("data", "minmax_of") and isinstance(value, str) else value
            for key, value in given.items()}
    region = out.get("region")
    if isinstance(region, Mapping) and isinstance(region.get("linf_relative"), Mapping):
        relative = dict(region["linf_relative"])
        if isinstance(relative.get("data"), str):
            relative["data"] = moved(relative["data"])
        out["region"] = {**region, "linf_relative": relative}
    for key in ("require", "assume"):
        if key in out:
            out[key] = _masks_moved(out[key], moved)
    return out


def _masks_moved(value: Any, moved: Renaming) -> Any:
    """Properties with the mask files that they name found from the new folder."""
    if isinstance(value, list):
        return [_masks_moved(one, moved) for one in value]
    if not isinstance(value, Mapping):
        return value
    out = {key: _masks_moved(one, moved) for key, one in value.items()}
    mask = out.get("mass")
    if isinstance(mask, Mapping) and isinstance(mask.get("file"), str):
        out["mass"] = {**mask, "file": moved(mask["file"])}
    return out
