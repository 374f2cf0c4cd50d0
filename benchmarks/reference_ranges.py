"""All published component ranges of ../shared/data/reference, computed again.

    python -m benchmarks.reference_ranges --document docs/reference-ranges.md

For two ReLU networks and two radii each: the exact range of every component of a logit's gradient
over an l-inf ball. `--by` picks how: "highs" (one MILP an end on plain interval bounds), "search"
or "default". The difference to the published value is printed for every end that is off by more
than 1e-6, and decided by region enumeration in exact arithmetic where the network is small.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from verifex.engine.ranges import find_range
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import RangeEnd
from verifex.frontend.onnx.read import load
from verifex.ir.formula import TRUE, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import gather
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.vjp import gradients
from verifex.settings import Settings
from verifex.solvers.regions import optimum

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "reference"
NETWORKS = ("mlp5_32_32_2", "mlp20_50_50_2")
TOLERANCE = 1e-6


@dataclass(frozen=True)
class End:
    """One end of one component's range, beside the published one; `exact` where enumerated."""

    network: str
    eps: str
    component: int
    side: str
    end: RangeEnd
    published: float
    seconds: float
    exact: float | None = None

    @property
    def off(self) -> float:
        """How far the bound is from the published one; infinite without a bound."""
        claimed = self.end.claimed
        return float("inf") if claimed is None else claimed - self.published

    @property
    def equal(self) -> bool:
        return abs(self.off) <= TOLERANCE


def question(network: str, eps: str, data: dict[str, Any]) -> tuple[Problem, int]:
    """The gradient of the logit over the ball (not clipped), and its node."""
    graph = load(DATA / f"{network}.onnx")
    b = Builder(graph)
    (output,) = graph.outputs.values()
    logit = b.affine(gather(b.shape(output), np.array([data["output"]])), output)
    (gradient,) = gradients(b, logit, graph.inputs)
    centre, radius = [Fraction(v) for v in data["center"]], Fraction(eps)
    region = Region(tuple(v - radius for v in centre), tuple(v + radius for v in centre))
    return Problem(b.build({"A": gradient}), region, TRUE, point=tuple(centre)), gradient


def run(options: Settings, wanted: Sequence[str]) -> Iterator[End]:
    """Every end of every component, in order."""
    with SolverPool() as pool:
        for network in NETWORKS:
            data = json.loads((DATA / f"{network}.json").read_text())
            for eps, ranges in data["ranges"].items():
                if wanted and f"{network}:{eps}" not in wanted:
                    continue
                problem, node = question(network, eps, data)
                for k in range(len(ranges["lower"])):
                    form, started = Form.of({(node, k): 1}), time.monotonic()
                    found = find_range(problem, form, options, pool)
                    seconds = time.monotonic() - started
                    for side, end in (("lower", found.low), ("upper", found.high)):
                        one = End(network, eps, k, side, end, ranges[side][k], seconds)
                        yield one if one.equal else enumerated(one, problem, form)


def enumerated(e: End, problem: Problem, form: Form) -> End:
    """The same end with what region enumeration says, if it ends within a minute."""
    answer = optimum(problem, Objective(form, e.side == "upper"), 60.0)
    exact = None if answer.bound is None else float(answer.bound)
    return End(e.network, e.eps, e.component, e.side, e.end, e.published, e.seconds, exact)


# --- the page -------------------------------------------------------------------------------


def table(ends: Sequence[End]) -> list[str]:
    lines = [
        "| network | eps | components | ends equal to 1e-6 | largest difference of these "
        "| ends attained | seconds a component (mean, longest) |",
        "|---|---|---|---|---|---|---|",
    ]
    for network, eps in dict.fromkeys((e.network, e.eps) for e in ends):
        part = [e for e in ends if (e.network, e.eps) == (network, eps)]
        times = [e.seconds for e in part if e.side == "lower"]
        equal = [e for e in part if e.equal]
        attained = [e for e in part if e.end.gap is not None and e.end.gap <= TOLERANCE]
        most = max((abs(e.off) for e in equal), default=0.0)
        lines.append(
            f"| {network} | {eps} | {len(times)} | {len(equal)} of {len(part)} | {most:.1e} | "
            f"{len(attained)} | {sum(times) / len(times):.2f}, {max(times):.2f} |"
        )
    return lines


def differences(ends: Sequence[End]) -> list[str]:
    lines = []
    for e in ends:
        if not e.equal:
            exact = "not enumerated" if e.exact is None else f"exact enumeration {e.exact!r}"
            lines.append(
                f"* {e.network}, eps {e.eps}, component {e.component}, {e.side}: "
                f"{e.end.claimed!r}, published {e.published!r} ({exact})"
            )
    return lines or ["* none"]


def page(ends: Sequence[End], command: str) -> str:
    return "\n".join([
        "# Ranges of gradient components against published ones", "",
        "Written by the command below; every number is what it printed.", "",
        f"    {command}", "", *table(ends), "", "Ends that differ from the published ones:", "",
        *differences(ends),
    ]) + "\n"


def right(e: End) -> bool:
    """Equal to the published end, or to exact enumeration where that says otherwise."""
    claimed = e.end.claimed
    return e.equal or (
        e.exact is not None and claimed is not None and abs(claimed - e.exact) <= TOLERANCE
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by", choices=("default", "search", "highs"), default="default")
    parser.add_argument("--only", default="", help="network:eps, separated by commas")
    parser.add_argument("--seconds", type=float, default=600.0, help="for one component")
    parser.add_argument("--document", default="", help="write the page here")
    args = parser.parse_args(argv)
    if not DATA.is_dir():
        print(f"needs the data in {os.path.relpath(DATA, ROOT)}", file=sys.stderr)
        return 66
    options = Settings(seconds=args.seconds)
    if args.by != "default":
        solvers = () if args.by == "search" else (args.by,)
        options = Settings(seconds=args.seconds, solvers=solvers, search=args.by == "search")
    ends = []
    for e in run(options, [w for w in args.only.split(",") if w]):
        ends.append(e)
        print(f"{e.network} {e.eps} {e.component} {e.side}: {e.end.claimed!r} "
              f"(published {e.published!r}) {e.seconds:.2f} s", flush=True)
    command = " ".join(["python -m benchmarks.reference_ranges", *(argv or sys.argv[1:])])
    text = page(ends, command)
    print(text)
    if args.document:
        Path(args.document).write_text(text)
    return 0 if all(map(right, ends)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
