"""Files that are read once: what is hashed for a certificate is what was parsed.

A file that changes after it was read does not matter to anything built from it; the checker, which
reads the file anew, sees that it is another one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from verifex.errors import InputError, UsageError

Parsed = TypeVar("Parsed")


class SiblingFiles:
    """Further files that the bytes of a file name, in its own folder, each read once.

    `folder` is None where there is none, and every file is refused; `most` bounds the bytes of all
    of them together. `all_read` is set by whoever has read all that the bytes name.

    Sound: what is hashed for a certificate is what was parsed.
    """

    def __init__(self, folder: Path | None, most: int) -> None:
        self.folder, self.most = folder, most
        self._read: dict[str, bytes] = {}
        self.all_read = False

    def read(self, name: str) -> bytes:
        """The bytes of a file; InputError unless it is a plain file of that name in the folder.

        Refused are names with any way to another folder, links, pipes, and too many bytes.
        """
        if self.folder is None:
            raise InputError("the tensor is stored outside the file",
                             expected="a model that is read from its path, or one in a single file "
                             "(torch: external_data=False)")
        if name in ("", ".", "..") or any(c in name for c in "/\\\0:"):
            raise InputError("external data outside the model's folder",
                             expected="the name of a file beside the model")
        if name not in self._read:
            left = self.most - sum(map(len, self._read.values()))
            self._read[name] = _plain_file(self.folder / name, left, self.most)
        return self._read[name]

    @property
    def contents(self) -> Mapping[str, bytes]:
        """The bytes of every file that was read, by its name."""
        return self._read

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of every file that was read, by its name."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self._read.items()}


def _plain_file(path: Path, left: int, most: int) -> bytes:
    """All bytes of a regular file that is no link, at most `left`."""
    try:
        if stat.S_ISLNK(path.lstat().st_mode):
            raise InputError("external data behind a symbolic link", expected="a plain file")
        # The path may change between the look and the opening: no link is followed here either, and
        # a pipe does not block.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
                         | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError("external data that is no plain file", expected="a plain file")
            if status.st_size > left:
                raise InputError("too much external data", expected=f"at most {most} bytes")
            return stream.read(left)
    except OSError as error:
        raise InputError(f"external data cannot be read ({error.strerror})",
                         expected="a readable file beside the model") from None


@dataclass(frozen=True, eq=False)
class Source(Generic[Parsed]):
    """A file's bytes as they lay there when it was read (zipped ones are still zipped).

    `name` stands for the file in messages, `parse` makes of the bytes what they mean; in doing so
    it may read `siblings`, files beside it that the bytes name.
    """

    path: Path
    name: str
    data: bytes = field(repr=False)
    parse: Callable[[bytes], Parsed] = field(repr=False)
    siblings: SiblingFiles | None = field(default=None, repr=False)

    @cached_property
    def sha256(self) -> str:
        """In hexadecimal, as certificates name it."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def parsed(self) -> Parsed:
        """What the bytes mean, found out once; raises what `parse` raises."""
        return self.parse(self.data)

    @property
    def sibling_contents(self) -> Mapping[str, bytes]:
        """The bytes of every file beside this one that its bytes name."""
        _ = self.sibling_hashes  # which sees to it that all are read
        return {} if self.siblings is None else self.siblings.contents

    @property
    def sibling_hashes(self) -> dict[str, str]:
        """The SHA-256 of every file beside this one that its bytes name."""
        if self.siblings is None:
            return {}
        if not self.siblings.all_read:
            _ = self.parsed  # which reads them
        return dict(sorted(self.siblings.hashes.items()))


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
        named: dict[str, Any] = {"network": self.network.sha256, "spec": self.spec.sha256}
        if external := self.network.sibling_hashes:
            named["external"] = external
        return {**named, "data": dict(sorted(self.data.items()))} if self.data else named


class TemporaryFolder:
    """A folder that is removed with the last reference to this object, or when the program ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="verifex-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class KeptFiles:
    """What stands behind an answer: the files of its question, and its certificate if it has one.

    `folder` holds those of them that do not last any longer than this object.
    """

    files: QuestionFiles
    certificate: Path | None = None
    folder: TemporaryFolder | None = None

    def copy_to(self, folder: Path) -> list[Path]:
        """Write all of them into a folder, each by its own name; the paths.

        Data files keep their places relative to the spec. Raises InputError where a file has
        changed since it was read or cannot be written, UsageError where one would replace another.
        """
        below = max((_steps_up(name) for name in self.files.data), default=0)
        spec_at = folder.joinpath(*["spec"] * below, self.files.spec.path.name)
        network, beside = self.files.network, self.files.network.siblings
        copies = {spec_at: self.files.spec.data, spec_at.parent / network.path.name: network.data}
        if beside is not None:
            copies |= {spec_at.parent / name: data for name, data in beside.contents.items()}
        for name, digest in self.files.data.items():
            target = Path(os.path.normpath(spec_at.parent / name))
            copies[target] = _unchanged(self.files.spec.path.parent / name, digest)
        if self.certificate is not None:
            copies[folder / self.certificate.name] = _read(self.certificate)
        for path, data in copies.items():
            _write(path, data)
        return list(copies)


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; raises InputError."""
    return hashlib.sha256(_read(path)).hexdigest()


def _steps_up(name: str) -> int:
    """How many folders above the spec a data file lies."""
    parts = Path(os.path.normpath(name)).parts
    if Path(name).is_absolute():
        raise UsageError(f"the spec names its data by an absolute path ({name}), expected a path "
                         "from the spec: only then can both be kept together")
    return sum(part == ".." for part in parts)


def _unchanged(path: Path, digest: str) -> bytes:
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError("has changed since it was read", expected="the same file", file=str(path))
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None


def _write(path: Path, data: bytes) -> None:
    try:
        if path.exists() and path.read_bytes() != data:
            raise UsageError(f"{path} exists and is another file, expected an empty folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", expected="a writable folder",
                         file=str(path)) from None
