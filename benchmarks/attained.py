"""Whether what is attained meets what is bounded, on every range that the search closes.

    python -m benchmarks.attained --document docs/benchmarks.md

Ranges of gradient components and of the gradient's l1 norm: the reference networks of
../shared/data (every `--every`-th component), random networks 20-50-50-2 and 20-100-100-2 (torch's
initialisation, seeds from 0), and tabular networks: that of examples/, and the credit networks.
A family whose data is not here is named as left out. The search alone, one thread; bounds are its
own, nothing is checked. A range counts as closed by the search where no time ran out. The script
fails where an end of such a range is not attained to 1e-6 of the range's size, on or off kinks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.bench import ball, components, l1_norm, random_network, show
from benchmarks.reference_ranges import DATA, NETWORKS, question
from tests.helpers.credit_tables import TARGETS, CreditTable
from tests.helpers.document import section
from verifex.engine.budget import Budget
from verifex.engine.falsify.attack import Attack
from verifex.engine.falsify.points import Samples
from verifex.engine.findings.reasons import ReasonKind
from verifex.engine.ranges import find_range
from verifex.engine.run import node_bounds
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import RangeVerdict
from verifex.ir.formula import Atom, Form
from verifex.ir.problem import Problem
from verifex.problem.spec.expression import load_expressions
from verifex.semantics.evaluate import evaluate_float
from verifex.settings import Settings

TITLE = "What is attained, beside what is bounded"
ROOT = Path(__file__).resolve().parent.parent
CREDIT = ROOT.parent / "shared" / "data" / "attribution_models" / "openxai"
RANDOM = (((20, 50, 50, 2), "0.05", 5), ((20, 50, 50, 2), "0.1", 2), ((20, 100, 100, 2), "0.02", 3))
"""Widths, radius, and how many seeds."""

LATE = {ReasonKind.SEARCH_OUT_OF_TIME, ReasonKind.OUT_OF_TIME}


@dataclass(frozen=True)
class Asked:
    """One range: its family, a name, and the form over its problem."""

    family: str
    name: str
    problem: Problem
    form: Form


@dataclass(frozen=True)
class Answered:
    """A range and what was found of it."""

    asked: Asked
    found: RangeVerdict
    seconds: float

    @property
    def ended(self) -> bool:
        """Whether the search came to its end."""
        return not any(reason.kind in LATE for reason in self.found.reasons)

    def meets(self) -> list[bool]:
        """For either end whether bound and attained value agree to 1e-6 of the range's size."""
        ends = (self.found.low, self.found.high)
        size = max((abs(v) for end in ends for v in (
            end.best_bound, None if end.attained is None else float(end.attained)
        ) if v is not None), default=0.0)
        return [end.claimed_gap is not None and end.claimed_gap <= 1e-6 * size for end in ends]


def reference(every: int) -> Iterator[Asked]:
    for network in NETWORKS if DATA.is_dir() else ():
        data = json.loads((DATA / f"{network}.json").read_text())
        for eps, ranges in data["ranges"].items():
            problem, node = question(network, eps, data)
            for k in range(0, len(ranges["lower"]), every):
                yield Asked(f"{network}, eps {eps}", f"component {k}", problem,
                            Form.of({(node, k): 1}))


def random_networks() -> Iterator[Asked]:
    for widths, eps, seeds in RANDOM:
        family = f"random {'-'.join(map(str, widths))}, eps {eps}"
        for seed in range(seeds):
            graph, centre = random_network(widths, seed)
            problem, forms = components(graph, ball(centre, eps), 0)
            for k in range(2):
                yield Asked(family, f"seed {seed}, component {k}", problem, forms[k])
            problem, form = l1_norm(graph, ball(centre, eps), 0)
            yield Asked(family, f"seed {seed}, l1 norm", problem, form)


def tabular(folder: Path) -> Iterator[Asked]:
    texts = ("output", "component:0", "component:1", "norm:l1", "norm:linf")
    spec = ROOT / "examples" / "top3_stable.toml"
    for one in load_expressions(spec, texts, ROOT / "examples" / "breast_cancer.onnx"):
        yield Asked("breast cancer (examples)", one.text, one.problem, one.form)
    for name in TARGETS if CREDIT.is_dir() else ():
        table = CreditTable(name, CREDIT, folder)
        for row in range(4):
            spec = folder / f"{name}{row}.toml"
            spec.write_text(table.spec(row, "sign"))
            for one in load_expressions(spec, ("output", "norm:l1"), table.network):
                yield Asked(f"{name} (credit)", f"row {row}, {one.text}", one.problem, one.form)


def left_out() -> list[str]:
    """The families whose data is not here."""
    return [f"* Left out, for the data is not here: {what}." for what, folder in (
        ("reference networks", DATA), ("credit networks", CREDIT)) if not folder.is_dir()]


def table(answers: Sequence[Answered]) -> str:
    header = ["ranges of", "ranges", "closed by the search", "their ends", "attained to 1e-6",
              "of these on a kink only", "not attained", "seconds a range (mean, longest)"]
    rows = []
    for family in dict.fromkeys(a.asked.family for a in answers):
        mine = [a for a in answers if a.asked.family == family]
        ended = [a for a in mine if a.ended]
        met = [ok for a in ended for ok in a.meets()]
        kinks = sum(end.on_kink and ok for a in ended for end, ok in zip(
            (a.found.low, a.found.high), a.meets(), strict=True))
        times = [a.seconds for a in mine]
        rows.append([family, len(mine), len(ended), len(met), sum(met), kinks,
                     len(met) - sum(met), f"{sum(times) / len(times):.2f}, {max(times):.2f}"])
    return show(header, rows)


def open_ends(answers: Sequence[Answered]) -> list[str]:
    """The ends of closed ranges that are not attained, one a line."""
    return [f"* {a.asked.family}, {a.asked.name}: {a.found.reason or 'open without a reason'}"
            for a in answers if a.ended and not all(a.meets())]


def few_corners(seeds: int) -> str:
    """Claims that 3 of 20,000 corners break, on random networks: which attacks break them."""
    kinds = {
        "points": (2, False, 0), "points, climb": (8, True, 0), "and 200 pieces": (8, True, 200)}
    rows = []
    for seed in range(seeds):
        graph, centre = random_network((20, 50, 50, 2), seed)
        problem, forms = components(graph, ball(centre, "0.1"), 0)
        (((node, index), _),) = forms[3].terms
        corners = Samples.of(problem).corners(np.random.default_rng(seed), 20_000)
        values = evaluate_float(problem.graph, corners, [node])[node][:, index]
        least = Fraction(float(np.sort(values)[-3])) - Fraction(1, 10**12)
        claim = replace(problem, require=Atom(Form.of({(node, index): -1}, least), strict=True))
        bounds, cells = node_bounds(claim), []
        for rounds, gradient, pieces in kinds.values():
            started = time.monotonic()
            found = Attack(claim, bounds, rounds=rounds, gradient=gradient, pieces=pieces)
            witness = found.run(Budget(10.0))
            broken = "open" if witness is None else "broken"
            cells.append(f"{broken}, {time.monotonic() - started:.2f} s")
        rows.append([seed, *cells])
    return show(["seed", *kinds], rows)


def claims(seeds: int) -> list[str]:
    """The part of the page about claims that few corners break."""
    return [] if not seeds else [
        "", "Claims that 3 of 20,000 corners break (a component of the gradient, 20-50-50-2, eps "
        ".1),", "and the attack, without and with the local search over activation patterns:", "",
        few_corners(seeds)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="of the reference components")
    parser.add_argument("--seconds", type=float, default=60.0, help="for one range")
    parser.add_argument("--claims", type=int, default=10, help="that few corners break")
    parser.add_argument("--only", default="", help="part of the family's name")
    parser.add_argument("--document", type=Path, help="the page to write a section of")
    options = parser.parse_args()
    answers: list[Answered] = []
    settings = Settings(seconds=options.seconds, solvers=())
    with TemporaryDirectory() as folder, SolverPool() as pool:
        for asked in (*reference(options.every), *random_networks(), *tabular(Path(folder))):
            if options.only not in asked.family:
                continue
            started = time.monotonic()
            found = find_range(asked.problem, asked.form, settings, pool)
            answers.append(Answered(asked, found, time.monotonic() - started))
            print(asked.family, asked.name, answers[-1].ended, answers[-1].meets(),
                  f"{answers[-1].seconds:.2f} s", flush=True)
    given = "".join(f" {word}" for word in sys.argv[1:])
    body = "\n".join([
        "Written by the command below, one thread; bounds are those of the search, unchecked.", "",
        f"    python -m benchmarks.attained{given}", "", table(answers), "",
        "Ends of closed ranges that no point attains:", "",
        *(open_ends(answers) or ["* none"]), *left_out(), *claims(options.claims)])
    print(body)
    if options.document:
        section(options.document, TITLE, body)
    return 1 if open_ends(answers) else 0


if __name__ == "__main__":
    raise SystemExit(main())
