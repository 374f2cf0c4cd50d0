"""Exact ranges of every gradient component of ../shared/data/reference, against two MILPs.

    python -m benchmarks.gradient_ranges --limit 60

All 40 extrema of 20-50-50-2 at each eps come from one search. Baselines in the same run, a model a
query with a time limit each: (a) the MILP that one would write by hand (baselines.py), (b) our
encoding with our best root bounds (whose time is shown apart). Every entry of both networks' files
is compared with ours; where they differ by more than 1e-6 on the 5-32-32-2 network, z3 decides a
threshold halfway in exact arithmetic.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from itertools import product
from statistics import median
from typing import Any

from benchmarks import baselines
from benchmarks.bench import (
    ball,
    components,
    layers_of,
    milp,
    reference,
    root_of,
    save,
    search_minima,
    show,
)
from verifex.engine.decide import decide
from verifex.engine.solve.pool import SolverPool
from verifex.ir.formula import Atom, Form
from verifex.ir.problem import Objective, Problem
from verifex.settings import Settings


def extrema(
    problem: Problem, forms: list[Form], seconds: float
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Both ends of every form by one search: bound and attained value."""
    found, stats, took = search_minima(problem, [*forms, *(-f for f in forms)], seconds)
    n, ends = len(forms), []
    for k, m in enumerate(found):
        sign = -1.0 if k >= n else 1.0
        ends.append({"component": k % n, "maximise": k >= n, "bound": sign * m.bound,
                     "attained": sign * m.attained})
    gaps = [abs(e["bound"] - e["attained"]) for e in ends]
    closed = sum(g <= 1e-6 * max(1.0, abs(e["attained"])) for g, e in zip(gaps, ends, strict=True))
    return ends, {"seconds": took, "domains": stats.domains, "lps": stats.lps, "closed": closed,
                  "queries": len(ends), "worst_gap": max(gaps)}


def compare(
    ends: list[dict[str, Any]], ranges: dict[str, list[float]]
) -> tuple[list[dict[str, Any]], float]:
    """Entries of the file that differ from ours by more than 1e-6, and the largest other one."""
    out, rest = [], 0.0
    for e in ends:
        theirs = ranges["upper" if e["maximise"] else "lower"][e["component"]]
        off = theirs - e["attained"]
        if abs(off) > 1e-6:
            out.append({**e, "file": theirs, "difference": off})
        else:
            rest = max(rest, abs(off))
    return out, rest


def z3_verdict(problem: Problem, form: Form, entry: dict[str, Any], pool: SolverPool) -> str:
    """z3 on the claim that no point passes a threshold halfway between the file's and ours."""
    half = Fraction((entry["attained"] + entry["file"]) / 2)
    sign = -1 if entry["maximise"] else 1
    claim = Atom(Form.of({cell: sign * c for cell, c in form.terms}, -sign * half))
    options = Settings(seconds=200, search=False, solvers=("z3",), attack=False)
    return decide(replace(problem, require=claim), options, pool).outcome.value


def baseline_times(
    problem: Problem, forms: list[Form], layers: Any, limit: float, every: int
) -> dict[str, Any]:
    """(a) and (b) on every query."""
    root, root_seconds = root_of(problem)
    lo, hi = problem.region.float_box()
    out: dict[str, Any] = {"a": [], "b": [], "root": root_seconds}
    for index, maximise in product(range(0, len(forms), every), (False, True)):
        hand = baselines.component(layers, lo, hi, 0, index, limit, maximise=maximise)
        out["a"].append({"value": hand.value, "seconds": hand.seconds, "done": hand.done})
        answer, took = milp(problem, root, Objective(forms[index], maximise), limit)
        value = None if answer.objective is None else float(answer.objective)
        done = answer.status.value == "optimal"
        out["b"].append({"value": value, "seconds": took, "done": done})
        print(f"{index} {maximise}: (a) {hand.seconds:.2f} s, (b) {took:.2f} s", flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a baseline query")
    parser.add_argument("--every", type=int, default=1, help="baselines: every k-th component")
    parser.add_argument("--seconds", type=float, default=300.0, help="for all of ours at one eps")
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "eps": {}, "differences": []}
    with SolverPool() as pool:
        for name in ("mlp5_32_32_2", "mlp20_50_50_2"):
            graph, data = reference(name)
            for eps, ranges in data["ranges"].items():
                problem, forms = components(graph, ball(data["center"], eps), data["output"])
                ends, ours = extrema(problem, forms, args.seconds)
                differ, ours["largest_other_difference"] = compare(ends, ranges)
                for d in differ:
                    d |= {"network": name, "eps": eps}
                    if name == "mlp5_32_32_2":
                        d["z3"] = z3_verdict(problem, forms[d["component"]], d, pool)
                result["differences"] += differ
                entry: dict[str, Any] = {"ours": ours}
                print(name, eps, ours, differ, flush=True)
                if name == "mlp20_50_50_2":
                    layers = layers_of(graph)
                    entry |= baseline_times(problem, forms, layers, args.limit, args.every)
                result["eps"][f"{name} {eps}"] = entry
                save("gradient_ranges", result)
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """One line an eps: seconds and ratios."""
    header = ["eps", "queries", "ours, s", "closed", "(a): median s", "longest", "all, s",
              "(b): median s", "longest", "all, s", "its root bounds, s", "(a) / ours",
              "(b) with root / ours"]
    rows = []
    for key, e in result["eps"].items():
        if "a" not in e:
            continue
        ours, root, n = e["ours"]["seconds"], e["root"], len(e["a"])
        ours *= n / e["ours"]["queries"]  # what falls to the queries that were compared
        times = {k: [q["seconds"] for q in e[k]] for k in "ab"}
        late = {k: "> " if not all(q["done"] for q in e[k]) else "" for k in "ab"}
        cells = [c for k in "ab" for c in (
            median(times[k]), max(times[k]), f"{late[k]}{sum(times[k]):.3g}")]
        rows.append([
            key.split()[1], n, ours, f"{e['ours']['closed']}/{e['ours']['queries']}", *cells, root,
            f"{late['a']}{sum(times['a']) / ours:.3g}",
            f"{late['b']}{(sum(times['b']) + root) / ours:.3g}",
        ])
    return header, rows


def deviations(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Entries of the files that differ from ours by more than 1e-6."""
    return ["network", "eps", "end", "file", "ours (attained)", "file - ours", "z3: not reached"], [
        [d["network"], d["eps"], f"{'upper' if d['maximise'] else 'lower'} {d['component']}",
         f"{d['file']:.9f}", f"{d['attained']:.9f}", f"{d['difference']:.1e}", d.get("z3", "-")]
        for d in result["differences"]
    ]


if __name__ == "__main__":
    main()
