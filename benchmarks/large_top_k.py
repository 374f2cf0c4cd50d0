"""Top-k claims with thousands of comparisons: does the set of largest gradient components stay?

    python -m benchmarks.large_top_k --document docs/benchmarks.md

Top-20 of 300 and top-100 of 784 components of the gradient, on networks with random weights and on
one trained here for a few seconds on made-up data, over boxes of several radii; all of them shall
stay, or nearly all. A claim of top-k of n is k (n - k) comparisons: 5,600 and 68,400. Every case
runs in a process of its own, so that its peak memory is its own. Seconds are wall seconds of one
thread; the margin is the least lead that the claim leaves: proven from below by interval bounds,
bounded from below by the search in floating point, and attained from above at a replayed point.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench import save, show
from tests.helpers.document import section
from verifex.ir.formula import Dominance
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients

Weights = list[tuple[np.ndarray, np.ndarray]]
TITLE = "Large top-k claims"
LARGEST = 2 << 30
"""Bytes that no case may pass."""


@dataclass(frozen=True)
class Case:
    """One claim: the network by name, its inputs, how many components lead, how many of these
    have to stay among the leading ones, and the radius."""

    network: str
    inputs: int
    k: int
    stay: int
    radius: str

    @property
    def comparisons(self) -> int:
        return self.k * (self.inputs - self.k)


RADII = {
    ("random", 300, 20, 20): ("1e-6", "1e-4", "2e-4", "1e-3"),
    ("random", 300, 20, 18): ("5e-4", "1e-3", "2e-3"),
    ("random", 784, 100, 100): ("1e-6", "1e-4", "2e-4", "1e-3"),
    ("random", 784, 100, 90): ("1e-3", "2e-3"),
    ("trained", 784, 100, 100): ("1e-6", "1e-4", "3e-4", "1e-3"),
    ("trained", 784, 100, 80): ("1e-3", "3e-3"),
}
CASES = [Case(*claim, radius) for claim, radii in RADII.items() for radius in radii]


def random_weights(widths: tuple[int, ...], seed: int) -> Weights:
    """He initialisation, in float32 as a file would hold it."""
    rng = np.random.default_rng(seed)
    out = []
    for m, n in itertools.pairwise(widths):
        w = rng.normal(size=(n, m)) * np.sqrt(2 / m)
        out.append((w.astype(np.float32), (rng.normal(size=n) / 10).astype(np.float32)))
    return out


def trained_weights(widths: tuple[int, ...], seed: int) -> Weights:
    """Trained to tell apart blurred blobs at ten places of a square image."""
    import torch

    torch.manual_seed(seed)
    side = int(np.sqrt(widths[0]))
    grid = torch.stack(torch.meshgrid(*[torch.linspace(0, 1, side)] * 2, indexing="ij"), -1)
    centres = torch.rand(widths[-1], 2)
    layers: list[torch.nn.Module] = []
    for m, n in itertools.pairwise(widths):
        layers += [torch.nn.Linear(m, n), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(300):
        label = torch.randint(widths[-1], (128,))
        centre = centres[label] + 0.05 * torch.randn(128, 2)
        away = ((grid.reshape(1, -1, 2) - centre[:, None]) ** 2).sum(-1)
        x = torch.exp(-20 * away) + 0.1 * torch.randn(128, widths[0])
        loss = torch.nn.functional.cross_entropy(net(x), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    linear = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in linear]


def problem_of(case: Case) -> Problem:
    """The claim that the k components which lead at the centre of the box lead all over it."""
    widths = (case.inputs, 32, 32, 10)
    weights = (trained_weights if case.network == "trained" else random_weights)(widths, 1)
    b = Builder()
    x = h = b.input("x", (case.inputs,))
    for at, (w, bias) in enumerate(weights):
        h = b.affine(dense(w.astype(np.float64)), b.relu(h) if at else h, bias.astype(np.float64))
    first = np.zeros((1, widths[-1]))
    first[0, 0] = 1.0
    (gradient,) = gradients(b, b.affine(dense(first), h), [x])
    graph = b.build({"gradient": gradient})
    centre = [Fraction(int(v), 64) for v in np.random.default_rng(2).integers(-64, 65, case.inputs)]
    at_centre = np.array([[float(v) for v in centre]])
    order = np.argsort(-evaluate_float(graph, at_centre, [gradient])[gradient].reshape(-1))
    inside, outside = sorted(order[: case.k].tolist()), sorted(order[case.k :].tolist())
    beaten = len(outside) - (case.k - case.stay)  # see metrics/topk.py
    claim = Dominance(gradient, tuple(inside), tuple(outside), case.stay, beaten)
    radius = Fraction(case.radius)
    region = Region(tuple(c - radius for c in centre), tuple(c + radius for c in centre))
    return Problem(graph, region, claim, point=tuple(centre))


def decided(case: Case, limit: float) -> dict[str, Any]:
    """Decide one case in this process."""
    from verifex.engine.decide import decide
    from verifex.engine.verdict import Outcome
    from verifex.engine.watch import Watch
    from verifex.settings import Settings

    problem = problem_of(case)
    bounds = list[float | None]()

    def log(record: dict[str, Any]) -> None:
        if record["event"] == "search":
            bounds.append(record["bound"])

    started = time.monotonic()
    verdict = decide(problem, Settings(seconds=limit, engine="search"), watch=Watch(log))
    seconds = time.monotonic() - started
    lower = bounds[-1] if bounds and verdict.outcome is Outcome.UNKNOWN else None
    return {
        "verdict": verdict.outcome.value, "seconds": seconds,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "proven": None if verdict.margin_low is None else float(verdict.margin_low),
        "searched": lower,
        "attained": None if verdict.margin_high is None else float(verdict.margin_high),
        "reason": verdict.reason,
    }


def apart(number: int, limit: float) -> dict[str, Any]:
    """Decide one case in a process of its own."""
    case = ["--case", str(number), "--limit", str(limit)]
    command = [sys.executable, "-m", "benchmarks.large_top_k", *case]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def page_section(record: dict[str, Any]) -> list[str]:
    """The lines of the section, from what was recorded."""
    return [INTRODUCTION.format(limit=record["limit"]), "", table(record["rows"])]


def table(rows: list[dict[str, Any]]) -> str:
    """The results as a table in Markdown."""

    header = ["network", "claim", "comparisons", "radius", "verdict", "seconds", "peak MB",
              "margin proven", "margin searched", "margin attained"]
    return show(header, [[
        r["network"], f"{r['stay']} of top-{r['k']} of {r['inputs']}", r["comparisons"],
        r["radius"],
        r["verdict"], f"{r['seconds']:.1f}", f"{r['peak'] / 1e6:.0f}",
        *("-" if r[key] is None else f"{r[key]:.3g}" for key in ("proven", "searched", "attained")),
    ] for r in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a case")
    parser.add_argument("--case", type=int, help="decide only this case, here")
    parser.add_argument("--document", type=Path, help="put the section into this page")
    asked = parser.parse_args()
    if asked.case is not None:
        print(json.dumps(decided(CASES[asked.case], asked.limit)))
        return
    rows = []
    for number, case in enumerate(CASES):
        rows.append({**vars(case), "comparisons": case.comparisons, **apart(number, asked.limit)})
        print(rows[-1], flush=True)
    record = {"rows": rows, "limit": asked.limit}
    save("large_top_k", record)
    print(table(rows))
    if over := [r for r in rows if r["peak"] > LARGEST]:
        raise SystemExit(f"{len(over)} cases took more than {LARGEST >> 30} GB")
    if asked.document is not None:
        section(asked.document, TITLE, "\n".join(page_section(record)))


INTRODUCTION = """Printed by `python -m benchmarks.large_top_k --document docs/benchmarks.md`:
networks of two hidden layers of 32, {limit:g} seconds a case on one thread, no solver beside the
search. `claimed` is what a certificate would be written for; the margin is the least lead of a
component inside over one outside, in units of the gradient: at least `proven` by interval bounds,
at least `searched` as far as the search's floats tell, at most `attained` at a replayed point."""

if __name__ == "__main__":
    main()
