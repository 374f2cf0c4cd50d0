"""`proved` is granted here and nowhere else: a certificate is written and the checker, a separate
process that shares no code with the engine, accepts it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import verifex.errors
from verifex.certificate.write import Files, Line, proof_lines, witness_lines, write
from verifex.engine.decide import decide
from verifex.engine.run import Options
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, StageRecord, Verdict
from verifex.errors import InputError
from verifex.ir.problem import Problem

CHECKER = Path(verifex.errors.__file__).with_name("checker.py")

MEMORY = 4 << 30
"""Bytes that a process of the checker may take, if nothing else is said."""

LEAST_SECONDS = 10.0
"""What a check may take where less of the time limit is left."""

_ANSWERS = {0: "valid", 1: "invalid", 2: "incomplete", 65: "invalid"}


@dataclass(frozen=True)
class Check:
    """What the checker printed, with its exit code, seconds, and the certificate's bytes.

    `code` is None where it gave no answer: out of time, killed, crashed.
    """

    text: str
    code: int | None
    seconds: float
    size: int
    late: bool = False

    @property
    def valid(self) -> bool:
        return self.code == 0

    @property
    def refused(self) -> bool:
        """Whether the checker read everything and said no."""
        return self.code == 1


@dataclass(frozen=True)
class Wanted:
    """What is to become of a certificate: kept in `path`, checked, on how many processes, in at
    least how many seconds where less of the time limit is left."""

    path: Path | None = None
    check: bool = True
    jobs: int = 1
    least: float = LEAST_SECONDS


def run_checker(
    files: Files,
    certificate: Path,
    seconds: float | None = None,
    jobs: int = 1,
    memory: int = MEMORY,
) -> Check:
    """Run the checker as a process of its own, isolated from the environment and site packages.

    Each of its processes may take so many bytes of `memory` (where the system can say so).
    """
    names = (CHECKER, files.network, files.spec, certificate)
    command = [sys.executable, "-I", "-S", *map(str, names), "--jobs", str(jobs)]
    started = time.monotonic()
    size = certificate.stat().st_size
    done = _finish(command, seconds, memory)
    passed = time.monotonic() - started
    if done is None:
        limit = 0.0 if seconds is None else round(seconds, 1)
        text = f"not checked: out of time after {limit:g} s"
        return Check(text, None, passed, size, True)
    code, out, err = done
    text = (out.strip().splitlines() or [""])[-1]
    if not text.startswith(_ANSWERS.get(code, "\n")):
        why = (err.strip().splitlines() or [f"exit code {code}"])[-1]
        text = f"not checked: the checker ended without an answer ({why})"
        return Check(text, None, passed, size)
    return Check(text, code, passed, size)


def _finish(
    command: Sequence[str], seconds: float | None, memory: int
) -> tuple[int, str, str] | None:
    """(exit code, stdout, stderr), or None after the time limit; nothing is left running."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if sys.platform == "linux":
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (memory, memory))
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode not in _ANSWERS:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, out, err


def decide_and_check(
    problem: Problem,
    files: Files | None,
    wanted: Wanted,
    options: Options,
    pool: SolverPool | None = None,
) -> Verdict:
    """Decide a problem, write the certificate of the answer, and have it checked.

    `files` are those that the problem was built from; None where it was built in memory, which
    leaves nothing that a certificate could name. A claim that only a solver made is searched again
    for a proof, in the time that is left.
    """
    verdict = decide(problem, options, pool)
    if wanted.path is None and not wanted.check:
        return verdict
    if verdict.outcome is Outcome.UNKNOWN:
        verdict = replace(verdict, proof=None)  # a tree with open leaves, of no use to anybody
        return verdict if wanted.path is None else _with_note(verdict, "no certificate is written")
    if len(problem.networks) > 1:
        return _told_several(verdict) if _expected(verdict, wanted) else verdict
    if files is None:
        return _with_note(verdict, _IN_MEMORY) if _expected(verdict, wanted) else verdict
    if verdict.outcome is Outcome.CLAIMED and _open(verdict) != 0:
        verdict = _search_proof(problem, verdict, options, pool)
    seconds = max(wanted.least, options.seconds - verdict.seconds)
    checked = certify(problem, verdict, files, seconds, wanted, options.memory)
    for step in checked.steps[len(verdict.steps) :]:
        options.watch().stage(step.stage, step.seconds, step.result)
    return checked


_SEVERAL = "no certificate: the checker reads one network"

_IN_MEMORY = (
    "no certificate: it names files that the checker reads, a network and a TOML spec or a "
    "VNN-LIB 1.0 query"
)


def _expected(verdict: Verdict, wanted: Wanted) -> bool:
    """Whether the lack of a certificate is worth a word."""
    return wanted.path is not None or verdict.outcome is Outcome.CLAIMED


def _search_proof(
    problem: Problem, verdict: Verdict, options: Options, pool: SolverPool | None
) -> Verdict:
    """A solver's claim with a proof found by search, where that succeeds in the time left."""
    left = options.seconds - verdict.seconds
    if options.search or left <= 0:
        return verdict
    again = decide(
        problem, replace(options, seconds=left, search=True, attack=False, solvers=()), pool
    )
    told = (replace(s, stage=f"proof: {s.stage}") for s in again.steps)
    steps, seconds = (*verdict.steps, *told), verdict.seconds + again.seconds
    if again.outcome is Outcome.REFUTED:
        word = f"a solver claimed the contrary ({'; '.join(verdict.evidence)})"
        return _with_note(replace(again, steps=steps, seconds=seconds), word)
    found = verdict if again.proof is None else replace(verdict, proof=again.proof)
    proved = again.evidence if _open(found) == 0 else ()
    evidence = (*verdict.evidence, *proved)
    return replace(found, evidence=evidence, steps=steps, seconds=seconds)


def _open(verdict: Verdict) -> int | None:
    """How many leaves of a claim's proof are open; None where there is no proof at all."""
    return verdict.proof.proof.open if isinstance(verdict.proof, Closed) else None


def certify(
    problem: Problem,
    verdict: Verdict,
    files: Files,
    seconds: float,
    wanted: Wanted | None = None,
    memory: int = MEMORY,
) -> Verdict:
    """The verdict with its certificate written (to the path, if one is wanted) and checked.

    A claim becomes `proved` if the checker accepts, and stays `claimed` with the checker's answer
    as a note if not. Leaves that the search left open are noted; with a path, the rest of the tree
    is written and checked all the same. A refutation whose witness the checker refuses is withdrawn
    (`unknown`), although it was replayed; one that the checker could not read stays, with a note.
    A problem of several networks gets no certificate.
    Raises InputError where the path cannot be written.
    """
    wanted = wanted or Wanted()
    path = wanted.path
    if len(problem.networks) > 1:
        # Sound: the files name one network, so what the checker would read is another problem.
        return _told_several(verdict)
    if verdict.outcome not in (Outcome.CLAIMED, Outcome.REFUTED):
        return verdict
    left = _open(verdict)
    if verdict.outcome is Outcome.CLAIMED and left != 0:
        word = "the claim rests on a solver's word"
        if left is None:
            return _with_note(verdict, f"no certificate: {word}")
        word += f" for {left} of the {verdict.proof.proof.leaves} leaves of the search"
        if path is None:
            return _with_note(verdict, f"no certificate: {word}")
        verdict = _with_note(verdict, word)
    with tempfile.TemporaryDirectory(prefix="verifex-") as folder:
        target = path or Path(folder) / "proof.vxc"
        started = time.monotonic()
        try:
            size = write(target, _lines(problem, verdict, files))
        except ValueError as error:
            return _with_note(verdict, f"no certificate: {error}")
        except OSError as error:
            raise InputError(
                f"cannot be written: {error.strerror}", expected="a writable file", file=str(target)
            ) from None
        written = time.monotonic() - started
        rest = max(0.1, seconds - written)
        found = run_checker(files, target, rest, wanted.jobs, memory) if wanted.check else None
    verdict = _told(verdict, path, size, written, found)
    if found is None:
        return _with_note(verdict, "the certificate was not checked, as was asked")
    if found.refused:
        return _refused(verdict, found)
    if not found.valid:
        return _with_note(verdict, f"the certificate was not accepted: {found.text}")
    if verdict.outcome is Outcome.REFUTED:
        return replace(verdict, evidence=(*verdict.evidence, "witness accepted by the checker"))
    return replace(
        verdict,
        outcome=Outcome.PROVED,
        evidence=(*verdict.evidence, "certificate accepted by the checker"),
    )


def _refused(verdict: Verdict, found: Check) -> Verdict:
    """The verdict after the checker's no: engine and checker contradict each other, or the search
    closed what exact arithmetic does not."""
    if verdict.outcome is Outcome.CLAIMED:
        return _with_note(
            verdict, f"the checker refused the proof ({found.text}): a defect, please report it")
    reason = (f"a witness was replayed, but the checker refused it ({found.text}): the two "
              "contradict each other, a defect, please report it")
    return replace(verdict, outcome=Outcome.UNKNOWN, reason=reason, evidence=(), witness=None)


def _told(
    verdict: Verdict, path: Path | None, size: int, written: float, found: Check | None
) -> Verdict:
    """The verdict with the certificate's figures and steps."""
    steps = [StageRecord("certificate", written, f"{size} bytes")]
    told: dict[str, Any] = {
        "path": None if path is None else str(path),
        "bytes": size,
        "leaves": _leaves(verdict),
        "write_seconds": round(written, 3),
        "check": None,
    }
    seconds = verdict.seconds + written
    if found is not None:
        steps.append(StageRecord("check", found.seconds, found.text))
        told |= {"check": found.text, "check_exit": found.code}
        told["check_seconds"] = round(found.seconds, 3)
        seconds += found.seconds
    extra = {**verdict.extra, "certificate": told}
    return replace(verdict, steps=(*verdict.steps, *steps), extra=extra, seconds=seconds)


def _leaves(verdict: Verdict) -> int | None:
    """Leaves of the proof; None for a witness."""
    return max(1, verdict.proof.proof.leaves) if isinstance(verdict.proof, Closed) else None


def _lines(problem: Problem, verdict: Verdict, files: Files) -> Iterator[Line]:
    if verdict.witness is not None:
        return witness_lines(files, verdict.witness)
    return proof_lines(problem, files, verdict.proof)


def _told_several(verdict: Verdict) -> Verdict:
    return verdict if _SEVERAL in verdict.notes else _with_note(verdict, _SEVERAL)


def _with_note(verdict: Verdict, note: str) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, note))
