"""Mutated certificates, networks, specs, queries and data files: one line each, and nothing worse.

    python -m tests.certificate.mutations --count 20000 --jobs 2 --document docs/certificates.md

The checker (its `main`) and the command line (`verifex show NET --spec SPEC`, in process) are given
each: they print one line, end with a code of the list, within limits of time and memory. What the
checker accepts of a mutated certificate is about the original files, whose claim is true. What it
accepts of a mutated network or spec is put to an attack, where the package reads it at all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from tests.certificate.falsehoods.claims import Files
from tests.certificate.mutants.bases import Base, bases
from tests.certificate.mutants.changes import BYTES, MESSAGES, TEXTS, lines_changed
from tests.helpers import checker_parts as checker
from tests.helpers.document import section
from verifex.settings import Settings

TITLE = "Mutated files"
SHARES = {"certificate": 10, "network": 5, "spec": 3, "query": 1, "data": 1}
CHECKER_CODES, COMMAND_CODES = (0, 1, 2, 65), (0, 2, 64, 65, 69)
SECONDS, SLOW = 20, 3.0  # of processor time: where a case is stopped, and where it is listed
GROWTH = 1 << 20  # kilobytes that a case may add to the process
WORDS = ("valid", "valid (refutation)", "invalid", "incomplete")
ORDER = [k for k, n in SHARES.items() for _ in range(n)]


class Stopped(BaseException):
    """A case took too long; nothing on its way may catch this."""


@dataclass
class Mutant:
    """What is given: files, and a certificate's bytes."""

    target: str
    how: str
    files: Files
    certificate: bytes


def mutant(seed: int, k: int) -> Mutant:
    """The k-th case of a seed."""
    g = random.Random(f"{seed} {k}")
    target = ORDER[k % len(ORDER)]
    one = g.choice([b for b in bases() if b.target == target])
    files, how = one.files, ""
    for _ in range(g.choice((1, 1, 1, 2))):
        files, how = _changed(g, one, files)
    head = {"vxc": 1, **files.digests(), **one.certificate.head}
    lines = [head, *one.certificate.lines]
    if target == "certificate":
        how, data = lines_changed(g, lines)
    else:
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return Mutant(target, how, files, data)


def _changed(g: random.Random, one: Base, files: Files) -> tuple[Files, str]:
    if one.target == "certificate":
        return files, ""
    if one.target == "network":
        change = g.choice((*MESSAGES, *BYTES[:4]))
        return replace(files, network=change(g, files.network)), change.__name__
    if one.target == "data":
        name = g.choice(sorted(files.data))
        change = g.choice(BYTES if name.endswith(".npy") else TEXTS)
        return replace(files, data={**files.data, name: change(g, files.data[name])}), (
            change.__name__)
    change = g.choice(TEXTS)
    return replace(files, spec=change(g, files.spec)), change.__name__


# --- what is answered -----------------------------------------------------------------------


@contextlib.contextmanager
def stopped(seconds: int) -> Iterator[None]:
    """Raise `Stopped` after so many seconds of processor time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass
class Answer:
    """A command's exit code (or what it died of), its lines, and what it took."""

    code: Any
    out: list[str]
    err: list[str]
    seconds: float = 0.0
    kilobytes: int = 0

    def faults(self, codes: tuple[int, ...]) -> list[str]:
        """What is wrong with it, whatever was asked."""
        found = [] if self.code in codes else [f"ended with {self.code}"]
        found += [f"took {self.seconds:.1f} s"] if self.seconds > SLOW else []
        found += [f"took {self.kilobytes >> 10} MB"] if self.kilobytes > GROWTH else []
        return found


def answered(run: Any) -> Answer:
    """Run a command in this process, whatever it does."""
    out, err = io.StringIO(), io.StringIO()
    limit, before = sys.getrecursionlimit(), resource.getrusage(resource.RUSAGE_SELF)
    code: Any
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with stopped(SECONDS):
                code = run()
        except Stopped:
            code = f"out of time ({SECONDS} s)"
        except SystemExit as error:
            code = error.code
        except BaseException as error:  # a traceback is what is looked for
            code = f"{type(error).__name__}: {error}"[:300]
    sys.setrecursionlimit(limit)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return Answer(code, out.getvalue().splitlines(), err.getvalue().splitlines(),
                  after.ru_utime - before.ru_utime, after.ru_maxrss - before.ru_maxrss)


def command(words: list[str]) -> int:
    from verifex.cli.app import app
    from verifex.cli.guard import run

    return run(app, words)


@dataclass
class Result:
    """The answers to a case."""

    target: str
    how: str
    checker: str
    command: str = ""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tried(case: Mutant, folder: Path) -> Result:
    """Put a case to the checker and, unless it is a mutated certificate, to the command line."""
    paths = [folder / "net.onnx", folder / case.files.name, folder / "proof.vxc"]
    for path, data in zip(paths, (case.files.network, case.files.spec, case.certificate)):
        path.write_bytes(data)
    for name, data in case.files.data.items():
        (folder / name).write_bytes(data)
    said = answered(lambda: checker.main([str(p) for p in paths]))
    word = said.out[0] if said.out else ""
    result = Result(case.target, case.how, word.split(":")[0])
    result.faults = [f"checker {f}" for f in said.faults(CHECKER_CODES)]
    if len(said.out) != 1 or said.err or not word.isprintable():
        result.faults.append(f"checker prints {said.out[:3]} and {said.err[-1:]}"[:300])
    if "malformed (" in word:
        kind = re.sub(r".*malformed .(\w+).*", r"\1", word)
        result.notes.append(f"unnamed: {kind}: {word[:120]}")
    if case.target != "certificate":
        _command(case, paths, said.code == 0, result)
    return result


def _command(case: Mutant, paths: list[Path], accepted: bool, result: Result) -> None:
    said = answered(lambda: command(["show", str(paths[0]), "--spec", str(paths[1]), "--json"]))
    result.command = str(said.code)
    result.faults += [f"command {f}" for f in said.faults(COMMAND_CODES)]
    if said.code != 0 and (len(said.err) != 1 or not said.err[0].isprintable()):
        result.faults.append(f"command prints {said.err[:2]}"[:300])
    if any("internal error" in line for line in said.err):
        result.faults.append(f"command: {said.err[-1]}"[:300])
    if accepted and said.code != 0:
        why = (said.err or [""])[-1].replace(str(paths[0].parent), "")
        result.notes.append(f"accepted, though the package refuses it: {why[:160]}")
    elif accepted:
        result.faults += _refuted(paths)


def _refuted(paths: list[Path]) -> list[str]:
    """Whether an attack breaks what the checker accepted."""
    from verifex import api
    from verifex.engine.decide import decide
    from verifex.engine.verdict import Outcome

    options = Settings(seconds=1.0, attack=True, search=False, solvers=())
    found = decide(api.build(paths[0], paths[1]), options)
    return ["checker accepts what is refuted"] if found.outcome is Outcome.REFUTED else []


# --- many, in processes that may die --------------------------------------------------------


def work(log: Path, seed: int, first: int, count: int, step: int) -> None:
    """Cases one after the other, a line in `log` before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
    bases()
    with tempfile.TemporaryDirectory() as folder, log.open("a", encoding="utf-8") as out:
        for k in range(first, count, step):
            print(json.dumps({"start": k}), file=out, flush=True)
            result = tried(mutant(seed, k), Path(folder))
            print(json.dumps({"k": k, **result.__dict__}), file=out, flush=True)
        print(json.dumps({"end": True}), file=out, flush=True)


def entries(log: Path) -> list[dict[str, Any]]:
    if not log.is_file():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


@dataclass
class Report:
    """All results."""

    results: list[Result] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def take(self, k: int, result: Result) -> None:
        self.results.append(result)
        self.faults += [f"case {k} ({result.target}, {result.how}): {f}" for f in result.faults]
        for note in result.notes:
            key = ": ".join(note.split(": ")[:2]) if note.startswith("unnamed") else (
                note.split(":")[0])
            self.notes[key] += 1
            self.examples.setdefault(key, f"case {k} ({result.target}, {result.how}): {note}")


def survey(count: int, seed: int, jobs: int, folder: Path) -> Report:
    """So many cases on so many processes; one that dies goes on after the case that killed it."""
    report, logs = Report(), [folder / f"log{j}" for j in range(jobs)]
    running = {j: _worker(logs[j], seed, j, count, jobs) for j in range(jobs)}
    while running:
        for j, process in list(running.items()):
            if process.poll() is None:
                continue
            done = entries(logs[j])
            if done and "end" in done[-1]:
                del running[j]
                continue
            at = max([e["start"] for e in done if "start" in e], default=j - jobs)
            report.faults.append(f"case {at}: the process died ({process.returncode})")
            running[j] = _worker(logs[j], seed, at + jobs, count, jobs)
            if len(report.faults) > 50:
                raise RuntimeError("\n".join(report.faults))
        time.sleep(0.05)
    for log in logs:
        for entry in entries(log):
            if "k" in entry:
                report.take(entry.pop("k"), Result(**entry))
    return report


def _worker(log: Path, *numbers: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, __file__, "--worker", str(log), *map(str, numbers)]
    return subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})


def document(report: Report, command_: str, seconds: float) -> str:
    targets = {t: [r for r in report.results if r.target == t] for t in SHARES}
    rows = "\n".join(
        f"| {t} | {len({r.how for r in rs})} | {len(rs)} | "
        + " | ".join(str(sum(r.checker == w for r in rs))
                     for w in WORDS)
        + f" | {sum(r.command == '0' for r in rs) if t != 'certificate' else ''} | "
        f"{sum(r.command not in ('0', '') for r in rs) if t != 'certificate' else ''} |"
        for t, rs in targets.items())
    notes = "\n".join(f"* {k}: {n}; {report.examples[k]}" for k, n in sorted(report.notes.items()))
    faults = "\n".join(f"* {f}" for f in report.faults)
    return f"""Written by the command below; the numbers are what it found.

    python -m tests.certificate.mutations {command_} \\
        --document docs/certificates.md

{len(report.results)} mutated files (bytes flipped, cut, repeated; protobuf fields repeated,
reordered, retyped, nested; numbers, lines, brackets and characters of texts; values and lines of
certificates), each put to the checker and, but for certificates, to the command line:
**{len(report.faults)}** answers that were not one line with a code of the list, within {SLOW:g} s
of processor time and {GROWTH >> 20} GB.

| mutated | ways | files | {" | ".join(WORDS)} | command line reads it | refuses it |
|---|---|---|{"---|" * len(WORDS)}---|---|
{rows}

A mutated certificate that is accepted is about the original files, of which the claim is true. What
was accepted of the other files was attacked, where the command line reads it: nothing was refuted
unless it is listed here. Wall time: {seconds:.0f} s.

{faults}
{notes}
"""


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--worker"]:
        log, *numbers = arguments[1:]
        work(Path(log), *map(int, numbers))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="K", help="one case, and what is said of it")
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if asked.only is not None:
            print(tried(mutant(asked.seed, asked.only), Path(folder)))
            return 0
        report = survey(asked.count, asked.seed, asked.jobs, Path(folder))
    seconds = time.monotonic() - started
    print(f"{len(report.results)} cases in {seconds:.0f} s")
    print("\n".join(f"{k}: {n}; {report.examples[k]}" for k, n in sorted(report.notes.items())))
    print("\n".join(report.faults) or "one line each")
    if asked.document is not None:
        words = f"--count {asked.count} --seed {asked.seed} --jobs {asked.jobs}"
        section(asked.document, TITLE, document(report, words, seconds))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
