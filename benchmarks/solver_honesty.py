"""Who errs: floating-point MILP solvers on the extrema of explanations, against the search.

    python benchmarks/solver_honesty.py --document docs/solver-honesty.md

200 MILPs: the greatest L1 and Linf norm of the gradient of a margin, and the greatest and least
value of one of its components, on 50 random networks (20-50-50-2, 20-70-70-2, 20-100-100-2; torch's
default initialisation, seeds 0 to 49) at eps .02. The truth lies between a value that is replayed
exactly at a point and the bound of the search. Solvers run one after another in child processes,
one thread each, on the model that `verifex bound --solver` gives them, each with the same limit of
wall time. Answers are kept in a journal as they come, so that a run can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench import MEMORY, OUT, random_network, show

from verifex import api
from verifex.engine import solvers
from verifex.engine.budget import Budget
from verifex.engine.decide import node_bounds
from verifex.engine.pool import SolverPool
from verifex.engine.range_search import minima
from verifex.engine.search import SearchOptions
from verifex.engine.witness import replay, snap
from verifex.ir.formula import Atom, Form
from verifex.ir.problem import Objective, Problem
from verifex.ir.solving import SolveLimits
from verifex.semantics.claim import extremum

NETWORKS = 50
RADIUS = "0.02"
AGREED = 1e-6
"""Two values agree up to this, relative to the true one."""


@dataclass(frozen=True)
class OptionSet:
    """A solver with its options, and for every how many-th network it is asked."""

    label: str
    solver: str
    seed: int
    every: int


SETS = (
    OptionSet("HiGHS, its own tolerances, seed 0", "highs", 0, 1),
    OptionSet("HiGHS, 1e-9, seed 0", "highs:1e-9", 0, 1),
    OptionSet("HiGHS, its own tolerances, seed 1", "highs", 1, 3),
    OptionSet("HiGHS, 1e-9, seed 1", "highs:1e-9", 1, 3),
    OptionSet("HiGHS, 1e-7, seed 0", "highs:1e-7", 0, 7),
    OptionSet("SCIP, 1e-9", "scip", 0, 7),
    OptionSet("Gurobi, 1e-9", "gurobi", 0, 7),
    OptionSet("CBC through PuLP, 1e-9", "pulp", 0, 7),
)


@dataclass(frozen=True)
class Case:
    """One extremum of one network."""

    network: int
    expression: str
    maximise: bool

    @property
    def widths(self) -> tuple[int, ...]:
        """Most networks are small, so that a run takes an hour and not a day."""
        width = 100 if self.network % 25 == 3 else 70 if self.network % 20 == 5 else 50
        return 20, width, width, 2

    @property
    def name(self) -> str:
        side = "max" if self.maximise else "min"
        return f"{'-'.join(map(str, self.widths))} #{self.network} {side} {self.expression}"

    def question(self) -> tuple[Problem, Form]:
        """The problem and the form whose extremum is asked for."""
        graph, centre = random_network(self.widths, self.network)
        spec = {
            "input": {"point": [str(Fraction(c)) for c in centre]},
            "region": {"linf": RADIUS},
            "explain": {"attribution": "gradient", "output": "margin:0,1"},
        }
        asked = api.measure(graph, spec, self.expression)
        return asked.problem, asked.form


def cases(networks: int = NETWORKS) -> Iterator[Case]:
    """Four questions of every network."""
    for k in range(networks):
        yield Case(k, "norm:l1", True)
        yield Case(k, "norm:linf", True)
        yield Case(k, f"component:x[{k % 20}]", True)
        yield Case(k, f"component:x[{k % 20}]", False)


@dataclass(frozen=True)
class Truth:
    """An exact value attained and the search's bound, between which the extremum lies."""

    attained: float
    bound: float
    seconds: float

    @property
    def size(self) -> float:
        return max(abs(self.attained), abs(self.bound))

    @property
    def closed(self) -> bool:
        return abs(self.bound - self.attained) <= AGREED * self.size


def truth_of(case: Case, seconds: float) -> Truth:
    """The search's answer, its point replayed exactly."""
    problem, form = case.question()
    started, sign = time.monotonic(), -1 if case.maximise else 1
    signed = form if sign > 0 else -form
    problem = Problem(problem.graph, problem.region, Atom(form))
    (found,), *_ = minima(problem, [signed], Budget(seconds, MEMORY, 1), SearchOptions())
    attained = float("nan")
    if found.point is not None:
        at = replay(problem, snap(problem.region, found.point.tolist()))
        if at.inside:
            attained = float(form.value(at.values))
    return Truth(attained, sign * found.bound, time.monotonic() - started)


def said_by(options: OptionSet, case: Case, pool: SolverPool, seconds: float) -> dict[str, Any]:
    """A solver's answer to a case; `bound` and `value` only where it calls its point optimal."""
    problem, form = case.question()
    bounds = node_bounds(Problem(problem.graph, problem.region, Atom(form)))
    objective = Objective(form, case.maximise)
    products = pool.info(options.solver)[0].products
    question = extremum(problem, objective, bounds, products=products)
    limits = SolveLimits(seconds, MEMORY, 1, options.seed)
    answer = pool.solve(options.solver, question.model, limits)
    told: dict[str, Any] = {"status": answer.status.value, "stop": answer.stop.value}
    for key, number in (("bound", answer.bound), ("value", answer.objective)):
        told[key] = None if number is None else float(number)
    return told | {"seconds": answer.seconds, "note": answer.note[:200]}


def error(told: dict[str, Any], truth: Truth, maximise: bool) -> float:
    """By how much a bound is on the wrong side of what is attained, relative; at least 0."""
    beyond = truth.attained - told["bound"] if maximise else told["bound"] - truth.attained
    return max(0.0, float(beyond)) / truth.size


def excess(told: dict[str, Any], truth: Truth, maximise: bool) -> float:
    """By how much an optimum lies beyond the search's bound, relative; at least 0."""
    beyond = told["value"] - truth.bound if maximise else truth.bound - told["value"]
    return max(0.0, float(beyond)) / truth.size


# --- the run ------------------------------------------------------------------------------------


class Journal:
    """What has been found out so far, one JSON line each."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.known = {(d["case"], d["by"]): d for d in map(json.loads, lines)}

    def get(self, case: Case, by: str) -> dict[str, Any] | None:
        return self.known.get((case.name, by))

    def put(self, case: Case, by: str, data: dict[str, Any]) -> None:
        entry = {"case": case.name, "by": by, **data}
        self.known[case.name, by] = entry
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as out:
            out.write(json.dumps(entry) + "\n")


def study(
    asked: Sequence[Case], sets: Sequence[OptionSet], journal: Journal, limit: float
) -> None:
    """Fill the journal: the truth of every case, then every option set, the first ones first."""
    for case in asked:
        if journal.get(case, "truth") is None:
            journal.put(case, "truth", asdict(truth_of(case, 60.0)))
    with SolverPool() as pool:
        for options in sets:
            if not pool.info(options.solver)[1].ok:
                continue
            for case in asked:
                if case.network % options.every or journal.get(case, options.label):
                    continue
                journal.put(case, options.label, said_by(options, case, pool, limit))


def summary(
    asked: Sequence[Case], options: OptionSet, journal: Journal
) -> list[Any]:
    """One row of the table, and the cases in which the option set erred."""
    told = [(c, t) for c in asked if (t := journal.get(c, options.label)) is not None]
    optimal = [(c, t) for c, t in told if t["status"] == "optimal"]
    late = sum(t["stop"] == "time" for _, t in told)
    errors, beyond = [], []
    for case, answer in optimal:
        truth = truth_in(journal, case)
        if (by := error(answer, truth, case.maximise)) > AGREED:
            errors.append(by)
        if (over := excess(answer, truth, case.maximise)) > AGREED:
            beyond.append(over)
    other = len(told) - len(optimal) - late
    worst = f"{max(errors):.2g}" if errors else "-"
    over = f"{len(beyond)} ({max(beyond):.1g})" if beyond else "0"
    seconds = sorted(t["seconds"] for _, t in told)
    median = f"{seconds[len(seconds) // 2]:.2g}" if seconds else "-"
    return [options.label, len(told), len(optimal), len(errors), worst, over, late, other, median]


def truth_in(journal: Journal, case: Case) -> Truth:
    entry = journal.get(case, "truth")
    if entry is None:
        raise SystemExit(f"{case.name}: its truth is not known")
    return Truth(entry["attained"], entry["bound"], entry["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds a MILP")
    parser.add_argument("--journal", type=Path, default=OUT / "solver_honesty.jsonl")
    parser.add_argument("--document", type=Path)
    wanted = parser.parse_args()
    asked, journal = list(cases(wanted.networks)), Journal(wanted.journal)
    study(asked, SETS, journal, wanted.limit)


if __name__ == "__main__":
    main()
