"""Plants one soundness bug at a time in a copy of verifex and tells what notices it.

    python -m tests.seeded.run                  # all bugs, a table
    python -m tests.seeded.run --only kink      # those whose name contains a word
    python -m tests.seeded.run --document docs/certificates.md

For each bug of bugs/*.toml: the quick tests named there run against the copy; if they pass,
`probe.py` searches for proofs of known claims with it, and asks the checker (which shares no code
with what the bugs are in) about their certificates. Exit code 1 if a bug goes unnoticed, or if the
copy without a bug does not pass.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SECONDS = 240
NO_SHRINKING = """
from hypothesis import Phase

settings.register_profile(
    "seeded", settings.get_profile("quick"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("seeded")
"""
"""That a test fails is all that is asked: hypothesis need not look for the smallest example."""


@dataclass(frozen=True)
class Bug:
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, text: str) -> str:
        """The file's text with the bug; ValueError where its place is not found exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: found {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)


def bugs() -> list[Bug]:
    files = sorted((HERE / "bugs").glob("*.toml"))
    listed = [b for f in files for b in tomllib.loads(f.read_text(encoding="utf-8"))["bug"]]
    return [Bug(**{**b, "tests": tuple(b["tests"])}) for b in listed]


@contextmanager
def copy(bug: Bug | None) -> Iterator[Path]:
    """A copy of the tree with the bug in it."""
    skip = shutil.ignore_patterns("__pycache__")
    with tempfile.TemporaryDirectory(prefix="seeded-") as name:
        folder = Path(name)
        for part in ("verifex", "tests", "examples"):
            shutil.copytree(ROOT / part, folder / part, ignore=skip)
        for part in ("solvers", "specs"):  # they are packages of verifex once installed
            shutil.copytree(ROOT / part, folder / part, ignore=skip)
            (folder / "verifex" / part).symlink_to(folder / part)
        shutil.copy(ROOT / "pyproject.toml", folder)
        with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as file:
            file.write(NO_SHRINKING)
        if bug is not None:
            place = folder / bug.file
            place.write_text(bug.planted(place.read_text(encoding="utf-8")), encoding="utf-8")
        yield folder


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Python's exit code and output, with the copy's packages before the installed ones."""
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    data = ROOT.parent / "shared" / "data"
    if data.is_dir():
        env.setdefault("VERIFEX_DATA", str(data))
    try:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True,
            timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return 124, f"out of time after {SECONDS} s"
    return done.returncode, done.stdout + done.stderr


def probed(folder: Path, usual: Sequence[str] = ()) -> list[str]:
    """What `probe.py` finds wrong that is not wrong as usual."""
    _, out = run(folder, "tests/seeded/probe.py", *usual)
    lines = out.strip().splitlines() or ["no answer"]
    return [] if lines[-1] == "as it should be" else [lines[-1]]


def noticed(bug: Bug, usual: Sequence[str] = ()) -> tuple[str, str]:
    """("tests" or "checker", what said so); ("", "") for a bug that nothing notices.

    `usual` names claims that the probe leaves out.
    """
    with copy(bug) as folder:
        if bug.tests:
            code, out = run(
                folder, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "",
                *bug.tests)
            if code == 1:
                failed = re.search(r"^FAILED (?:tests/)?(\S+)", out, re.MULTILINE)
                return "tests", failed[1] if failed else "a test"
            if code != 0:
                return "", f"the tests did not run: {out.strip()[-200:]}"
        wrong = probed(folder, usual)
    return ("checker", wrong[0]) if wrong else ("", "")


def table(found: dict[str, tuple[str, str]]) -> str:
    rows = [f"| {name} | {by or '**nothing**'} | {what} |" for name, (by, what) in found.items()]
    return "\n".join(["| bug | noticed by | |", "|---|---|---|", *rows])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    usual: list[str] = []
    with copy(None) as folder:
        while wrong := probed(folder, usual):
            print(f"without a bug: {wrong[0]}", flush=True)
            usual.append(wrong[0].split(":")[0])
            if len(usual) > 5:
                return 1
    found = {}
    for bug in bugs():
        if asked.only in bug.name:
            found[bug.name] = noticed(bug, usual)
            print(f"{bug.name}: {': '.join(found[bug.name])}", flush=True)
    if asked.document is not None:
        from tests.helpers.document import section

        by = [how for how, _ in found.values()]
        section(asked.document, "Seeded bugs", f"""Written by the command below.

    python -m tests.seeded.run --document docs/certificates.md

{len(found)} soundness bugs (tests/seeded/bugs/), each alone in a copy of the package:
{by.count("tests")} are noticed by the quick tests, {by.count("checker")} by the checker, which
refuses certificates that are written with them; {by.count("")} by nothing. Bugs that the tests
notice were not put to the checker.

{table(found)}
""")
    return 1 if usual or any(not how for how, _ in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
