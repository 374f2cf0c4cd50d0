"""Top-3 stability of the gradient for 100 Adult rows at eps .02, against the MILP on our bounds.

    python -m benchmarks.adult_top3 --rows 100

Do the three features with the largest |gradient| of the predicted class stay the three largest
when the continuous ones move by at most eps, clipped to [0, 1], with the categorical ones
frozen? Ours is `decide` with the search and no other solver; (b) takes our root bounds and, for
what they leave open, one MILP that maximises the margin of the violation. CPU seconds, one
thread; (b) takes every k-th row if --every says so.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from statistics import median
from typing import Any

from benchmarks.bench import DATA as SHARED
from benchmarks.bench import root_of, save, show
from verifex.engine.decide import decide
from verifex.engine.solve.pool import SolverPool
from verifex.errors import InputError
from verifex.frontend.onnx.read import load
from verifex.ir.formula import FALSE, negate, simplify
from verifex.ir.model.solving import SolveLimits
from verifex.ir.problem import Problem
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.builders import data, explain, linf, top_k
from verifex.problem.spec.model import Spec
from verifex.semantics.claim import ask
from verifex.settings import Settings

DATA = SHARED / "attribution_models" / "openxai"
FILE = "data/adult-test.csv.gz"


def categorical() -> tuple[str, ...]:
    """The features that take no other values than 0 and 1."""
    with gzip.open(DATA / FILE, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    columns = zip(header, zip(*rows, strict=True), strict=True)
    return tuple(n for n, column in columns if n != "income" and set(column) <= {"0", "1"})


def spec_for(row: int, frozen: tuple[str, ...]) -> Spec:
    """The question about one row."""
    return Spec(
        input=data(FILE, row, target="income", minmax_of=FILE),
        region=linf("0.02", clip=("0", "1"), freeze=frozen),
        explain=explain("gradient", output="predicted", reduce="abs"), require=(top_k(3),),
    )


def by_milp(problem: Problem, seconds: float) -> tuple[str, float]:
    """Root bounds, then one MILP that maximises the margin of the violation."""
    from verifex.solvers.highs import Highs

    started = time.process_time()
    root, _ = root_of(problem, seconds)
    low, high = root.ends
    if simplify(negate(problem.require), low, high) == FALSE:
        return "stable", time.process_time() - started
    question = ask(problem, (low, high), products=False, margin=True)
    answer = Highs().solve(question.model, SolveLimits(seconds, 4 << 30, 1))
    if answer.bound is not None and float(answer.bound) < -1e-6:
        return "stable", time.process_time() - started
    if answer.objective is not None and float(answer.objective) > 1e-6:
        return "refuted", time.process_time() - started
    return "open", time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--every", type=int, default=1, help="(b) takes every k-th row")
    parser.add_argument("--limit", type=float, default=60.0)
    args = parser.parse_args()
    graph = load(DATA / "onnx" / "adult_ann.onnx")
    frozen = categorical()
    rows: list[dict[str, Any]] = []
    with SolverPool() as pool:
        for row in range(args.rows):
            spec = spec_for(row, frozen)
            try:
                problem = build_problem(graph, spec, DATA)
            except InputError as error:
                rows.append({"row": row, "verdict": "not well posed", "reason": str(error)})
                continue
            started = time.process_time()
            verdict = decide(problem, Settings(seconds=args.limit, solvers=()), pool)
            took = time.process_time() - started
            entry: dict[str, Any] = {
                "row": row, "verdict": verdict.outcome.value, "seconds": took,
            }
            if row % args.every == 0:
                entry["b"], entry["b_seconds"] = by_milp(problem, args.limit)
            rows.append(entry)
            print(entry, flush=True)
    result = {"rows": rows, "every": args.every, "limit": args.limit}
    save("adult_top3", result)
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    asked = [r for r in result["rows"] if "seconds" in r]
    both = [r for r in asked if "b_seconds" in r]
    ours, theirs = sum(r["seconds"] for r in both), sum(r["b_seconds"] for r in both)
    opened = sum(r["verdict"] == "unknown" for r in asked)
    return ["rows", "stable", "refuted", "open", "median s", "longest s", "total s",
            "compared rows", "(b) total s", "(b) open", "(b) / ours", "contradictions"], [[
        len(asked), sum(r["verdict"] in ("claimed", "proved") for r in asked),
        sum(r["verdict"] == "refuted" for r in asked), opened,
        median(r["seconds"] for r in asked), max(r["seconds"] for r in asked),
        sum(r["seconds"] for r in asked), len(both), theirs,
        sum(r["b"] == "open" for r in both), theirs / ours,
        sum((r["b"] == "stable") != (r["verdict"] in ("claimed", "proved"))
            for r in both if r["b"] != "open" and r["verdict"] != "unknown"),
    ]]


if __name__ == "__main__":
    main()
