"""The portfolio against the best single engine of each question.

    python -m benchmarks.portfolio [--questions 100] [--seconds 60] [--write]

Random networks of several kinds (dense nets with few inputs, wide and narrow; gradients of small
ones) with claims on outputs and gradients near their worst case, the same for the same seed. Each
question is asked of every engine alone and of the portfolio, without a certificate, in one process;
only those count for which the best engine alone needs over a second. With --write the figures
replace the section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from verifex.engine.decide import decide
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients
from verifex.settings import Settings

ALONE = {
    "inputs": Settings(engine="inputs"), "gates": Settings(engine="gates"),
    "programs": Settings(engine="programs"), "milp": Settings(engine="milp", attack=False),
    "smt": Settings(engine="smt", attack=False),
}
PORTFOLIO = "auto"
KINDS = ((2, (24, 24)), (4, (16, 16)), (6, (20, 20)), (8, (12, 12)), (12, (24,)), (5, (10, 10, 10)))
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- portfolio -->", "<!-- /portfolio -->"


@dataclass(frozen=True)
class Row:
    """One question: seconds by engine, infinite where it was left open."""

    seed: int
    seconds: dict[str, float]

    @property
    def best(self) -> str:
        return min(ALONE, key=lambda name: self.seconds[name])

    @property
    def ratio(self) -> float:
        """Of the portfolio's time to that of the best engine alone."""
        return self.seconds[PORTFOLIO] / self.seconds[self.best]


def question(seed: int) -> Problem:
    """A claim that an output, or a component of its gradient, stays above a threshold, which lies
    beside the least value that samples attain."""
    rng = np.random.default_rng(seed)
    inputs, hidden = KINDS[seed % len(KINDS)]
    b = Builder()
    x = b.input("x", (inputs,))
    last = x
    for rows, columns in itertools.pairwise((inputs, *hidden, 1)):
        weight = rng.normal(size=(columns, rows)) / math.sqrt(rows)
        last = b.affine(dense(weight), last, bias=rng.normal(size=columns) / 4)
        last = last if columns == 1 else b.relu(last)
    target = last
    if seed % 3 == 2:
        (target,) = gradients(b, last, [x])
    graph = b.build({"y": target})
    region = Region((Fraction(-1),) * inputs, (Fraction(1),) * inputs)
    points = rng.uniform(-1, 1, size=(50_000, inputs))
    values = evaluate_float(graph, points, [target])[target].reshape(len(points), -1)[:, 0]
    slack = float(rng.choice([-0.02, 0.02, 0.05, 0.1])) * float(np.ptp(values))
    least = Fraction(slack - float(values.min()))
    return Problem(graph, region, Atom(Form.of({(target, 0): 1}, least)), name=f"random {seed}")


def timed(problem: Problem, settings: Settings, seconds: float, pool: SolverPool) -> float:
    """Seconds that an answer took, infinite where there is none."""
    started = time.perf_counter()
    asked = replace(settings, seconds=seconds, check=False)
    outcome = decide(problem, asked, pool).outcome
    passed = time.perf_counter() - started
    return math.inf if outcome is Outcome.UNKNOWN else passed


def measured(count: int, seconds: float, least: float) -> list[Row]:
    """Rows of so many questions that the best engine needs more than `least` seconds for."""
    rows: list[Row] = []
    with SolverPool() as pool:
        decide(question(0), Settings(engine="gates", seconds=1.0, check=False), pool)  # loads torch
        for seed in itertools.count():
            if len(rows) == count:
                return rows
            problem = question(seed)
            found = {n: timed(problem, s, seconds, pool) for n, s in ALONE.items()}
            if not least < min(found.values()) < math.inf:
                continue
            found[PORTFOLIO] = timed(problem, Settings(), seconds, pool)
            rows.append(Row(seed, found))
            told = ", ".join(f"{n} {s:.2f}" for n, s in found.items())
            print(f"{seed}: {told} (ratio {rows[-1].ratio:.2f})", flush=True)
    return rows


def section(rows: list[Row], seconds: float) -> str:
    """The figures as they stand in docs/benchmarks.md."""
    ratios = np.array([row.ratio for row in rows])
    wins = Counter(row.best for row in rows)
    share = ", ".join(f"{n} {wins[n]}" for n in ALONE)
    # Infinite ratios are sorted last, so that a percentile may be infinite too.
    middle, high = (float(np.sort(ratios)[min(len(ratios) - 1, int(q * len(ratios)))])
                    for q in (0.5, 0.95))
    return (
        f"{len(rows)} random questions for which the best engine alone needs over a second, "
        f"{seconds:g} s each, one thread. The portfolio's time over that of the best engine of "
        f"each: median {middle:.2f}, 95th percentile {high:.2f}; left open by the portfolio "
        f"alone: {int(np.isinf(ratios).sum())}. The best engine was: {share}.\n")


def main() -> None:
    """Measure, print, and with --write put the section into the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--least", type=float, default=1.0)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = section(measured(given.questions, given.seconds, given.least), given.seconds)
    print(text)
    if given.write:
        document = DOCS.read_text(encoding="utf-8")
        if BEGIN not in document:
            document += f"\n## The portfolio against single engines\n\n{BEGIN}\n{END}\n"
        before, _, rest = document.partition(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
