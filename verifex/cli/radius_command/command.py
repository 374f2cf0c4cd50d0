"""`radius`: the largest radius that is proved and the least that is refuted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from verifex import api
from verifex.cli.common import carried_out, console, emit, split_files
from verifex.cli.radius_command.text import exact_text, print_one, print_table, state
from verifex.errors import EXIT_UNKNOWN, UsageError
from verifex.radius_questions import RadiusOptions, exact, find_radii, numbered
from verifex.reading import read_radius

if TYPE_CHECKING:
    from verifex.engine.radius.radius_verdict import RadiusVerdict
    from verifex.problem.document.variants.radius import RadiusQuestion
    from verifex.settings import Settings


@dataclass(frozen=True)
class AskedRadius:
    """What the command line asks of a radius."""

    key: str | None
    features: tuple[str, ...]
    tolerance: str
    most: str | None
    save_witness: Path | None


def radius(
    files: Sequence[Path], asked: AskedRadius, settings: Settings, *, log: Path | None, json: bool,
    quiet: bool,
) -> int:
    """Find the radii and print them; 0 if all are closed to the tolerance, else 2."""
    network, spec, _ = split_files(files)
    settings = api.fitting(settings)
    options = RadiusOptions(
        _number("--tolerance", asked.tolerance),
        None if asked.most is None else _number("--max", asked.most), asked.save_witness)
    questions = read_radius(network, spec, asked.key, asked.features)

    def keep(found: Sequence[RadiusVerdict]) -> None:
        if asked.save_witness is not None:
            _save_witnesses(asked.save_witness, questions, found)

    def code_of(found: Sequence[RadiusVerdict]) -> int:
        code = max(one.exit_code for one in found)
        return max(code, EXIT_UNKNOWN) if len(found) < len(questions) else code

    return carried_out(
        partial(find_radii, questions, settings, options),
        lambda found, code: _print_radii(questions, found, json, quiet, code), code_of,
        title=f"radius of {spec.stem}", log=log, quiet=quiet, keep=keep)


def _print_radii(
    questions: Sequence[RadiusQuestion], found: Sequence[RadiusVerdict], json: bool, quiet: bool,
    code: int,
) -> None:
    """Print radii in the form that was asked for; `code` is the exit code."""
    if json:
        emit("radii", {"radii": [one.to_json() for one in found], "exit_code": code})
    elif quiet:
        for one in found:
            words = [one.features] if one.features else []
            print(*words, exact_text(one.proved), exact_text(one.refuted), state(one))
    elif len(questions) > 1:
        print_table(found)
    else:
        print_one(console(), questions[0], found[0])


def _number(option: str, text: str) -> str:
    try:
        exact(text)
    except UsageError as error:
        raise UsageError(f"{option} {error}") from None
    return text


def _save_witnesses(
    path: Path, questions: Sequence[RadiusQuestion], found: Sequence[RadiusVerdict]
) -> None:
    """Write the witness of each radius, with the hash of the spec that it refutes."""
    from verifex.cli.witness_file import write_witness
    from verifex.problem.document.variants.changed_file import beside
    from verifex.problem.read import ReadProblem
    from verifex.problem.spec.build import read_problem

    for k, (question, one) in enumerate(zip(questions, found, strict=False)):
        target = path if len(questions) == 1 else numbered(path, k)
        if one.witness is None or one.refuted is None or target is None:
            continue
        spec, files = beside(target), question.files
        kept = files is not None and one.witness_certificate is not None and spec.exists()
        asked = read_problem(spec, files.network.path) if kept and files is not None else (
            ReadProblem(question.at(one.refuted), None))
        write_witness(target, one.witness.point, asked)
