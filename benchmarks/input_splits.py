"""When the search over inputs should split units instead of sides, on queries of ACAS Xu.

    python -m benchmarks.input_splits [--limit 40]

A box with at most N undecided units is split on the one that loses most, if its loss is at least a
share S of what its best side scores. (0, -) never splits units.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.bench import DATA, MEMORY, save, show
from verifex.cli.vnnlib.vnncomp import existing
from verifex.engine.budget import Budget
from verifex.engine.search.inputs import search as inputs
from verifex.problem.vnnlib.read import load_query

QUERIES = (("1_1", 3), ("1_1", 5), ("3_3", 9), ("4_2", 2))
SETTINGS = ((0, 0.5), (6, 0.0), (16, 0.0), (16, 0.5), (16, 1.0), (40, 0.5))


def one(network: str, prop: int, limit: float) -> dict[str, Any]:
    folder = DATA / "vnncomp" / "acasxu_2023"
    name = f"onnx/ACASXU_run2a_{network}_batch_2000.onnx"
    query = existing(folder / f"vnnlib/prop_{prop}.vnnlib")
    problem = load_query(query, existing(folder / name))
    started = time.process_time()
    search = inputs.InputSearch(problem, Budget(limit, MEMORY, 1))
    search.go_on()
    return {"query": f"{network} prop_{prop}", "seconds": time.process_time() - started,
            "boxes": search.tree.count, "closed": search.finished}


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["N", "S", *(f"{n} prop_{p}: s (boxes)" for n, p in QUERIES)]
    rows = []
    for entry in result["rows"]:
        cells = [f"{'' if r['closed'] else '> '}{r['seconds']:.3g} ({r['boxes']})"
                 for r in entry["runs"]]
        rows.append([entry["most"], entry["share"], *cells])
    return header, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=40.0)
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "rows": []}
    for most, share in SETTINGS:
        inputs.FEW_UNITS, inputs.UNIT_SHARE = most, share
        runs = [one(*query, args.limit) for query in QUERIES]
        result["rows"].append({"most": most, "share": share, "runs": runs})
        save("input_splits", result)
    print(show(*table(result)))


if __name__ == "__main__":
    main()
