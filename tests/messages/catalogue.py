"""Mistakes as data: what is changed in a spec or called, and what verifex says to it."""

from __future__ import annotations

import contextlib
import io
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.messages.place import SPEC
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.cli.vnnlib.main import run as run_queries
from verifex.errors import VerifexError

FILE = Path(__file__).with_name("mistakes.toml")

VERIFY = "verifex verify spec.toml"


@dataclass(frozen=True)
class Mistake:
    """A mistake: `change` replaces texts in the spec of `place.py`, `files` are written beside it,
    and then `command` is called, or `python` run. `exit` is the exit code (of Python: the name of
    the error), `says` the line on stderr (of Python: `str(error)`)."""

    title: str
    part: str
    change: tuple[tuple[str, str], ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    command: str = ""
    python: str = ""
    exit: int | str = 65
    says: str = ""


def read() -> list[Mistake]:
    """The catalogue as it is kept."""
    found = []
    for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["mistake"]:
        change = tuple((was, now) for was, now in entry.pop("change", []))
        found.append(Mistake(change=change, **entry))
    return found


def said(mistake: Mistake, folder: Path) -> tuple[int | str, str, str]:
    """(exit code or error, what is said, what else was printed) where the mistake is made.

    The working directory must be `folder`, which `place.make` has filled.
    """
    text = SPEC
    for was, now in mistake.change:
        if was not in text:
            raise ValueError(f"{mistake.title}: the spec has no {was!r}")
        text = text.replace(was, now, 1)
    (folder / "spec.toml").write_text(text, encoding="utf-8")
    for name, content in mistake.files.items():
        (folder / name).write_text(content, encoding="utf-8")
    if mistake.python:
        return _in_python(mistake.python)
    program, *words = (mistake.command or VERIFY).split()
    call: Callable[[], int] = (
        (lambda: run_queries(words)) if program == "verifex-vnnlib" else lambda: run(app, words))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call()
    return code, err.getvalue().removesuffix("\n"), out.getvalue()


def _in_python(code: str) -> tuple[str, str, str]:
    names: dict[str, object] = {}
    exec("import numpy as np\nimport verifex", names)
    try:
        exec(code, names)
    except VerifexError as error:
        return type(error).__name__, str(error), ""
    return "none", "", ""


def written(mistakes: list[Mistake]) -> str:
    """The catalogue as text: TOML with every line in single quotes, as a spec would show it."""
    lines = ["# What verifex says to mistakes. `python -m tests.messages.rewrite` writes `exit`",
             "# and `says` anew; read the difference before you keep it. `change` is in the spec",
             "# of place.py, and the command `verifex verify spec.toml` unless given.", ""]
    part = ""
    for mistake in mistakes:
        if mistake.part != part:
            part = mistake.part
            lines += [f"# --- {part} {'-' * (80 - len(part))}", ""]
        lines += ["[[mistake]]", f"part = {_quoted(part)}", f"title = {_quoted(mistake.title)}"]
        if mistake.change:
            pairs = ", ".join(f"[{_quoted(a)}, {_quoted(b)}]" for a, b in mistake.change)
            lines.append(f"change = [{pairs}]")
        for key in ("command", "python"):
            if getattr(mistake, key):
                lines.append(f"{key} = {_quoted(getattr(mistake, key))}")
        code = mistake.exit
        lines.append(f"exit = {code if isinstance(code, int) else _quoted(code)}")
        lines.append(f"says = {_quoted(mistake.says)}")
        lines += [f"files.{_quoted(name)} = {_quoted(text)}"
                  for name, text in mistake.files.items()]
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A TOML string: literal where it can be, so that quotes in messages are seen as they are."""
    if "\n" in text and "'''" not in text:
        return f"'''\n{text}'''"
    if "'" not in text:
        return f"'{text}'"
    if "'''" not in text and not text.endswith("'"):
        return f"'''{text}'''"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
