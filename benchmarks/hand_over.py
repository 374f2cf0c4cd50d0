"""What a search leaves, handed to a MILP: on what bounds, and whether that beats searching on.

    python -m benchmarks.hand_over

A search is stopped after some domains. The rest goes to HiGHS (in this process, one thread) four
ways: on interval bounds, on the search's root bounds, on the hull of its open domains with the
value attained as a cut (what `verifex bound` does), and one model for each of some open domains.
Beside them: searching on. CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction
from typing import Any

import numpy as np

from benchmarks.bench import (
    MEMORY,
    ball,
    components,
    l1_norm,
    random_network,
    reference,
    root_of,
    save,
    search_minima,
    show,
)
from verifex.engine.run import node_bounds
from verifex.engine.search.extrema import Minimum
from verifex.engine.search.gates.policy import SearchOptions
from verifex.engine.search.handover import Rest
from verifex.ir.formula import Form
from verifex.ir.model.solving import SolveLimits
from verifex.ir.problem import Objective, Problem
from verifex.semantics.claim import NodeBounds, extremum


def cases() -> list[tuple[str, Problem, list[Form], int]]:
    """(name, problem, forms, domains after which the search stops)."""
    graph, centre = random_network((10, 20, 20, 2), 0)
    out = []
    for eps, most in (("0.2", 200), ("0.5", 4000), ("1", 5000)):
        problem, form = l1_norm(graph, ball(centre, eps), 0)
        out.append((f"L1 norm, 10-20-20-2, eps {eps}", problem, [-form], most))
    graph, data = reference("mlp20_50_50_2")
    problem, forms = components(graph, ball(data["center"], "0.1"), 0)
    out.append(("gradient ranges, 20-50-50-2, eps 0.1", problem, forms[:6], 400))
    return out


def solved(
    problem: Problem, form: Form, bounds: NodeBounds, most: float | None, limit: float
) -> dict[str, Any]:
    """The least value by HiGHS, not above `most`."""
    from verifex.solvers.highs import Highs

    started = time.process_time()
    question = extremum(problem, Objective(form, False), bounds, products=False)
    model = question.model
    if most is not None and model.objective:
        top = Fraction(most) - Fraction(model.objective_const)
        model.add(model.objective, "<=", top)
    answer = Highs().solve(model, SolveLimits(limit, MEMORY, 1))
    done = answer.status.value in ("optimal", "infeasible")
    return {"seconds": time.process_time() - started, "done": done,
            "binaries": sum(v.integer for v in model.variables)}


def one(problem: Problem, form: Form, found: Minimum, sample: int, limit: float) -> dict[str, Any]:
    """All ways for one form that a search left open."""
    given, rest = node_bounds(problem), found.rest
    if rest is None:
        raise SystemExit("nothing is left open")
    root = root_of(problem)[0].boxes
    nodes = problem.graph.nodes
    sides = [{i: v[0].reshape(nodes[i].shape) for i, v in s.items()} for s in (root.lo, root.hi)]
    top = found.attained + 1e-9 * (1 + abs(found.attained))
    hull = rest.bounds(given)
    ways = {
        "intervals": solved(problem, form, given, None, limit),
        "root": solved(problem, form, (sides[0], sides[1]), None, limit),
        "hull, cut": solved(problem, form, hull, top, limit),
    }
    pick = np.random.default_rng(0).permutation(len(rest.domains))[:sample]
    single = [
        solved(problem, form, Rest(rest.layout, [rest.domains[k]]).bounds(given), top, limit)
        for k in pick
    ]
    return {"open": len(rest.domains), "gap": found.attained - found.bound, "ways": ways,
            "single": single}


def table(r: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["question", "open domains", "gap", "intervals, s", "root bounds, s",
              "hull and cut, s", "binaries: intervals / hull", "one domain, median s",
              "all open, one by one, s", "searching on, s"]
    rows = []
    for e in r["rows"]:
        cells = [("" if w["done"] else "> ") + f"{w['seconds']:.3g}" for w in e["ways"].values()]
        each = sorted(s["seconds"] for s in e["single"])
        ways = e["ways"]
        late = "" if all(s["done"] for s in e["single"]) else "> "
        on = ("" if e["closed"] else "> ") + f"{e['on']:.3g}"
        rows.append([
            e["name"], e["open"], e["gap"], *cells,
            f"{ways['intervals']['binaries']} / {ways['hull, cut']['binaries']}",
            f"{late}{each[len(each) // 2]:.3g}",
            f"{late}{sum(each) / len(each) * e['open']:.3g}", on,
        ])
    return header, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds of one MILP")
    parser.add_argument("--on", type=float, default=60.0, help="seconds of the whole search")
    parser.add_argument("--sample", type=int, default=5)
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "on": args.on, "rows": []}
    for name, problem, forms, most in cases():
        short = SearchOptions(max_domains=most)
        found, _, took = search_minima(problem, forms, 600.0, short)
        left = [k for k, m in enumerate(found) if m.rest is not None][:2]
        for k in left:
            row = one(problem, forms[k], found[k], args.sample, args.limit)
            (whole,), _, all_ = search_minima(problem, [forms[k]], args.on)
            closed = whole.attained - whole.bound <= 1e-6 * max(1.0, abs(whole.bound))
            alone = search_minima(problem, [forms[k]], args.on, short)[2]
            row |= {"name": f"{name}{f', {k}' if len(forms) > 1 else ''}", "took": took,
                    "on": max(0.0, all_ - alone), "closed": closed}
            result["rows"].append(row)
            print(row["name"], row["ways"], row["on"], flush=True)
            save("hand_over", result)
    print(show(*table(result)))


if __name__ == "__main__":
    main()
