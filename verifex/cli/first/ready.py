"""`spec`: the ready specs of the library, with the network and the data that they are about."""

from __future__ import annotations

import difflib
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from verifex.cli.common import console, emit, write_file
from verifex.cli.first.written import may_write
from verifex.errors import UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def library() -> dict[str, str]:
    """The text of every ready spec, by name."""
    found = (_folder() / "library").iterdir()
    named = {f.name.removesuffix(".toml"): f for f in found if f.name.endswith(".toml")}
    return {name: named[name].read_text(encoding="utf-8") for name in sorted(named)}


def summary(text: str) -> str:
    """What a ready spec claims: its first line."""
    return text.partition("\n")[0].removeprefix("# ")


def spec(name: str | None, output: Path | None, *, force: bool, json: bool) -> int:
    """List the ready specs, print one, or copy one with the files that it names."""
    known = library()
    if name is None:
        if output is not None:
            raise UsageError("--output without a spec, expected the name of one")
        return _listed(known, json)
    name = name.removesuffix(".toml")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"'{near[0]}' (did you mean that?)" if near else f"one of {', '.join(known)}"
        raise UsageError(f"no ready spec '{name}', expected {hint}")
    about = {"name": name, "summary": summary(known[name]), "text": known[name]}
    if output is None:
        if json:
            emit("ready spec", {**about, "spec": None, "files": []})
        else:
            print(known[name], end="")
        return 0
    written = copied(known[name], output, force=force)
    if json:
        emit("ready spec", {**about, "spec": str(output), "files": [str(p) for p in written]})
    else:
        print(f"{output} is written, and beside it {', '.join(p.name for p in written)}")
        print(f"Next: verifex verify {output}")
    return 0


def copied(text: str, output: Path, *, force: bool) -> list[Path]:
    """Write the spec, and the files that it names beside it; where they lie there already, they
    are left as they are. UsageError where another file of the name lies there."""
    may_write(output, force)
    table = tomllib.loads(text)
    names = dict.fromkeys((table["network"], table["input"]["data"]))
    wanted = {output.parent / n: (_folder() / "library" / n).read_bytes() for n in names}
    for path, data in wanted.items():
        if path.exists() and path.read_bytes() != data:
            may_write(path, force)
    write_file(output, text)
    for path, data in wanted.items():
        write_file(path, data)
    return list(wanted)


def _listed(known: dict[str, str], json: bool) -> int:
    if json:
        listed = [{"name": n, "summary": summary(text)} for n, text in known.items()]
        emit("ready specs", {"specs": listed})
        return 0
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in known.items():
        table.add_row(name, Text(summary(text)))
    out = console()
    out.print(table)
    out.print("Copy one with the network and the data that it is about: "
              "verifex spec NAME -o my.toml")
    return 0


def _folder() -> Traversable:
    return files("verifex.specs")
