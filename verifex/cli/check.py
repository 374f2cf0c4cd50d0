"""`check`: the checker in a process of its own, its answer and an exit code; for one certificate,
or for all in a folder. It also writes the checker as one file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from verifex.cli.common import emit, progress, split_files
from verifex.errors import (
    EXIT_INPUT,
    EXIT_PROVED,
    EXIT_UNKNOWN,
    InputError,
    UsageError,
    VerifexError,
)
from verifex.settings import MOST_JOBS
from verifex.source import file_hash

if TYPE_CHECKING:
    from verifex.certificate.bundle import BundleAnswer

_CODES = {0: EXIT_PROVED, 1: EXIT_INPUT, 2: EXIT_UNKNOWN, 65: EXIT_INPUT}


@dataclass(frozen=True)
class CheckOptions:
    """How certificates are checked, and where more files of a folder lie."""

    jobs: int = 1
    seconds: float | None = None
    folders: Sequence[Path] = ()
    json: bool = False


def check(files: Sequence[Path], options: CheckOptions) -> int:
    """Print what the checker says: 0 valid, 2 incomplete or out of time, 65 invalid.

    Of a folder: see `check_folder`.
    """
    if not 1 <= options.jobs <= MOST_JOBS:
        raise UsageError(f"--jobs {options.jobs}, expected 1 to {MOST_JOBS}")
    if len(files) == 1 and files[0].is_dir():
        return check_folder(files[0], options)
    if options.folders:
        raise UsageError("--files belongs to a folder of certificates")
    return check_one(files, options)


def check_one(files: Sequence[Path], options: CheckOptions) -> int:
    """Print what the checker says of one certificate."""
    from verifex.certificate.grant import run_checker

    network, spec, (certificate,) = split_files(files, after=1, last="certificate")
    network = _named_by(spec) if network is None else network
    if not certificate.is_file():
        raise InputError("cannot be read", expected="a certificate", file=str(certificate))
    found = run_checker(network, spec, certificate, options.seconds, options.jobs)
    if found.code is None and not found.late:
        raise VerifexError(found.text)
    code = EXIT_UNKNOWN if found.code is None else _CODES[found.code]
    if options.json:
        emit("check", {
            "sha256": {"network": file_hash(network), "spec": file_hash(spec),
                       "certificate": file_hash(certificate)},
            "answer": found.text, "valid": found.valid, "refutes": found.refutes,
            "bytes": found.size,
            "seconds": round(found.seconds, 3), "exit_code": code,
        })
    else:
        print(found.text)
    return code


def _named_by(spec: Path) -> Path:
    """The network that a spec names; the checker reads both files anew."""
    from verifex.problem.spec.model import load_spec

    named = load_spec(spec).network
    if named is None:
        raise InputError(
            "missing", expected="network = a file, here or on the command line", key="network",
            file=str(spec),
        )
    return spec.parent / named


def check_folder(folder: Path, options: CheckOptions) -> int:
    """Print one line for each certificate below a folder, and a summary.

    0: all are valid; 65: something cannot be read, or is missing; 1: one is invalid; 2: one is
    incomplete, late or not checked.
    """
    from verifex.certificate.bundle import check_entries, entries, exit_code, kinds

    found = entries(folder, options.folders)
    answers: list[BundleAnswer] = []
    shown = 0
    try:
        with progress(f"{len(found)} certificates") as report:
            for answer in check_entries(found, options.jobs, options.seconds):
                answers.append(answer)
                if report is not None:
                    report("checked", str(len(answers)))
                elif not options.json:
                    print(_line(folder, answer), flush=True)
                    shown += 1
    except KeyboardInterrupt:
        print(f"{len(answers)} of {len(found)} certificates were checked", file=sys.stderr)
        raise
    code = exit_code(answers)
    if options.json:
        emit("folder check", _document(folder, answers, code))
        return code
    for answer in answers[shown:]:
        print(_line(folder, answer))
    told = ", ".join(f"{count} {word}" for word, count in kinds(answers).items() if count)
    print(f"{len(answers)} certificate{'s' * (len(answers) != 1)}: {told}")
    return code


def _line(folder: Path, answer: BundleAnswer) -> str:
    return f"{answer.entry.certificate.relative_to(folder).as_posix()}: {answer.text}"


def _document(folder: Path, answers: Sequence[BundleAnswer], code: int) -> dict[str, object]:
    from verifex.certificate.bundle import kinds

    return {
        "certificates": [
            {
                "name": answer.entry.certificate.relative_to(folder).as_posix(),
                "network": None if answer.entry.network is None else str(answer.entry.network),
                "spec": None if answer.entry.spec is None else str(answer.entry.spec),
                "answer": answer.text, "valid": answer.code == 0, "refutes": answer.refutes,
                "bytes": answer.size,
                "seconds": round(answer.seconds, 3),
            }
            for answer in answers
        ],
        "counts": dict(kinds(answers)),
        "exit_code": code,
    }


def export(path: Path, *, json: bool) -> int:
    """Write the checker as one file."""
    from verifex.certificate.application import write_application

    size = write_application(path)
    if json:
        emit("checker", {"file": str(path), "bytes": size})
    else:
        print(f"{path}: {size} bytes; python -I -S {path} NETWORK SPEC CERTIFICATE")
    return 0
