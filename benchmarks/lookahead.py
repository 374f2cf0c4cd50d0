"""Splitting by scores alone, looking ahead, and tightening bounds, on image-sized networks.

    python -m benchmarks.lookahead --limit 60

Instances of mnist_fc (VNN-COMP; networks of 256 x 2, 4 and 6 units, 784 inputs), each by the search
over gates alone: with `ahead = 0` the gate with the best score is split, else the one whose halves
are bounded best; with `tighten` bounds of pre-activations are optimised again every so many splits.
CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.bench import DATA, MEMORY, save, show
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates import tighten
from verifex.engine.search.gates.lookahead import GATES
from verifex.engine.search.gates.policy import SearchOptions
from verifex.problem.vnnlib.read import load_stated

CASES = [("256x2", "0_0.05"), ("256x4", "3_0.05"), ("256x4", "8_0.03"), ("256x6", "7_0.03"),
         ("256x4", "9_0.05")]
FOLDER = DATA / "vnncomp" / "mnist_fc"


WAYS = (
    ("scores alone", {"ahead": 0, "tighten": False}, 0),
    ("looking ahead", {"ahead": GATES, "tighten": False}, 0),
    ("tightened every 4", {"ahead": GATES, "tighten": True}, 4),
    ("every 2 (used)", {"ahead": GATES, "tighten": True}, 2),
    ("every split", {"ahead": GATES, "tighten": True}, 1),
)


def one(net: str, prop: str, options: dict[str, Any], every: int, limit: float) -> dict[str, Any]:
    """One instance; `open` where the limit came first."""
    query, network = f"vnnlib/prop_{prop}.vnnlib.gz", f"onnx/mnist-net_{net}.onnx.gz"
    stated = load_stated(FOLDER / query, FOLDER / network, as_real=False, cut=True)
    started, usual = time.process_time(), tighten.EVERY
    tighten.EVERY = every or usual
    try:
        found = decide_search(
            stated.problem, Budget(limit, MEMORY, 1), SearchOptions(**options)
        )
    finally:
        tighten.EVERY = usual
    word = "unsat" if found.closed else "sat" if found.witness else "open"
    return {"word": word, "seconds": time.process_time() - started,
            "domains": found.stats.domains}


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["network", "instance", *(f"{name}: s (domains)" for name, _, _ in WAYS)]
    rows = []
    for r in result["rows"]:
        cells = [f"{'> ' if w['word'] == 'open' else ''}{w['seconds']:.3g} ({w['domains']})"
                 for w in r["ways"]]
        rows.append([r["network"], r["instance"], *cells])
    return header, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0)
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "rows": []}
    for net, prop in CASES:
        ways = [one(net, prop, options, every, args.limit) for _, options, every in WAYS]
        row = {"network": net, "instance": f"prop_{prop}", "ways": ways}
        result["rows"].append(row)
        print(row, flush=True)
        save("lookahead", result)
    print(show(*table(result)))


if __name__ == "__main__":
    main()
