"""`init`: a commented spec for a network and a data file, which runs as it stands."""

from __future__ import annotations

from pathlib import Path

from verifex.cli.common import console, emit, line, write_file
from verifex.cli.first.written import may_write
from verifex.problem.first.write import draft_spec


def init(
    network: Path, data: Path | None, output: Path | None, *, row: int | None, target: str | None,
    network_output: str | None, force: bool, json: bool,
) -> int:
    """Write the spec and say what is in it."""
    path = output or Path(network.name.removesuffix(".gz")).with_suffix(".toml")
    may_write(path, force)
    found = draft_spec(network, data, path, row=row, label=target, network_output=network_output)
    write_file(path, found.text)
    stated = found.problem.statement
    if json:
        emit("draft", {"spec": str(path), "statement": None if stated is None else stated.to_json(),
              "exit_code": 0})
        return 0
    out = console()
    out.print(f"{path} is written")
    for label, text in () if stated is None else stated.lines():
        line(out, label, text)
    for note in found.problem.notes:
        line(out, "note", note)
    out.print(f"Next: verifex verify {path}")
    return 0
