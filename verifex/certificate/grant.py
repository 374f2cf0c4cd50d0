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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

from verifex.certificate.attempts import Attempt, attempts
from verifex.certificate.write import Line, write
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import (
    BY_CHECKER,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
)
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Closest, Outcome, StageRecord, Verdict
from verifex.engine.watch import StopRequest, Watch
from verifex.errors import InputError
from verifex.ir.problem import Problem
from verifex.limits.checkpoint import CutOff
from verifex.settings import Settings
from verifex.source import QuestionFiles

CHECKER = Path(__file__).with_name("checker")

MEMORY = 4 << 30
"""Bytes that a process of the checker may take, if nothing else is said."""

_LOOK = 0.1
"""Seconds after which a process that may be told to stop is looked at again."""

_ANSWERS = {0: "valid", 1: "invalid", 2: "incomplete", 65: "invalid"}


@dataclass(frozen=True)
class CheckerAnswer:
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
    def refutes(self) -> bool:
        """Whether the checker accepted a witness: the claim is false."""
        return self.valid and self.text == "valid (refutation)"

    @property
    def refused(self) -> bool:
        """Whether the checker read everything and said no."""
        return self.code == 1


def run_checker(
    network: Path,
    spec: Path,
    certificate: Path,
    seconds: float | None = None,
    jobs: int = 1,
    memory: int = MEMORY,
    stop: StopRequest | Event | None = None,
) -> CheckerAnswer:
    """Run the checker as a process of its own, isolated from the environment and site packages.

    Each of its processes may take so many bytes of `memory` (where the system can say so). It is
    ended as if its time were over soon after `stop` is set, and not started once that is.
    """
    names = (CHECKER, network, spec, certificate)
    command = [sys.executable, "-I", "-S", *map(str, names), "--jobs", str(jobs)]
    started = time.monotonic()
    size = certificate.stat().st_size
    stopped = stop is not None and stop.is_set()
    done = None if stopped else _finish(command, seconds, memory, stop)
    passed = time.monotonic() - started
    if done is None:
        limit = 0.0 if seconds is None else round(seconds, 1)
        text = f"not checked: out of time after {limit:g} s"
        if stop is not None and stop.is_set():
            text = "not checked: interrupted"
        return CheckerAnswer(text, None, passed, size, True)
    code, out, err = done
    text = (out.strip().splitlines() or [""])[-1]
    if not text.startswith(_ANSWERS.get(code, "\n")):
        why = (err.strip().splitlines() or [f"exit code {code}"])[-1]
        text = f"not checked: the checker ended without an answer ({why})"
        return CheckerAnswer(text, None, passed, size)
    return CheckerAnswer(text, code, passed, size)


def _finish(
    command: Sequence[str], seconds: float | None, memory: int,
    stop: StopRequest | Event | None = None,
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
        found = _output(process, seconds, stop)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode not in _ANSWERS:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, *found


def _output(
    process: subprocess.Popen[str], seconds: float | None, stop: StopRequest | Event | None
) -> tuple[str, str]:
    """What a process has written until its end; TimeoutExpired where that does not come in time."""
    if stop is None:
        return process.communicate(timeout=seconds)
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _LOOK if end is None else min(_LOOK, max(0.0, end - time.monotonic()))
        try:
            return process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            if stop.is_set() or (end is not None and time.monotonic() >= end):
                raise


def decide_and_check(
    problem: Problem, files: QuestionFiles | None, settings: Settings,
    pool: SolverPool | None = None, watch: Watch | None = None, scratch: Path | None = None,
    refusal: str | None = None,
) -> Verdict:
    """Decide a problem, write the certificate of the answer, and have it checked.

    `files` are those that the problem was built from; None where it was built in memory, which
    leaves nothing that a certificate could name, or where it could not be written, for the reason
    `refusal`. A claim that only a solver made is searched again
    for a proof, in the time that is left. A certificate that is not kept lies in the folder
    `scratch`, if one is given.
    """
    watch = watch or Watch()
    kept = settings.certificate is not None
    verdict = decide(problem, settings, pool, watch)
    if not kept and not settings.check:
        return verdict
    if watch.stop.is_set():
        decided = verdict.outcome is not Outcome.UNKNOWN
        return _with_note(verdict, INTERRUPTED) if decided else verdict
    if verdict.outcome is Outcome.UNKNOWN:
        verdict = replace(verdict, proof=None)  # a tree with open leaves, of no use to anybody
        return _with_note(verdict, "no certificate is written") if kept else verdict
    expected = kept or verdict.outcome is Outcome.CLAIMED
    if len(problem.networks) > 1:
        return _told_several(verdict) if expected else verdict
    if files is None or not files.checkable:
        note = IN_MEMORY if refusal is None else f"no certificate: {refusal}"
        return _with_note(verdict, note) if expected else verdict
    if verdict.outcome is Outcome.CLAIMED and _open(verdict) != 0:
        verdict = _search_proof(problem, verdict, settings, pool, watch)
    seconds = max(settings.check_seconds, settings.seconds - verdict.seconds)
    watch.stop.so_far = lambda: _with_note(verdict, INTERRUPTED)
    checked = certify(problem, verdict, files, seconds, settings, scratch, watch.stop)
    for step in checked.steps[len(verdict.steps) :]:
        watch.stage(step.stage, step.seconds, step.result)
    return checked


INTERRUPTED = "no certificate: it was interrupted before one was written"
LATE = "no certificate: there was no time to write one"
SEVERAL = "no certificate: the checker reads one network"

UNNAMED = "proof.vxc"
"""What a certificate is called that nobody has named."""

IN_MEMORY = (
    "no certificate: it names files that the checker reads, a network and a TOML spec or a "
    "VNN-LIB 1.0 query"
)


def _search_proof(
    problem: Problem, verdict: Verdict, settings: Settings, pool: SolverPool | None, watch: Watch
) -> Verdict:
    """A solver's claim with a proof found by search, where that succeeds in the time left."""
    left = settings.seconds - verdict.seconds
    if settings.searches or left <= 0:
        return verdict
    alone = replace(settings, seconds=left, search=True, attack=False, solvers=())
    again = decide(problem, alone, pool, watch)
    told = (replace(s, stage=f"proof: {s.stage}") for s in again.steps)
    steps, seconds = (*verdict.steps, *told), verdict.seconds + again.seconds
    if again.outcome is Outcome.REFUTED:
        word = f"a solver claimed the contrary ({verdict.rests_on})"
        return _with_note(replace(again, steps=steps, seconds=seconds), word)
    found = verdict if again.proof is None else replace(verdict, proof=again.proof)
    proved = again.evidence if _open(found) == 0 else ()
    evidence = (*verdict.evidence, *proved)
    return replace(found, evidence=evidence, steps=steps, seconds=seconds)


def _open(verdict: Verdict) -> int | None:
    """How many leaves of a claim's proof are open; None where there is no proof at all."""
    return verdict.proof.proof.open if isinstance(verdict.proof, Closed) else None


def certify(
    problem: Problem, verdict: Verdict, files: QuestionFiles, seconds: float,
    settings: Settings | None = None, scratch: Path | None = None,
    stop: StopRequest | None = None,
) -> Verdict:
    """The verdict with its certificate written (to the path, if one is wanted) and checked.

    A claim becomes `proved` if the checker accepts, and stays `claimed` with the checker's answer
    as a note if not. Leaves that the search left open are noted; with a path, the rest of the tree
    is written and checked all the same. A refutation whose witness the checker refuses is withdrawn
    (`unknown`), although it was replayed; one that the checker could not read stays, with a note.
    A problem of several networks gets no certificate.
    Writing and checking together take at most so many seconds, and end soon after `stop` is set.
    Without a path the certificate lies in the folder `scratch`, or in one that does not last.
    Raises InputError where the path cannot be written.
    """
    settings, asked = settings or Settings(), stop or StopRequest()
    if len(problem.networks) > 1:
        # Sound: the files name one network, so what the checker would read is another problem.
        return _told_several(verdict)
    if verdict.outcome not in (Outcome.CLAIMED, Outcome.REFUTED):
        return verdict
    word = _left_to_solvers(verdict)
    if word and (settings.certificate is None or _open(verdict) is None):
        return _with_note(verdict, f"no certificate: {word}")
    verdict = _with_note(verdict, word) if word else verdict
    with _place(settings.certificate, scratch) as target:
        ended = time.monotonic() + seconds

        def left() -> float:
            return 0.0 if asked.is_set() else ended - time.monotonic()

        budget = Budget(seconds, settings.memory, stopped=asked.is_set)
        try:
            with budget.enforced():
                return _first_accepted(
                    attempts(problem, verdict, files, settings, left), files, target, settings,
                    left, asked)
        except CutOff:
            return _with_note(verdict, INTERRUPTED if asked.is_set() else LATE)
        except MemoryError as error:
            return _with_note(verdict, f"no certificate: out of memory: {error}")
        except ValueError as error:
            return _with_note(verdict, f"no certificate: {error}")


@contextlib.contextmanager
def _place(wanted: Path | None, scratch: Path | None) -> Iterator[Path]:
    """Where a certificate is written: as `wanted`, else in the folder `scratch`, else in one that
    does not last."""
    if wanted is not None:
        yield wanted
    elif scratch is not None:
        yield scratch / UNNAMED
    else:
        with tempfile.TemporaryDirectory(prefix="verifex-") as folder:
            yield Path(folder) / UNNAMED


def _first_accepted(
    tries: Iterable[Attempt], files: QuestionFiles, target: Path, settings: Settings,
    left: Callable[[], float], stop: StopRequest,
) -> Verdict:
    """What the checker says of the first way to write a certificate that it does not refuse, or
    else of the last."""
    judged = None
    for attempt in tries:
        if judged is not None and left() <= 0:
            break
        started = time.monotonic()
        size = _written(target, attempt.lines())
        written = time.monotonic() - started
        found = None
        if settings.check:
            found = run_checker(
                files.network.path, files.spec.path, target, max(0.1, left()), settings.jobs,
                settings.memory, stop)
        told = _told(attempt.verdict, settings.certificate, size, written, found)
        judged = _judged(told, found)
        if found is None or not found.refused:
            break
    if judged is None:
        raise ValueError("there is no proof")
    return judged


def _written(path: Path, lines: Iterator[Line]) -> int:
    """The bytes of a certificate; InputError where it cannot be written, ValueError of `lines`."""
    try:
        return write(path, lines)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", expected="a writable file", file=str(path)
        ) from None


def _left_to_solvers(verdict: Verdict) -> str:
    """What of a claim no search has closed, in words; nothing of a refutation."""
    left = _open(verdict)
    if verdict.outcome is not Outcome.CLAIMED or left == 0:
        return ""
    word = "the claim rests on a solver's word"
    if left is None:
        return word
    return f"{word} for {left} of the {verdict.proof.proof.leaves} leaves of the search"


def _not_accepted(text: str) -> str:
    """Why a certificate proves nothing; what the checker does not know yet is no defect of it."""
    if "unsupported" in text:
        return f"not proved, the checker does not know all of it: {text}"
    return f"the certificate was not accepted: {text}"


def _judged(verdict: Verdict, found: CheckerAnswer | None) -> Verdict:
    """The verdict after the checker's answer (None: it was not asked)."""
    if found is None:
        return _with_note(verdict, "the certificate was not checked, as was asked")
    if found.refused:
        return _refused(verdict, found)
    if not found.valid:
        return _with_note(verdict, _not_accepted(found.text))
    if verdict.outcome is Outcome.REFUTED:
        accepted = Evidence(EvidenceKind.WITNESS_ACCEPTED, BY_CHECKER)
        return replace(verdict, evidence=(*verdict.evidence, accepted))
    accepted = Evidence(EvidenceKind.CERTIFICATE_ACCEPTED, BY_CHECKER)
    # Sound: where the assumption holds the requirement does, so that its margin is not negative.
    low = max(Fraction(0), verdict.margin_low or Fraction(0))
    evidence = (*verdict.evidence, accepted)
    return replace(verdict, outcome=Outcome.PROVED, evidence=evidence, margin_low=low)


def _refused(verdict: Verdict, found: CheckerAnswer) -> Verdict:
    """The verdict after the checker's no: engine and checker contradict each other, or the search
    closed what exact arithmetic does not."""
    if verdict.outcome is Outcome.CLAIMED:
        return _with_note(
            verdict, f"the checker refused the proof ({found.text}): a defect, please report it")
    reason = Reason(ReasonKind.WITNESS_REFUSED, BY_CHECKER, found.text)
    at = verdict.witness
    closest = None if at is None else Closest(at.point, at.margin, on_kink=False)
    return replace(verdict, outcome=Outcome.UNKNOWN, reasons=(reason,), evidence=(), witness=None,
                   closest=closest)


def _told(
    verdict: Verdict, path: Path | None, size: int, written: float, found: CheckerAnswer | None
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


def _told_several(verdict: Verdict) -> Verdict:
    return verdict if SEVERAL in verdict.notes else _with_note(verdict, SEVERAL)


def _with_note(verdict: Verdict, note: str) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, note))
