"""Who errs: floating-point MILP solvers on extrema of explanations, against replayed points.

    python -m benchmarks.solver_honesty --document docs/solver-honesty.md

200 MILPs: the greatest L1 and Linf norm of the gradient of a margin, and the greatest and least
value of one of its components, on 50 random networks (20-50-50-2 to 20-100-100-2; torch's default
initialisation, seeds 0 to 49) at eps .02. The truth lies between a value that is replayed exactly
at a point and the bound of the search. Solvers run one after another in child processes, one thread
each, on the model that `verifex bound --solver` gives them, each with the same limit of wall time.
Answers are kept in a journal (out/bench) as they come, so that a run can be stopped and gone on
with; the whole takes hours.
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

from benchmarks.bench import MEMORY, OUT, random_network, show
from verifex import api
from verifex.engine.budget import Budget
from verifex.engine.falsify.seeker import Seeker
from verifex.engine.run import node_bounds
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.solve import registry
from verifex.engine.solve.pool import SolverPool
from verifex.engine.testimony import allowance
from verifex.ir.formula import Atom, Form
from verifex.ir.model.solving import SolveLimits
from verifex.ir.problem import Objective, Problem
from verifex.semantics.claim import extremum

NETWORKS = 50
RADIUS = "0.02"
_SEEK = 10.0
"""Seconds for a value that meets the bound."""

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
        (asked,) = api.measure(graph, spec, [self.expression])
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
    """The search's bound, and the best value that is attained near its point, replayed exactly."""
    problem, form = case.question()
    started, sign = time.monotonic(), -1 if case.maximise else 1
    signed = form if sign > 0 else -form
    problem = Problem(problem.graph, problem.region, Atom(form))
    (found,), *_ = minima(problem, [signed], Budget(seconds, MEMORY, 1), SearchOptions())
    seeker, bound = Seeker(problem, Objective(form, case.maximise)), sign * found.bound
    if found.point is not None:
        seeker.offer(found.point.tolist())
        seeker.best.offer_kinks(found.point.tolist(), bound)
        seeker.start_at(found.point)
    seeker.run(Budget(min(_SEEK, seconds)), bound)
    value = seeker.best.extreme
    attained = float("nan") if value is None else float(value)
    return Truth(attained, bound, time.monotonic() - started)


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
    """By how much an answer denies what is attained, relative to it: 1 for "infeasible", else how
    far its bound lies on the wrong side; 0 where it denies nothing."""
    if told["status"] == "infeasible":
        return 1.0
    if told["bound"] is None:
        return 0.0
    beyond = truth.attained - told["bound"] if maximise else told["bound"] - truth.attained
    return max(0.0, float(beyond)) / truth.size


def excess(told: dict[str, Any], truth: Truth, maximise: bool) -> float:
    """By how much an optimum lies beyond the search's bound, relative; at least 0."""
    if told["status"] != "optimal":
        return 0.0
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


# --- the document -------------------------------------------------------------------------------


def truth_in(journal: Journal, case: Case) -> Truth:
    entry = journal.get(case, "truth")
    if entry is None:
        raise SystemExit(f"{case.name}: its truth is not known")
    return Truth(entry["attained"], entry["bound"], entry["seconds"])


def answers(
    asked: Sequence[Case], options: OptionSet, journal: Journal
) -> list[tuple[Case, dict[str, Any], Truth]]:
    """What an option set said, with the truth."""
    found = ((c, journal.get(c, options.label)) for c in asked)
    return [(c, told, truth_in(journal, c)) for c, told in found if told is not None]


def erred(told: dict[str, Any], truth: Truth, case: Case) -> bool:
    return error(told, truth, case.maximise) > AGREED


def row(asked: Sequence[Case], options: OptionSet, journal: Journal) -> list[Any]:
    """One row of the table of option sets."""
    found = answers(asked, options, journal)
    if not found:
        return [options.label, 0, *["-"] * 7]
    optimal = [(c, t, x) for c, t, x in found if t["status"] == "optimal"]
    wrong = [error(t, x, c.maximise) for c, t, x in optimal if erred(t, x, c)]
    empty = sum(t["status"] == "infeasible" for _, t, _ in found)
    late = sum(t["stop"] == "time" for _, t, _ in found)
    low = sum(erred(t, x, c) for c, t, x in found if t["stop"] == "time")
    above = sum(excess(t, x, c.maximise) > AGREED for c, t, x in optimal)
    other = len(found) - len(optimal) - empty - late
    seconds = sorted(t["seconds"] for _, t, _ in found)
    worst = f"{max(wrong):.1%}" if wrong else "-"
    return [
        options.label, len(found), len(optimal), f"{len(wrong)} ({worst})" if wrong else "0", empty,
        f"{late} ({low})" if low else late, above, other, f"{seconds[len(seconds) // 2]:.2g}",
    ]


def wrong_answers(asked: Sequence[Case], journal: Journal) -> list[list[Any]]:
    """Every wrong answer, with the truth."""
    rows = []
    for options in SETS:
        for case, told, truth in answers(asked, options, journal):
            if erred(told, truth, case):
                said = "infeasible" if told["status"] == "infeasible" else f"{told['bound']:.9g}"
                rows.append([case.name, options.label, said, f"{truth.attained:.9g}",
                             f"{error(told, truth, case.maximise):.2%}"])
    return rows


def twice(
    asked: Sequence[Case], first: OptionSet, second: OptionSet, journal: Journal
) -> list[Any]:
    """What becomes of two runs of one solver that must agree: claims, wrong ones among them."""
    both = agreed = false = saved = 0
    for case, one, truth in answers(asked, first, journal):
        two = journal.get(case, second.label)
        if two is None:
            continue
        both += 1
        wrong = erred(one, truth, case)
        if one["status"] == two["status"] == "optimal":
            near = abs(one["bound"] - two["bound"]) <= allowance(one["bound"], two["bound"])
            agreed += near
            false += near and wrong and erred(two, truth, case)
            saved += wrong and not near
        else:
            false += wrong and one["status"] == two["status"] == "infeasible"
            saved += wrong and one["status"] != two["status"]
    return [first.label, both, agreed, saved, false]


def document(asked: Sequence[Case], journal: Journal, limit: float) -> str:
    """The page as Markdown."""
    truths = [truth_in(journal, c) for c in asked]
    closed = sum(t.closed for t in truths)
    versions = ", ".join(
        f"{name} {api_version(name)}" for name in dict.fromkeys(o.solver for o in SETS)
        if ":" not in name)
    pairs = [(SETS[0], SETS[2]), (SETS[1], SETS[3])]
    wrong = wrong_answers(asked, journal)
    several = show(["MILP", "by", "said", "attained", "off by"], wrong) if wrong else "None."
    return f"""# Are solvers honest?

Written by the command below.

    python -m benchmarks.solver_honesty --document docs/solver-honesty.md

{len(asked)} MILPs: the greatest L1 and Linf norm of the gradient of a margin, and the greatest and
the least value of one of its components, over an l-inf ball of radius {RADIUS}, on
{len({c.network for c in asked})} random networks of 20-50-50-2 to 20-100-100-2 (torch's default
initialisation). Each solver gets the model that `verifex bound --solver` gives it, one thread and
{limit:g} s of wall time on a machine that did other work as well; it is asked about all MILPs or
about those of every third or seventh network. Seed 1 also puts rows and columns in another order,
as the engine's second runs do. {versions}.

The truth lies between a value that is replayed exactly at a point and the bound of the search; the
two meet (to {AGREED:g}, relative) for {closed} of {len(asked)}. An answer is *wrong* when it denies
the replayed value by more than that: nothing but exact arithmetic says so. An error that is smaller
than the distance between the two is not seen.

{show(["options", "asked", "optimal", "of these wrong (worst)", "infeasible (all wrong)",
       "out of time (bound wrong)", "value above the search's bound", "no answer", "median s"],
      [row(asked, o, journal) for o in SETS])}

## Two runs that must agree

What the engine makes of the runs with seed 0 and seed 1: it claims what both call optimal, to
{AGREED:g}. Wrong answers that one run alone gave are not claimed. That both runs are wrong alike is
possible; a replayed point beyond the bound (the engine samples, and replays what solvers find)
discards it then, and a range is never closed by a bound that a point denies.

{show(["options", "asked twice", "agreed on an optimum", "wrong, and not claimed",
       "wrong in both runs alike"], [twice(asked, a, b, journal) for a, b in pairs])}

## Wrong answers

{several}
"""


def api_version(name: str) -> str:
    return registry.info(name)[1].version or "not here"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds a MILP")
    parser.add_argument("--journal", type=Path, default=OUT / "solver_honesty.jsonl")
    parser.add_argument("--document", type=Path)
    wanted = parser.parse_args()
    asked, journal = list(cases(wanted.networks)), Journal(wanted.journal)
    study(asked, SETS, journal, wanted.limit)
    text = document(asked, journal, wanted.limit)
    if wanted.document is None:
        print(text)
    else:
        wanted.document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
