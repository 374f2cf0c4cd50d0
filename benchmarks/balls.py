"""What balls in the bounds prove that their boxes do not: top-3 stability in l1 and l2 balls.

    python -m benchmarks.balls --rows 40

Do the three features with the largest |gradient| of the predicted class stay the three largest when
the continuous ones move within a ball, clipped to [0, 1], with the categorical ones frozen? Each
question is verified (search alone, certificate checked), and its search is run again on the ball's
box: what that closes is what could be proved if a ball counted as its box. CPU seconds, the
checker's process included; one thread.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.adult_german import DATA, TARGETS, categorical, spec_text
from benchmarks.bench import MEMORY, save, show
from verifex.api import build, verify
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.policy import SearchOptions
from verifex.errors import InputError

RADII = {"l1": ("0.05", "0.2", "0.5"), "l2": ("0.02", "0.1", "0.3")}


def cpu() -> float:
    """CPU seconds of this process and of those it waited for."""
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + child.ru_utime + child.ru_stime


def ask(network: Path, spec: Path, seconds: float) -> dict[str, Any] | None:
    """One question in both readings; None where it is not well posed."""
    try:
        problem = build(network, spec)
    except InputError:
        return None
    started = cpu()
    verdict = verify(network, spec, seconds=seconds, engine="search")
    took, started = cpu() - started, cpu()
    box = replace(problem, region=replace(problem.region, balls=()))
    found = decide_search(box, Budget(seconds, MEMORY, 1), SearchOptions())
    closed = found.closed is not None and not found.stats.ties
    return {"verdict": verdict.outcome.value, "seconds": took, "box": closed,
            "box_seconds": cpu() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--limit", type=float, default=20.0)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for dataset, target in TARGETS.items():
            network = DATA / "onnx" / f"{dataset}_ann.onnx"
            frozen = categorical(DATA / "data" / f"{dataset}-test.csv.gz", target)
            for norm, radius in ((n, r) for n, radii in RADII.items() for r in radii):
                for row in range(args.rows):
                    spec = Path(folder) / "spec.toml"
                    text = spec_text(dataset, "gradient", radius, row, frozen)
                    spec.write_text(text.replace("linf =", f"{norm} ="))
                    found = ask(network, spec, args.limit)
                    if found is not None:
                        rows.append({"network": dataset, "norm": norm, "radius": radius, **found})
    result = {"rows": rows, "limit": args.limit}
    save("balls", result)
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    out = []
    for key in dict.fromkeys((r["network"], r["norm"], r["radius"]) for r in result["rows"]):
        part = [r for r in result["rows"] if (r["network"], r["norm"], r["radius"]) == key]
        count = {w: sum(r["verdict"] == w for r in part) for w in ("proved", "refuted")}
        out.append([
            *key, len(part), count["proved"], sum(r["box"] for r in part), count["refuted"],
            len(part) - sum(count.values()), sum(r["seconds"] for r in part),
            median(r["seconds"] for r in part), sum(r["box_seconds"] for r in part),
        ])
    return ["network", "norm", "radius", "rows", "proved", "closed on the box", "refuted", "open",
            "s", "median s", "box: search, s"], out


if __name__ == "__main__":
    main()
