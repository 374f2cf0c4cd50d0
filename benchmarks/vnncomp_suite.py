"""Instances of VNN-COMP, each by `verifex-vnnlib verify` in its own process, against the truth.

    python -m benchmarks.vnncomp_suite acasxu_2023 [--only prop_3] [--no-check] [--limit 116]

For each instance of ../shared/data/vnncomp/NAME: the answer, CPU and wall seconds of the whole
process (imports, reading, search, and the check of the certificate), and what the checker said. The
exit code is 1 where an answer contradicts the ground truth.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import DATA, save, show
from verifex.cli.vnnlib.vnncomp import existing

VERIFY = (sys.executable, "-m", "verifex.cli.vnnlib.main", "verify")


def timed(command: list[str], seconds: float) -> tuple[str, str, float, float]:
    """(stdout, stderr, wall, CPU) of a child process; killed well after its time limit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False,
            timeout=seconds + 30,
        )
        out, err = done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        out, err = "timed-out\n", "killed"
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return out, err, wall, cpu


def one(
    folder: Path, row: dict[str, str], limit: float, check: bool, threads: int
) -> dict[str, Any]:
    """One instance."""
    command = [*VERIFY, str(existing(folder / row["vnnlib"])),
               "--network", str(existing(folder / row["onnx"])), "--timeout", str(limit),
               "--threads", str(threads)]
    command += ["--accept", "claimed", *([] if check else ["--no-check"])]
    out, err, wall, cpu = timed(command, limit)
    word = (out.splitlines() or ["error"])[0]
    checked = re.search(r"^check: (\w[^\n]*?) \(([\d.]+) s\)$", err, re.MULTILINE)
    return {
        "onnx": row["onnx"], "vnnlib": row["vnnlib"], "expected": row.get("expected", ""),
        "word": word, "wall": wall, "cpu": cpu, "check": checked[1] if checked else None,
        "check_seconds": float(checked[2]) if checked else 0.0,
        "said": err.strip().splitlines()[-3:],
    }


def wrong(r: dict[str, Any]) -> bool:
    """Whether an answer contradicts a known truth."""
    return {r["word"], r["expected"]} == {"sat", "unsat"}


def run(
    name: str, only: str, limit: float | None, check: bool, threads: int = 1
) -> dict[str, Any]:
    folder = DATA / "vnncomp" / name
    with (folder / "ground_truth.csv").open() as file:
        rows = [r for r in csv.DictReader(file)
                if any(part in f"{r['onnx']} {r['vnnlib']}" for part in only.split(","))]
    result: dict[str, Any] = {
        "suite": name, "limit": limit, "checked": check, "only": only, "threads": threads,
        "rows": [],
    }
    # A part of a suite has a file of its own; the page puts the parts together.
    part = re.sub(r"\W+", "-", only).strip("-")
    file_name = "_".join(p for p in ("vnncomp", name, "" if check else "search", part) if p)
    for row in rows:
        seconds = limit or float(row["timeout_s"])
        r = one(folder, row, seconds, check, threads)
        result["rows"].append(r)
        flag = "WRONG" if wrong(r) else "" if r["word"] == r["expected"] else "open"
        print(f"{r['onnx']} {r['vnnlib']} {r['word']} {r['cpu']:.2f} s CPU, "
              f"check {r['check']} {r['check_seconds']:.1f} s {flag}", flush=True)
        save(file_name, result)
    return result


def instances(name: str) -> int:
    """How many instances a suite has; 0 where the data is absent."""
    path = DATA / "vnncomp" / name / "ground_truth.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def merged(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parts of one suite, run alike, as one result; of an instance the last run counts."""
    whole: dict[Any, dict[str, Any]] = {}
    for r in results:
        into = whole.setdefault((r["suite"], r["checked"], r["limit"]), {**r, "rows": {}})
        into["rows"] |= {(x["onnx"], x["vnnlib"]): x for x in r["rows"]}
    return [{**r, "rows": list(r["rows"].values())} for r in whole.values()]


def searching(r: dict[str, Any]) -> float:
    """Seconds that an instance took but for the check.

    CPU seconds, but those of a process that was stopped are not told: where that was the checker,
    or all of it was out of time, the wall clock's count (what is waited for is the checker alone).
    """
    if (r["check"] or "valid").startswith("not"):
        return float(r["wall"] - r["check_seconds"])
    cpu = float(r["cpu"] - r["check_seconds"])
    return max(cpu, float(r["wall"] - r["check_seconds"])) if r["word"] == "timed-out" else cpu


HEADER = ["suite", "instances", "decided", "wrong",
          "median s without check (CPU; wall where time ran out)", "longest of all instances",
          "unsat with a checked certificate", "checker, of accepted certificates: median s",
          "longest", "all"]


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """One line a suite."""
    rows = result["rows"]
    spent = [searching(r) for r in rows]
    unsat = [r for r in rows if r["word"] == "unsat"]
    proved = [r for r in unsat if r["check"] == "valid"]
    decided = sum(r["word"] in ("sat", "unsat") for r in rows)
    times = [r["check_seconds"] for r in proved] or [0.0]
    return HEADER, [[
        result["suite"], len(rows), decided, sum(map(wrong, rows)), median(spent), max(spent),
        f"{len(proved)} of {len(unsat)}" if result["checked"] else "not asked",
        median(times), max(times), sum(times),
    ]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite")
    parser.add_argument("--only", default="", help="parts of file names, by commas")
    parser.add_argument("--limit", type=float, help="seconds an instance, instead of the suite's")
    parser.add_argument("--no-check", action="store_true", help="answers only, no certificates")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    result = run(args.suite, args.only, args.limit, not args.no_check, args.threads)
    print(show(*table(result)))
    return 1 if any(map(wrong, result["rows"])) else 0


if __name__ == "__main__":
    raise SystemExit(main())
