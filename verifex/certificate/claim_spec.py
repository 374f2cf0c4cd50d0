"""The spec of one end of a range: the spec that was asked, with an expression to require.

The checker reads spec files, so the claim that an end states is written as one. Everything but
`require` means what it meant; files that the spec names are found from the new folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from verifex.ir.text.toml_text import exact_number, read_table, toml_text
from verifex.problem.document.moved import Moved, moved_document
from verifex.source import QuestionFiles, Source


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

    @property
    def words(self) -> str:
        """The claim in short, for the name of its spec."""
        return f"{self.expression} {self.key} {_short(self.bound)}"

    @property
    def entry(self) -> dict[str, Any]:
        """The claim as an entry of `[[require]]`."""
        return {"expression": self.expression, self.key: exact_number(self.bound)}


@dataclass(frozen=True)
class ThresholdClaim:
    """The same of an expression that has a property of its own, whose `entry` it is."""

    expression: str
    maximum: bool
    bound: Fraction
    entry: Mapping[str, Any]

    @property
    def words(self) -> str:
        side = "at most" if self.maximum else "at least"
        return f"{self.expression} {side} {_short(self.bound)}"


def claim_files(
    files: QuestionFiles, claim: EndClaim | ThresholdClaim, path: Path
) -> QuestionFiles:
    """Write the claim's spec to a path; the files of the question that it asks.

    Raises UnsupportedError for a spec that has no text form here.
    """
    data = claim_text(files, claim, path.parent).encode()
    path.write_bytes(data)
    moved = Moved(files.spec.path.parent, path.parent)
    renamed = {moved(name): digest for name, digest in files.data.items()}
    spec = Source(path, str(path), data, bytes)
    return replace(files, spec=spec, data=renamed)


def claim_text(
    files: QuestionFiles, claim: EndClaim | ThresholdClaim, folder: Path
) -> str:
    """The text of the claim's spec, for a file in that folder."""
    moved = Moved(files.spec.path.parent, folder)
    given = read_table(files.spec.data.decode())
    asked = moved_document({k: v for k, v in given.items() if k != "require"}, moved)
    name = given.get("name") or files.spec.path.stem
    asked["name"] = f"{name}: {claim.words}"
    asked["network"] = moved.file(files.network.path)
    asked["require"] = [dict(claim.entry)]
    return toml_text(asked)


def _short(value: Fraction) -> str:
    return f"{float(value):.9g}"
