"""Time against the number of open gates: 20-50-50-2, eps swept until the time is out.

    python -m benchmarks.open_gates --limit 60

At each eps the ranges of all 20 components are asked for in one search, one thread; a gate is open
if our root bounds leave its sign undecided.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.bench import ball, components, reference, root_of, save, search_minima, show

EPS = ("0.01", "0.02", "0.03", "0.04", "0.05", "0.06", "0.07", "0.08", "0.1", "0.12", "0.15", "0.2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0)
    args = parser.parse_args()
    graph, data = reference("mlp20_50_50_2")
    result: dict[str, Any] = {"limit": args.limit, "rows": []}
    for eps in EPS:
        problem, forms = components(graph, ball(data["center"], eps), data["output"])
        root, _ = root_of(problem)
        undecided = sum(
            int(((root.boxes.lo[z] < 0) & (root.boxes.hi[z] > 0)).sum())
            for z in root.layout.offsets
        )
        found, stats, took = search_minima(
            problem, [*forms, *(-f for f in forms)], args.limit
        )
        closed = sum(m.attained - m.bound <= 1e-6 * max(1.0, abs(m.bound)) for m in found)
        gap = max(m.attained - m.bound for m in found)
        result["rows"].append({
            "eps": eps, "open_gates": undecided, "gates": root.layout.gates, "seconds": took,
            "domains": stats.domains, "lps": stats.lps, "closed": closed, "queries": len(found),
            "worst_gap": gap,
        })
        print(result["rows"][-1], flush=True)
        save("open_gates", result)
        if closed < len(found):
            break
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    return ["eps", "open gates", "closed", "seconds", "domains", "leaf programs", "worst gap"], [
        [r["eps"], f"{r['open_gates']} of {r['gates']}", f"{r['closed']}/{r['queries']}",
         r["seconds"], r["domains"], r["lps"], f"{r['worst_gap']:.2g}"] for r in result["rows"]
    ]


if __name__ == "__main__":
    main()
