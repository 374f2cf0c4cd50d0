"""Where the time goes: cProfile of the search for all 40 ranges of 20-50-50-2 at eps .05.

    python -m benchmarks.profile_hot
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, ball, components, reference, save, search_minima, show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eps", default="0.05")
    args = parser.parse_args()
    graph, data = reference("mlp20_50_50_2")
    problem, forms = components(graph, ball(data["center"], args.eps), data["output"])
    search_minima(problem, forms[:1], 5.0)  # imports and first calls are not what is measured
    profile = cProfile.Profile()
    profile.enable()
    _, _, took = search_minima(problem, [*forms, *(-f for f in forms)], 300.0)
    profile.disable()
    stats: Any = pstats.Stats(profile)
    entries = [
        {"where": _place(path, line, name), "calls": int(n), "own": own, "cumulative": whole}
        for (path, line, name), (_, n, own, whole, _) in stats.stats.items()
    ]
    inside = [e for e in entries if e["where"].startswith("verifex/")]
    result = {
        "eps": args.eps, "seconds": took,
        "cumulative": sorted(inside, key=lambda e: -e["cumulative"])[:12],
        "own": sorted(entries, key=lambda e: -e["own"])[:12],
    }
    save("profile_hot", result)
    print(show(*table(result)))


def _place(path: str, line: int, name: str) -> str:
    try:
        return f"{Path(path).resolve().relative_to(ROOT)}:{line} {name}"
    except ValueError:
        return name if path == "~" else f"{Path(path).name}:{line} {name}"


def table(result: dict[str, Any], key: str = "cumulative") -> tuple[list[str], list[list[Any]]]:
    return ["where", "calls", "own s", "cumulative s"], [
        [f"`{e['where']}`", e["calls"], f"{e['own']:.2f}", f"{e['cumulative']:.2f}"]
        for e in result[key]
    ]


if __name__ == "__main__":
    main()
