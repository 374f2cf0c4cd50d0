"""Single questions that one engine decides and another does not: all engines beside each alone.

    python -m benchmarks.hard_cases [--cases ../shared/cases] [--only zero,safe] [--document PAGE]

Every run is a command line in a process of its own, one thread, without the check of certificates;
wall seconds. A target is met within its seconds, or within three times the best single engine of
the same run. A folder that is absent is named and left out. The exit code is 1 where an answer
contradicts what is known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, save, show
from benchmarks.vnncomp_suite import timed
from verifex.settings import ENGINES

TITLE = "Hard cases: all engines beside each alone"

CASES = Path(os.environ.get("VERIFEX_CASES", ROOT.parent / "shared" / "cases"))

TOGETHER = ("auto", "search")
"""Engines that are several: what they are made of runs alone."""

TIMES_BEST = 3.0

_SAME = 1e-6
"""What a known end of a range may be off by."""

DECIDED = {"proved": "holds", "claimed": "holds", "refuted": "broken"}


@dataclass(frozen=True)
class HardCase:
    """One question: the files of its folder, the answer that is known ("holds", "broken", or
    "closed" for a range with its known upper end), and the seconds that are aimed at."""

    name: str
    folder: str
    files: tuple[str, ...]
    expected: str
    target: float
    ends: float | None = None

    def folder_in(self, cases: Path) -> Path:
        """Where its files are: what ships with the project needs no cases."""
        return ROOT / self.folder if self.folder == "examples" else cases / self.folder

    def command(self, cases: Path, limit: float, engine: str) -> list[str]:
        """The command line that asks it."""
        what = ["bound", "-e", "norm:l1"] if self.ends is not None else ["verify"]
        paths = [str(self.folder_in(cases) / name) for name in self.files]
        return [sys.executable, "-m", "verifex", what[0], *paths, *what[1:], "--json", "--no-check",
                "-t", f"{limit}s", "--engine", engine]


QUESTIONS = (
    HardCase("mono_g", "monotone-by-two-copies", ("two.onnx", "mono_g.vnnlib"), "holds", 2),
    HardCase("mono_u", "monotone-by-two-copies", ("two.onnx", "mono_u.vnnlib"), "holds", 12),
    HardCase("zero", "many-input-ranges", ("dub.onnx", "zero.vnnlib"), "holds", 12),
    HardCase("safe", "many-input-ranges", ("idx.onnx", "safe.vnnlib"), "holds", 20),
    HardCase("step, below", "large-and-small-coefficients", ("step.onnx", "a_neg.vnnlib"),
             "holds", 3),
    HardCase("step, above", "large-and-small-coefficients", ("step.onnx", "a_over.vnnlib"),
             "holds", 3),
    HardCase("linear-rows", "linear-rows", ("n.onnx", "row_tie.toml"), "holds", 1),
    HardCase("L1 norm", "highs-wrong-optimum", ("spec.toml",), "closed", 20, ends=0.6763845),
    HardCase("README", "examples", ("breast_cancer.onnx", "top3_stable.toml"), "holds", 1),
)


def answer(case: HardCase, text: str) -> str:
    """What a command's JSON says: "holds", "broken", "closed", "wrong range", or why not."""
    try:
        said: dict[str, Any] = json.loads(text)
    except ValueError:
        return "error"
    if case.ends is None:
        return DECIDED.get(said["outcome"], str(said["outcome"]))
    (found,) = said["ranges"]
    end = found["high"]
    attained = float(end["attained"] or 0.0)
    bound = float(end["proven"] if end["claimed"] is None else end["claimed"])
    if bound < case.ends - _SAME or attained > case.ends + _SAME:
        return "wrong range"
    return "closed" if end["closed"] else "open"


def measured(case: HardCase, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Every engine's answer and wall seconds."""
    found = {}
    for engine in ("auto", *(e for e in ENGINES if e not in TOGETHER)):
        out, err, wall, cpu = timed(case.command(args.cases, args.limit, engine), args.limit)
        found[engine] = {"answer": answer(case, out), "wall": wall, "cpu": cpu}
        if found[engine]["answer"] == "error":
            found[engine]["said"] = (err.strip().splitlines() or [""])[-1]
    return found


def wrong(case: HardCase, said: str) -> bool:
    """Whether an answer contradicts what is known."""
    return said == "wrong range" or {said, case.expected} == {"holds", "broken"}


def verdict(case: HardCase, engines: dict[str, dict[str, Any]]) -> tuple[str, bool]:
    """The best single engine with its seconds, and whether the target is met."""
    alone = {e: r["wall"] for e, r in engines.items()
             if e != "auto" and r["answer"] == case.expected}
    best = min(alone, key=lambda e: alone[e], default="")
    ours, within = engines["auto"], max(case.target, TIMES_BEST * alone.get(best, 0.0))
    ok = ours["answer"] == case.expected and ours["wall"] <= within
    return (f"{best} {alone[best]:.2f}" if best else "none"), ok


def table(result: dict[str, Any]) -> str:
    """One line a question."""
    names = [e for e in ("auto", *ENGINES) if e not in TOGETHER or e == "auto"]
    names = list(dict.fromkeys(names))
    rows = []
    for case in QUESTIONS:
        engines = result["rows"].get(case.name)
        if engines is None:
            continue
        best, ok = verdict(case, engines)
        cells = [f"{r['wall']:.2f}" if r["answer"] == case.expected else r["answer"]
                 for r in (engines[e] for e in names)]
        rows.append([case.name, f"{case.target:g}", *cells, best, "met" if ok else "missed"])
    return show(["question", "target s", *names, "best alone", "target"], rows)


def page_section(result: dict[str, Any]) -> str:
    """The section of docs/benchmarks.md."""
    left = "".join(f"\n\nNot run, for `{name}` is absent." for name in result["absent"])
    return (f"`python -m benchmarks.hard_cases`: wall seconds of whole command lines, one thread,\n"
            f"{result['limit']:g} s each; where a question is not decided, what was said instead. A"
            f" target is met within\nits seconds or {TIMES_BEST:g} times the best engine alone."
            f"\n\n{table(result)}{left}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, default=CASES, help="the folder of the questions")
    parser.add_argument("--only", default="", help="names of questions, by commas")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a run")
    parser.add_argument("--document", type=Path, help="put the section into this page")
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "rows": {}, "absent": []}
    faults = 0
    for case in QUESTIONS:
        if args.only and case.name not in args.only.split(","):
            continue
        if not case.folder_in(args.cases).is_dir():
            print(f"SKIPPED {case.name}: no folder {case.folder_in(args.cases)}", flush=True)
            result["absent"].append(case.folder)
            continue
        engines = result["rows"][case.name] = measured(case, args)
        faults += sum(wrong(case, r["answer"]) for r in engines.values())
        print(case.name, ", ".join(
            f"{e} {r['answer']} {r['wall']:.2f}" for e, r in engines.items()), flush=True)
        save("hard_cases", result)
    print(table(result))
    if args.document is not None:
        from tests.helpers.document import section

        section(args.document, TITLE, page_section(result))
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
