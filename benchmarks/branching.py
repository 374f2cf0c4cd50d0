"""What to split on, and what refreshed bounds gain, on the same questions.

    python -m benchmarks.branching --limit 60

"gap" (what each relaxation loses at the minimiser; the default), "intercept" (constant terms, after
BaBSR) and "width" (size of the undecided part times the coefficient), first without refreshed
bounds (verifex/engine/search/gates/refresh.py). With them: in the order of the scores, and layer by
layer; the search itself chooses between these two. One thread.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.bench import (
    ball,
    components,
    l1_norm,
    random_network,
    reference,
    save,
    search_minima,
    show,
)
from verifex.engine.search.gates.branching import RULES
from verifex.engine.search.gates.search import SearchOptions
from verifex.ir.formula import Form
from verifex.ir.problem import Problem


def questions() -> list[tuple[str, Problem, list[Form]]]:
    """(name, problem, forms to minimise)."""
    graph, data = reference("mlp20_50_50_2")
    out = []
    for eps in ("0.04", "0.05"):
        problem, forms = components(graph, ball(data["center"], eps), data["output"])
        out.append((f"20-50-50-2, 40 extrema, eps {eps}", problem, [*forms, *(-f for f in forms)]))
    small, centre = random_network((10, 20, 20, 2), 0)
    for eps in ("0.2", "0.3"):
        problem, form = l1_norm(small, ball(centre, eps), 0)
        out.append((f"10-20-20-2, L1 norm, eps {eps}", problem, [-form]))
    return out


def ways() -> dict[str, SearchOptions]:
    """The settings compared, by name."""
    out = {rule: SearchOptions(rule=rule, refresh=False) for rule in RULES}
    out["gap, refreshed"] = SearchOptions(refresh=True, order="gap")
    out["layers, refreshed"] = SearchOptions(refresh=True, order="layers")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0)
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "rows": []}
    for name, problem, forms in questions():
        for rule, settings in ways().items():
            found, stats, took = search_minima(
                problem, forms, args.limit, settings
            )
            closed = sum(m.attained - m.bound <= 1e-6 * max(1.0, abs(m.bound)) for m in found)
            result["rows"].append({
                "question": name, "rule": rule, "seconds": took, "domains": stats.domains,
                "lps": stats.lps, "closed": closed, "queries": len(forms),
            })
            print(result["rows"][-1], flush=True)
            save("branching", result)
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    return ["question", "rule", "closed", "domains", "leaf programs", "seconds"], [
        [r["question"], r["rule"], f"{r['closed']}/{r['queries']}", r["domains"], r["lps"],
         r["seconds"]] for r in result["rows"]
    ]


if __name__ == "__main__":
    main()
