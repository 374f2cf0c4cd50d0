"""The spec of one end of a range: the spec that was asked, with an expression to require.

The checker reads spec files, so the claim that an end states is written as one. Everything but
`require` means what it meant; files that the spec names are found from the new folder.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from verifex.errors import UnsupportedError
from verifex.ir.decimals import finite_decimal
from verifex.source import QuestionFiles, Source

_LONGEST = 400
"""Characters of a decimal; numbers of a spec may have 1,000."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Number(str):
    """A number of a TOML file as it is written there."""

    __slots__ = ()


@dataclass(frozen=True)
class EndClaim:
    """`expression >= bound`, or `<=` where it is about a maximum."""

    expression: str
    maximum: bool
    bound: Fraction

    @property
    def key(self) -> str:
        """The key of the bound in a property."""
        return "at_most" if self.maximum else "at_least"


def claim_files(files: QuestionFiles, claim: EndClaim, path: Path) -> QuestionFiles:
    """Write the claim's spec to a path; the files of the question that it asks.

    Raises UnsupportedError for a spec that has no text form here.
    """
    data = claim_text(files, claim, path.parent).encode()
    path.write_bytes(data)
    moved = _Moved(files.spec.path.parent, path.parent)
    renamed = {moved(name): digest for name, digest in files.data.items()}
    spec = Source(path, str(path), data, bytes)
    return replace(files, spec=spec, data=renamed)


def claim_text(files: QuestionFiles, claim: EndClaim, folder: Path) -> str:
    """The text of the claim's spec, for a file in that folder."""
    moved = _Moved(files.spec.path.parent, folder)
    given = tomllib.loads(files.spec.data.decode(), parse_float=_Number)
    asked = {key: value for key, value in given.items() if key != "require"}
    name = given.get("name") or files.spec.path.stem
    asked["name"] = f"{name}: {claim.expression} {claim.key} {_short(claim.bound)}"
    asked["network"] = moved.file(files.network.path)
    asked["require"] = [{"expression": claim.expression, claim.key: _exact(claim.bound)}]
    if "input" in asked:
        asked["input"] = {k: moved(v) if k in ("data", "minmax_of") else v
                          for k, v in asked["input"].items()}
    if "assume" in asked:
        asked["assume"] = _masks_moved(asked["assume"], moved)
    return "\n".join(_document(asked)) + "\n"


@dataclass(frozen=True)
class _Moved:
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


def _masks_moved(value: Any, moved: _Moved) -> Any:
    """Properties with the mask files that they name found from the new folder."""
    if isinstance(value, list):
        return [_masks_moved(one, moved) for one in value]
    if not isinstance(value, Mapping):
        return value
    out = {key: _masks_moved(one, moved) for key, one in value.items()}
    mask = out.get("mass")
    if isinstance(mask, Mapping) and "file" in mask:
        out["mass"] = {**mask, "file": moved(mask["file"])}
    return out


# --- TOML -----------------------------------------------------------------------------------


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
        case _Number():
            return str(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _quoted(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
            return f"{{ {inside} }}" if inside else "{}"
    # Dates and times, which no key of a spec takes.
    raise UnsupportedError(f"a {type(value).__name__} in a spec cannot be written as TOML")


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
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


def _exact(value: Fraction) -> str:
    """A number of a spec: a decimal where a short one is exact, else a quotient as text."""
    try:
        text = finite_decimal(value)
    except ValueError:
        return str(value)
    return _Number(text) if len(text) <= _LONGEST else str(value)


def _short(value: Fraction) -> str:
    return f"{float(value):.9g}"
