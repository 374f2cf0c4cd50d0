"""Splitting by scores alone against looking ahead, on claims about an image-sized network.

    python benchmarks/lookahead.py --limit 120

Instances of mnist_fc (VNN-COMP; networks of 256 x 2, 4 and 6 units, 784 inputs), each by the search
over gates alone: with `ahead = 0` the gate with the best score is split, else the one whose halves
are bounded best. CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from bench import DATA, MEMORY, save, show

from verifex.engine.budget import Budget
from verifex.engine.formula_search import decide_search
from verifex.engine.lookahead import GATES
from verifex.engine.policy import SearchOptions
from verifex.problem.vnnlib import load_stated

CASES = [("256x2", "0_0.05"), ("256x4", "3_0.05"), ("256x4", "8_0.03"), ("256x6", "7_0.03"),
         ("256x6", "9_0.03")]
FOLDER = DATA / "vnncomp" / "mnist_fc"


def one(net: str, prop: str, ahead: int, limit: float) -> dict[str, Any]:
    """One instance; `open` where the limit came first."""
    query, network = f"vnnlib/prop_{prop}.vnnlib.gz", f"onnx/mnist-net_{net}.onnx.gz"
    stated = load_stated(FOLDER / query, FOLDER / network, as_real=False, cut=True)
    started = time.process_time()
    found = decide_search(
        stated.problem, Budget(limit, MEMORY, 1), SearchOptions(ahead=ahead)
    )
    word = "unsat" if found.closed else "sat" if found.witness else "open"
    return {"word": word, "seconds": time.process_time() - started,
            "domains": found.stats.domains}


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["network", "instance", "scores alone", "s", "domains", "looking ahead", "s",
              "domains", "ratio"]
    rows = []
    for r in result["rows"]:
        a, b = r["scores"], r["ahead"]
        mark = "> " if a["word"] == "open" else ""
        ratio = "open" if b["word"] == "open" else f"{mark}{a['seconds'] / b['seconds']:.3g}"
        rows.append([r["network"], r["instance"], *(v for x in (a, b) for v in (
            x["word"], x["seconds"], x["domains"])), ratio])
    return header, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=120.0)
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "rows": []}
    for net, prop in CASES:
        row = {"network": net, "instance": f"prop_{prop}",
               "scores": one(net, prop, 0, args.limit), "ahead": one(net, prop, GATES, args.limit)}
        result["rows"].append(row)
        print(row, flush=True)
        save("lookahead", result)
    print(show(*table(result)))


if __name__ == "__main__":
    main()
