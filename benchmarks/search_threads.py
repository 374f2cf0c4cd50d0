"""One search on two processes against one, and why processes and not threads.

    python -m benchmarks.search_threads --limit 600

The greatest L1 norm of a logit's gradient (random 10-20-20-2, see l1_norm.py), as a range and as a
claim with a record for a certificate. Wall seconds depend on what else runs, so two more columns
stand beside them: the first process's wall seconds less those in which it waited for a processor,
and the CPU seconds of the busiest process.
"""

from __future__ import annotations

import argparse
import os
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.bench import MEMORY, ball, l1_norm, random_network, save, show
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.policy import SearchOptions, Stats
from verifex.ir.formula import Atom, Form
from verifex.ir.problem import Problem

REPEATS = 6


def waited() -> float:
    """Seconds in which this thread could run and was given no processor (Linux)."""
    text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    return int(text.split()[1]) / 1e9


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(work: Callable[[], Stats]) -> dict[str, Any]:
    """Seconds of one search; what its other processes took is known once they are gone."""
    wall, cpu, wait, others = time.perf_counter(), time.process_time(), waited(), children()
    stats = work()
    wall, wait = time.perf_counter() - wall, waited() - wait
    cpu, others = time.process_time() - cpu, children() - others
    return {"wall": wall, "unhindered": wall - wait, "busiest": max(cpu, others),
            "total": cpu + others, "domains": stats.domains, "lost": len(stats.lost)}


def searches(eps: str, limit: float) -> dict[str, Callable[[int], Stats]]:
    """The range and the claim, each by its number of threads."""
    graph, centre = random_network((10, 20, 20, 2), 0)
    problem, form = l1_norm(graph, ball(centre, eps), 0)
    greatest = 0.0

    def as_range(threads: int) -> Stats:
        nonlocal greatest
        budget = Budget(limit, MEMORY, threads)
        found, stats, _, _ = minima(problem, [-form], budget, SearchOptions())
        greatest = -found[0].attained
        return stats

    def as_claim(threads: int) -> Stats:
        top = Fraction(greatest) * Fraction(1001, 1000)
        claim = Atom(Form((-form).terms, top))
        budget = Budget(limit, MEMORY, threads)
        found = decide_search(replace(problem, require=claim), budget, SearchOptions())
        if found.closed is None:
            raise SystemExit("the claim was not closed: give it a higher --limit")
        return found.stats

    return {"range": as_range, "claim, recorded": as_claim}


def both_at_once(problem: Problem, forms: list[Form], domains: int) -> dict[str, float]:
    """Two equal searches one after the other, on two threads, on two processes: wall seconds, the
    least of some runs, for other work on the machine only adds to them."""
    def one() -> None:
        minima(problem, forms, Budget(120.0, MEMORY, 1), SearchOptions(max_domains=domains))

    def in_turn() -> None:
        one()
        one()

    def threads() -> None:
        both = [threading.Thread(target=one) for _ in range(2)]
        for t in both:
            t.start()
        for t in both:
            t.join()

    def processes() -> None:
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                one()
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)

    ways = {"one after the other": in_turn, "two threads": threads, "two processes": processes}
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(REPEATS):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            least[name] = min(least[name], time.perf_counter() - started)
    return least


def table(r: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["search", "threads", "domains", "wall, s", "less waiting for a processor, s",
              "CPU of the busiest process, s", "CPU of all, s", "1 / 2: wall", "less waiting",
              "busiest"]
    rows: list[list[Any]] = []
    for row in r["rows"]:
        one = row["1"]
        for threads in ("1", "2"):
            e = row[threads]
            ratio = [one[k] / e[k] for k in ("wall", "unhindered", "busiest")]
            rows.append([
                f"{row['search']}, eps {row['eps']}", threads, e["domains"], e["wall"],
                e["unhindered"], e["busiest"], e["total"], *(ratio if threads == "2" else [""] * 3),
            ])
    return header, rows


def beside_table(r: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    base = r["beside"]["one after the other"]
    return ["two equal searches", "wall, s", "speed-up"], [
        [how, took, base / took] for how, took in r["beside"].items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--eps", default="0.3,0.5")
    args = parser.parse_args()
    graph, centre = random_network((10, 20, 20, 2), 0)
    problem, form = l1_norm(graph, ball(centre, "0.5"), 0)
    result: dict[str, Any] = {"rows": [], "limit": args.limit}
    result["beside"] = both_at_once(problem, [-form], 800)
    print(result["beside"], flush=True)
    for eps in args.eps.split(","):
        for name, search in searches(eps, args.limit).items():
            row: dict[str, Any] = {"search": name, "eps": eps}
            for threads in (1, 2):
                row[str(threads)] = measured(lambda s=search, n=threads: s(n))
            result["rows"].append(row)
            print(row, flush=True)
            save("search_threads", result)
    print(show(*beside_table(result)), show(*table(result)), sep="\n\n")


if __name__ == "__main__":
    main()
