"""A spec with changed keys as a file of its own, since the checker reads files.

It lies beside what is kept of the question (its certificate, its witness), or in a folder that
lasts as long as the question. Whatever the spec names is found from there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from verifex.errors import InputError, UsageError
from verifex.ir.text.toml_text import read_table, toml_text
from verifex.problem.document.changes import Change, changed
from verifex.problem.document.moved import Moved, moved_document
from verifex.problem.spec.model import spec_source
from verifex.problem.vnnlib.read import is_vnnlib

_MARK = "# Written by verifex: "
"""How a spec begins that was written here, and may be written again."""


def beside(kept: Path) -> Path:
    """The spec's file beside a certificate (.vxc, .vxc.gz) or a witness."""
    name = kept.name.removesuffix(".gz")
    return kept.with_name(name).with_suffix(".toml")


@contextmanager
def changed_spec(
    spec: Path, network: Path | None, changes: Sequence[Change], kept: Path | None = None
) -> Iterator[Path]:
    """The file of a spec with these changes: `kept`, or one in a folder that does not last.

    Errors that name it name the spec that was changed instead. Raises InputError where a change
    does not fit the spec or the file cannot be written, UsageError where it would replace another.
    """
    with tempfile.TemporaryDirectory(prefix="verifex-") as made:
        path = Path(made) / spec.name if kept is None else kept
        try:
            text = changed_text(spec, network, changes, path.parent)
            write_spec(path, text)
            yield path
        except InputError as error:
            if error.file == str(path):
                raise type(error)(error.what, expected=error.expected, key=error.key,
                                  file=str(spec)) from None
            raise


def changed_text(
    spec: Path, network: Path | None, changes: Sequence[Change], folder: Path
) -> str:
    """The text of the spec with these changes, for a file in that folder."""
    if is_vnnlib(spec):
        raise UsageError(f"{spec} is a VNN-LIB query, whose keys cannot be set: expected a spec")
    source = spec_source(spec)
    source.parsed  # noqa: B018 (what is wrong with the spec as it is, is told of it as it is)
    moved = Moved(spec.parent, folder)
    try:
        document = changed(read_table(source.data.decode()), changes)
    except InputError as error:
        raise error.at(file=str(spec)) from None
    told = ", ".join(change.text for change in changes)
    document["name"] = f"{document.get('name') or spec.stem}: {told}"
    if network is not None:
        document["network"] = moved.file(network)
    elif isinstance(document.get("network"), str):
        document["network"] = moved(document["network"])
    return marked(f"{spec.name} with {told}", toml_text(moved_document(document, moved)))


def marked(what: str, text: str) -> str:
    """The text of a spec that begins with what it is and who wrote it."""
    line = "".join(c if c.isprintable() else " " for c in what)
    return f"{_MARK}{line}\n{text}"


def refuse_foreign(path: Path) -> None:
    """Raise UsageError where a spec lies at a path that verifex did not write."""
    if path.exists() and not path.read_bytes().startswith(_MARK.encode()):
        raise UsageError(f"the changed spec would replace {path}, which verifex did not write: "
                         "expected another name for what is kept")


def write_spec(path: Path, text: str) -> None:
    """Write a spec, but over no file that somebody else wrote."""
    try:
        refuse_foreign(path)
        path.write_bytes(text.encode())
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", expected="a writable file",
                         file=str(path)) from None

