"""`check`: the checker in a process of its own, its answer and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verifex.cli.common import emit, split_files
from verifex.errors import (
    EXIT_INPUT,
    EXIT_PROVED,
    EXIT_UNKNOWN,
    InputError,
    UsageError,
    VerifexError,
)

_CODES = {0: EXIT_PROVED, 1: EXIT_INPUT, 2: EXIT_UNKNOWN, 65: EXIT_INPUT}


def check(files: Sequence[Path], jobs: int, seconds: float | None, *, json: bool) -> int:
    """Print what the checker says: 0 valid, 2 incomplete or out of time, 65 invalid."""
    from verifex.certificate.grant import run_checker

    network, spec, (certificate,) = split_files(files, after=1, last="certificate")
    if not 1 <= jobs <= 64:
        raise UsageError(f"--jobs {jobs}, expected 1 to 64")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--timeout {seconds:g}, expected a number of seconds above 0")
    network = _named_by(spec) if network is None else network
    if not certificate.is_file():
        raise InputError("cannot be read", expected="a certificate", file=str(certificate))
    found = run_checker(network, spec, certificate, seconds, jobs)
    if found.code is None and not found.late:
        raise VerifexError(found.text)
    code = EXIT_UNKNOWN if found.code is None else _CODES[found.code]
    if json:
        emit({
            "answer": found.text, "valid": found.valid, "bytes": found.size,
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
