"""The greatest L1 norm of a logit's gradient over an l-inf ball, against two MILPs.

    python -m benchmarks.l1_norm --limit 60 --baseline 240

A random 10-20-20-2 network (torch's default initialisation, seed 0) at eps .2, .3, .5 and 1, and
20-50-50-2 of ../shared/data/reference at .02, .05 and .1. One thread each, one time limit for ours
and (b), a longer one for (a), so that a ratio can be shown: ours (search), (a) the MILP that one
would write by hand, (b) our encoding with our root bounds.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks import baselines
from benchmarks.bench import (
    OUT,
    ball,
    l1_norm,
    layers_of,
    milp,
    random_network,
    reference,
    root_of,
    save,
    search_minima,
    show,
)
from verifex.ir.graph import Graph
from verifex.ir.problem import Objective


def cases() -> list[tuple[str, Graph, list[float], str]]:
    """(network, graph, centre, eps)."""
    small, centre = random_network((10, 20, 20, 2), 0)
    graph, data = reference("mlp20_50_50_2")
    return [("random 10-20-20-2", small, centre, e) for e in ("0.2", "0.3", "0.5", "1")] + [
        ("20-50-50-2", graph, data["center"], e) for e in ("0.02", "0.05", "0.1")
    ]


def one(
    name: str, graph: Graph, centre: list[float], eps: str, limit: float, baseline: float
) -> dict[str, Any]:
    """Ours, (a) and (b) on one question."""
    region = ball(centre, eps)
    problem, form = l1_norm(graph, region, 0)
    (found,), stats, took = search_minima(problem, [-form], limit)
    upper, best = -found.bound, -found.attained
    lo, hi = region.float_box()
    hand = baselines.l1_norm(layers_of(graph), lo, hi, 0, baseline)
    root, root_seconds = root_of(problem)
    answer, milp_seconds = milp(problem, root, Objective(form, True), limit)
    return {
        "network": name, "eps": eps, "bound": upper, "attained": best, "seconds": took,
        "domains": stats.domains, "closed": upper - best <= 1e-6 * max(1.0, upper),
        "a": {"value": hand.value, "bound": hand.bound, "seconds": hand.seconds, "done": hand.done},
        "b": {
            "value": _float(answer.objective), "bound": _float(answer.bound),
            "seconds": milp_seconds + root_seconds, "done": answer.status.value == "optimal",
        },
    }


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["network", "eps", "range of the maximum", "closed", "ours, s", "domains", "(a) s",
              "(b) s, root included", "(a) / ours", "(b) / ours"]
    rows = []
    for r in result["rows"]:
        late = {k: "" if r[k]["done"] else "> " for k in "ab"}
        cells = [f"{late[k]}{r[k]['seconds']:.3g}" for k in "ab"]
        ratio = [f"{late[k]}{r[k]['seconds'] / r['seconds']:.3g}" for k in "ab"]
        if not r["closed"]:
            ratio = ["ours open" if r[k]["done"] else "both open" for k in "ab"]
        rows.append([r["network"], r["eps"], f"[{r['attained']:.6g}, {r['bound']:.6g}]",
                     "yes" if r["closed"] else "no", r["seconds"], r["domains"], *cells, *ratio])
    return header, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--baseline", type=float, default=240.0)
    parser.add_argument("--only", default="", help="radii, by commas; other rows stay as they are")
    args = parser.parse_args()
    chosen, kept = set(filter(None, args.only.split(","))), OUT / "l1_norm.json"
    old = json.loads(kept.read_text())["rows"] if chosen and kept.exists() else []
    known = {(r["network"], r["eps"]): r for r in old}
    result: dict[str, Any] = {"limit": args.limit, "baseline": args.baseline, "rows": []}
    for case in cases():
        row = known.get((case[0], case[3]))
        if row is None or case[3] in chosen:
            row = one(*case, args.limit, args.baseline)
            print(row, flush=True)
        result["rows"].append(row)
        save("l1_norm", result)
    print(show(*table(result)))


if __name__ == "__main__":
    main()
