"""`proved` is granted here and nowhere else: a certificate is written and the checker, a separate
process that shares no code with the engine, accepts it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import verifex.errors
from verifex.certificate.write import Files, Line, proof_lines, witness_lines, write
from verifex.engine.proof import Closed
from verifex.engine.verdict import Outcome, Step, Verdict
from verifex.ir.problem import Problem

CHECKER = Path(verifex.errors.__file__).with_name("checker.py")


@dataclass(frozen=True)
class Check:
    """What the checker printed, with its exit code, seconds, and the certificate's bytes."""

    text: str
    code: int
    seconds: float
    size: int

    @property
    def valid(self) -> bool:
        return self.code == 0 and self.text.startswith("valid")


def run_checker(files: Files, certificate: Path, seconds: float, jobs: int = 1) -> Check:
    """Run the checker as a process of its own, isolated from the environment and site packages."""
    command = [
        sys.executable,
        "-I",
        "-S",
        str(CHECKER),
        str(files.network),
        str(files.spec),
        str(certificate),
        "--jobs",
        str(jobs),
    ]
    started = time.monotonic()
    size = certificate.stat().st_size
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=max(seconds, 0.1),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check("not checked: out of time", 2, time.monotonic() - started, size)
    lines = (done.stdout.strip() or done.stderr.strip() or "no answer").splitlines()
    return Check(lines[-1], done.returncode, time.monotonic() - started, size)


def certify(
    problem: Problem,
    verdict: Verdict,
    files: Files,
    seconds: float,
    path: Path | None = None,
    jobs: int = 1,
) -> Verdict:
    """The verdict with its certificate written (to `path`, if given) and checked.

    A claim becomes `proved` if the checker accepts, and stays `claimed` with the checker's answer
    as a note if not. A refutation keeps its verdict: its witness was replayed already; a witness
    that the checker did not accept is noted too.
    """
    if verdict.outcome is not Outcome.REFUTED and not isinstance(verdict.proof, Closed):
        if verdict.outcome is Outcome.UNKNOWN:
            return verdict
        return _with_note(verdict, "no certificate: the claim rests on a solver's word")
    with tempfile.TemporaryDirectory(prefix="verifex-") as folder:
        target = path or Path(folder) / "proof.vxc"
        started = time.monotonic()
        size = write(target, _lines(problem, verdict, files))
        written = time.monotonic() - started
        check = run_checker(files, target, seconds, jobs)
    steps = (
        *verdict.steps,
        Step("certificate", written, f"{size} bytes"),
        Step("check", check.seconds, check.text),
    )
    extra = {
        **verdict.extra,
        "certificate": {
            "path": None if path is None else str(path),
            "bytes": size,
            "check": check.text,
            "check_seconds": round(check.seconds, 3),
            "write_seconds": round(written, 3),
        },
    }
    verdict = replace(
        verdict, steps=steps, extra=extra, seconds=verdict.seconds + written + check.seconds
    )
    if not check.valid:
        return _with_note(verdict, f"the certificate was not accepted: {check.text}")
    if verdict.outcome is Outcome.REFUTED:
        return replace(verdict, evidence=(*verdict.evidence, "witness accepted by the checker"))
    return replace(
        verdict,
        outcome=Outcome.PROVED,
        reason="",
        evidence=(*verdict.evidence, "certificate accepted by the checker"),
    )


def _lines(problem: Problem, verdict: Verdict, files: Files) -> Iterator[Line]:
    if verdict.witness is not None:
        return witness_lines(files, verdict.witness)
    if not isinstance(verdict.proof, Closed):
        raise ValueError("a claim without a search has no certificate")
    return proof_lines(problem, files, verdict.proof)


def _with_note(verdict: Verdict, note: str) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, note))
