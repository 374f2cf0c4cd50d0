"""Files that are read once: what is hashed for a certificate is what was parsed.

A file that changes after it was read does not matter to anything built from it; the checker, which
reads the file anew, sees that it is another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, eq=False)
class Source(Generic[Parsed]):
    """A file's bytes as they lay there when it was read (zipped ones are still zipped).

    `name` stands for the file in messages, `parse` makes of the bytes what they mean.
    """

    path: Path
    name: str
    data: bytes = field(repr=False)
    parse: Callable[[bytes], Parsed] = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """In hexadecimal, as certificates name it."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def parsed(self) -> Parsed:
        """What the bytes mean, found out once; raises what `parse` raises."""
        return self.parse(self.data)


@dataclass(frozen=True, eq=False)
class QuestionFiles:
    """The files that a question was read from.

    `data` maps the names of data files, as the spec has them, to their SHA-256. `checkable` says
    whether the checker reads such a question.
    """

    network: Source[Any]
    spec: Source[Any]
    data: Mapping[str, str] = field(default_factory=dict)
    checkable: bool = True

    def hashes(self) -> dict[str, Any]:
        """The SHA-256 of every file that says what is claimed, as a certificate's header has it."""
        named = {"network": self.network.sha256, "spec": self.spec.sha256}
        return {**named, "data": dict(sorted(self.data.items()))} if self.data else named
