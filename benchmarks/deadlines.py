"""How well time limits hold: 300 questions about large networks, each in a process of its own.

    python -m benchmarks.deadlines                    # all; some 20 minutes on an idle machine
    python -m benchmarks.deadlines --every 8          # every eighth case
    python -m benchmarks.deadlines --only 17,40 --where   # tracebacks of what is late

Networks and queries are made from seeds (`deadline_cases.py`). A case runs the command line; what
counts is the time from the first step of deciding: the wall time of the whole process less that of
starting Python, of imports, of reading the files, and of the checker. The limit may be overshot by
the larger of half a second and 5 %. `--where` prints where a process is once its limit is over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, save, show
from benchmarks.deadline_cases import CASES, Case, case

ALLOWED, SHARE = 0.5, 0.05
"""Seconds, and the share of the limit, by which a limit may be overshot."""

PATIENCE = 90.0
"""Seconds after the limit at which a process is ended, and counts with these."""

TITLE = "Time limits on large networks"


def ask(one: Case, folder: Path, *, where: bool) -> dict[str, Any]:
    """Run one case; its record: what was asked, what it said, and the seconds that it took."""
    files = one.write(folder)
    command = [sys.executable, "-m", "benchmarks.deadline_process", str(one.limit),
               "where" if where else "", one.command, *map(str, files), "-t", f"{one.limit:g}s",
               *one.options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
            timeout=one.asked + PATIENCE)
    except subprocess.TimeoutExpired as late:
        told = (late.stderr or b"").decode()
        return _record(one, "ended from outside", time.monotonic() - started, {}, told)
    wall = time.monotonic() - started
    said = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    word = f"exit {done.returncode}"
    return _record(one, said.get("word", word), wall, said, done.stderr)


def _record(
    one: Case, word: str, wall: float, said: dict[str, Any], told: str
) -> dict[str, Any]:
    apart = {name: float(said.get(name, 0.0)) for name in ("imports", "reading", "checking")}
    deciding = float(said.get("inside", wall)) - sum(apart.values())
    return {
        "case": one.number, "kind": one.kind, "limit": one.limit, "asked": one.asked,
        "word": word, "reason": said.get("reason", ""), "wall": wall, **apart,
        "deciding": deciding, "stated": said.get("seconds"), "over": deciding - one.asked,
        "late": deciding - one.asked > max(ALLOWED, SHARE * one.asked), "stderr": told[-6000:],
    }


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """One line for each kind of question."""
    rows: list[list[Any]] = []
    for kind in dict.fromkeys(r["kind"] for r in result["rows"]):
        mine = [r for r in result["rows"] if r["kind"] == kind]
        over = sorted(max(0.0, r["over"]) for r in mine)
        words = Counter(r["word"] for r in mine)
        rows.append([
            kind, len(mine), sum(r["late"] for r in mine), over[len(over) // 2], over[-1],
            ", ".join(f"{n} {word}" for word, n in sorted(words.items()))])
    return ["questions", "cases", "late", "overshoot, median s", "longest", "answers"], rows


def page_section(result: dict[str, Any]) -> list[str]:
    """The section of docs/benchmarks.md."""
    rows = result["rows"]
    late = [r for r in rows if r["late"]]
    limits = [r["limit"] for r in rows]
    lines = [
        f"`python -m benchmarks.deadlines`: {len(rows)} of {CASES} cases, each a command line in a",
        f"process of its own, with limits of {min(limits):g} to {max(limits):g} s. Seconds are",
        "wall time less starting Python, imports, reading files and the checker. Overshoot is what",
        f"goes beyond the limit; late is more than {ALLOWED:g} s and more than {SHARE:.0%}.",
        "", show(*table(result)), "",
        f"* Target: none late. Late: {len(late)} of {len(rows)}: "
        + ("missed." if late else "met.")]
    lines += [f"* Late: case {r['case']}, {r['kind']}, limit {r['limit']:g} s, "
              f"{r['deciding']:.3g} s." for r in late]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--where", action="store_true")
    given = parser.parse_args(arguments)
    numbers = range(given.first, CASES, given.every)
    if given.only:
        numbers = sorted(map(int, given.only.split(",")))
    rows = []
    with tempfile.TemporaryDirectory() as made:
        for number in numbers:
            row = ask(case(number), Path(made), where=given.where)
            rows.append(row)
            print(f"{number:3d} {row['kind']:34.34s} {row['limit']:5.3g} s: {row['deciding']:6.2f} "
                  f"(imports {row['imports']:.2f}, reading {row['reading']:.2f}) "
                  f"{'LATE ' if row['late'] else ''}{row['word']}: {row['reason'][:90]}",
                  flush=True)
            if (given.where and row["late"]) or row["word"].startswith("exit"):
                print(row["stderr"])
            del row["stderr"]
    if not given.only:
        save("deadlines", {"rows": rows})
        print(show(*table({"rows": rows})))
    return int(any(r["late"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
