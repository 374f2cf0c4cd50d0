"""Top-3 stability of explanations on two trained credit networks: the table in docs.

    python -m benchmarks.adult_german --document docs/explanations-openxai.md

The networks are the ANNs for Adult and German credit in ../shared/data (see its README). For the
first rows of each min-max scaled test split: do the three features with the largest |gradient| (or
|input * gradient|) of the predicted class stay the three largest when every continuous feature
moves by at most eps, clipped to [0, 1], with the categorical ones frozen?
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from verifex.api import verify
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "attribution_models" / "openxai"
TARGETS = {"adult": "income", "german": "credit-risk"}
ATTRIBUTIONS = ("gradient", "input_x_gradient")
RADII = ("0.01", "0.05", "0.1")


@dataclass(frozen=True)
class Row:
    """One question: where it is from, and its verdict (None with a reason: not well posed)."""

    dataset: str
    attribution: str
    eps: str
    row: int
    verdict: Verdict | None
    reason: str = ""

    @property
    def letter(self) -> str:
        """P proved, C claimed, R refuted, U unknown, - not well posed (a tie at the reference)."""
        return "-" if self.verdict is None else self.verdict.outcome.value[0].upper()


def categorical(path: Path, target: str) -> list[str]:
    """The features of a CSV file that take no other values than 0 and 1."""
    with gzip.open(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    columns = zip(*rows, strict=True)
    return [
        name for name, column in zip(header, columns, strict=True)
        if name != target and set(column) <= {"0", "1"}
    ]


def spec_text(dataset: str, attribution: str, eps: str, row: int, frozen: Sequence[str]) -> str:
    """The spec file of the question about one row."""
    file = json.dumps(str(DATA / "data" / f"{dataset}-test.csv.gz"))
    return f"""verifex = 1
name = "{dataset} row {row}, {attribution}, eps {eps}"
[input]
data = {file}
row = {row}
target = "{TARGETS[dataset]}"
minmax_of = {file}
[region]
linf = {eps}
clip = [0, 1]
freeze = {json.dumps(list(frozen))}
[explain]
attribution = "{attribution}"
output = "predicted"
reduce = "abs"
[[require]]
top_k = 3
"""


def ask(
    network: Path, spec: Path, seconds: float, pool: SolverPool
) -> tuple[Verdict | None, str]:
    """The verdict, its certificate checked, or why the question is not well posed."""
    try:
        return verify(network, spec, seconds=seconds, pool=pool), ""
    except InputError as error:
        return None, str(error)


def run(datasets: Sequence[str], count: int, seconds: float, folder: Path) -> Iterator[Row]:
    """Decide every question, one after the other, with one set of solver processes."""
    with SolverPool() as pool:
        for dataset in datasets:
            network = DATA / "onnx" / f"{dataset}_ann.onnx"
            frozen = categorical(DATA / "data" / f"{dataset}-test.csv.gz", TARGETS[dataset])
            for attribution in ATTRIBUTIONS:
                for eps in RADII:
                    for row in range(count):
                        spec = folder / f"{dataset}-{attribution}-{eps}-{row}.toml"
                        spec.write_text(spec_text(dataset, attribution, eps, row, frozen))
                        verdict, reason = ask(network, spec, seconds, pool)
                        yield Row(dataset, attribution, eps, row, verdict, reason)


# --- the page -------------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> list[str]:
    """One line a setting: counts, times, and the verdict of every row as a letter."""
    lines = [
        "| network | attribution | eps | proved | claimed | refuted | unknown | not well posed "
        "| median s | longest s | row by row |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    settings = dict.fromkeys((r.dataset, r.attribution, r.eps) for r in rows)
    for setting in settings:
        part = [r for r in rows if (r.dataset, r.attribution, r.eps) == setting]
        count = Counter(r.letter for r in part)
        times = [r.verdict.seconds for r in part if r.verdict is not None] or [0.0]
        cells = [
            *setting, count["P"], count["C"], count["R"], count["U"], count["-"],
            f"{median(times):.2f}", f"{max(times):.2f}", "".join(r.letter for r in part),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def open_rows(rows: Sequence[Row]) -> list[str]:
    """What is known of every question that was left open, and why questions were not put."""
    lines = []
    for r in rows:
        at = f"{r.dataset}, {r.attribution}, eps {r.eps}, row {r.row}"
        if r.verdict is None:
            lines.append(f"* {at}: {r.reason}")
        elif r.verdict.outcome is Outcome.UNKNOWN:
            lines.append(f"* {at}: {r.verdict.reason}; worst margin {worst(r.verdict)}")
    return lines


def worst(v: Verdict) -> str:
    """The range that the worst margin lies in."""
    low = v.margin_claimed if v.margin_claimed is not None else v.margin_low
    a, b = ("?" if x is None else f"{float(x):.4g}" for x in (low, v.margin_high))
    return f"in [{a}, {b}]" + (" (lower end claimed)" if v.margin_claimed is not None else "")


def page(rows: Sequence[Row], command: str, seconds: float, elapsed: float) -> str:
    """The document: what was asked, the table, and what was left open."""
    stages = Counter(
        r.verdict.evidence[0].source for r in rows
        if r.verdict is not None and r.verdict.evidence
    )
    left = open_rows(rows)
    by = ", ".join(f"{name} {count}" for name, count in stages.most_common())
    return "\n".join([
        "# Stability of explanations on Adult and German credit", "",
        "Written by the command below; every number is what it printed.", "",
        f"    {command}", "",
        "For the first rows of the min-max scaled test split: do the three features with the",
        "largest |attribution| of the predicted class stay the three largest, for every input",
        "whose continuous features are within eps (clipped to [0, 1]) and whose categorical ones",
        "are left alone? A tie counts as a change. P proved (the checker accepts a certificate),",
        "C claimed (by bounds or a solver alone), R refuted (by a point replayed in exact",
        "arithmetic), U unknown, - not well posed (a tie at the reference itself). Seconds are",
        "those of the whole question, certificate and check included.", "",
        *table(rows), "",
        f"Limit {seconds:g} s a question; {elapsed:.0f} s in all, one thread, Python "
        f"{platform.python_version()}.", f"What decided: {by}.", "",
        *(["## Left open", "", *left] if left else ["Nothing was left open."]),
    ]) + "\n"


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {"dataset": r.dataset, "attribution": r.attribution, "eps": r.eps, "row": r.row,
         "reason": r.reason, "verdict": None if r.verdict is None else r.verdict.to_json()}
        for r in rows
    ]


def shown(r: Row) -> Row:
    """The row, after a line about it."""
    took = 0.0 if r.verdict is None else r.verdict.seconds
    at = f"{r.dataset} {r.attribution} {r.eps} row {r.row}"
    print(f"{at}: {r.letter} {took:.2f} s", flush=True)
    return r


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", default="adult,german")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="for one question")
    parser.add_argument("--document", default="", help="write the page here")
    parser.add_argument("--json", default="build/adult_german.json", help="every verdict")
    args = parser.parse_args(argv)
    if not DATA.is_dir():
        print(f"needs the data in {os.path.relpath(DATA, ROOT)}", file=sys.stderr)
        return 66
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        asked = run(args.datasets.split(","), args.rows, args.seconds, Path(folder))
        rows = list(map(shown, asked))
    command = " ".join(["python -m benchmarks.adult_german", *(argv or sys.argv[1:])])
    text = page(rows, command, args.seconds, time.monotonic() - started)
    print(text)
    Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    Path(args.json).write_text(json.dumps(to_json(rows)) + "\n")
    if args.document:
        Path(args.document).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
