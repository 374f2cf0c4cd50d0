"""Run every benchmark and write docs/benchmarks.md from what they recorded.

    python -m benchmarks.run_all              # everything; about an hour
    python -m benchmarks.run_all --only l1_norm,branching
    python -m benchmarks.run_all --page       # only the page, from out/bench/*.json

No number on the page is typed: every one comes from the JSON that a script left in out/bench.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks import (
    adult_top3,
    balls,
    branching,
    deadlines,
    gpu_bounds,
    gradient_ranges,
    hand_over,
    input_splits,
    l1_norm,
    large_top_k,
    lookahead,
    mnist_components,
    open_gates,
    profile_hot,
    root_bounds,
    search_threads,
    vnncomp_suite,
    vnnlib_peers,
)
from benchmarks.bench import OUT, ROOT, show

NETWORK = ROOT / "out" / "mnist_784_100_100_10.onnx"
SCRIPTS: dict[str, list[str]] = {
    "gradient_ranges": [], "l1_norm": ["--limit", "120"], "adult_top3": [],
    "mnist_components": [str(NETWORK)],
    "input_splits": [], "root_bounds": [], "open_gates": [], "branching": [], "profile_hot": [],
    "gpu_bounds": [], "search_threads": [], "hand_over": [], "balls": [],
    "lookahead": [], "large_top_k": [], "deadlines": [],
}
PAGE = ROOT / "docs" / "benchmarks.md"
PEERS = "### ACAS Xu beside other verifiers"


def run(names: list[str]) -> int:
    """Run scripts one after the other, one thread each; how many failed."""
    failed = 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if "mnist_components" in names and not NETWORK.exists():
        train = [sys.executable, "-m", "benchmarks.train_mnist", str(NETWORK)]
        failed += subprocess.run(train, env=environment, cwd=ROOT, check=False).returncode != 0
    for name in names:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *SCRIPTS[name]]
        failed += subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode != 0
    return failed


# --- the page ---------------------------------------------------------------------------------


def kept(name: str) -> dict[str, Any] | None:
    path = OUT / f"{name}.json"
    if not path.exists():
        return None
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def met(ok: bool, why: str = "") -> str:
    return "met" if ok else f"missed: {why}" if why else "missed"


def ranges_section(r: dict[str, Any]) -> list[str]:
    lines, ratio = [show(*gradient_ranges.table(r)), ""], {}
    for key, e in r["eps"].items():
        if "a" in e:
            ours = e["ours"]["seconds"] * len(e["a"]) / e["ours"]["queries"]
            ratio[key.split()[1]] = (
                sum(q["seconds"] for q in e["a"]) / ours,
                (sum(q["seconds"] for q in e["b"]) + e["root"]) / ours,
            )
    for eps, goal_a, goal_b in (("0.02", 5, 1), ("0.05", 10, 3)):
        if eps not in ratio:
            lines.append(f"* eps {eps}: not run to its end.")
            continue
        a, b = ratio[eps]
        lines.append(
            f"* eps {eps}: target {goal_a}x over (a), measured {a:.2g}x: {met(a >= goal_a)}. "
            f"Target {goal_b}x over (b), measured {b:.2g}x: {met(b >= goal_b)}."
        )
    lines += [
        "", "One search answers all queries, so they share its seconds; (a) and (b) pay for",
        "each. Queries are every fourth component where fewer than 40 are named.", "",
        "Entries of the published files that are off by more than 1e-6 (they were computed by a",
        "MILP with a solver's default tolerances). Every value of ours is attained at a point and",
        "matched by the search to rounding; for the small network z3 confirms, in exact",
        "arithmetic, that no input reaches a threshold halfway between the two values.", "",
        show(*gradient_ranges.deviations(r)), "",
        "All other entries agree to "
        f"{max(e['ours']['largest_other_difference'] for e in r['eps'].values()):.1g}.",
    ]
    return lines


def norm_section(r: dict[str, Any]) -> list[str]:
    lines = [show(*l1_norm.table(r)), ""]
    for row in r["rows"]:
        if not row["closed"]:
            verdict = f"missed: open after {r['limit']:g} s"
        else:
            least = row["a"]["seconds"] / row["seconds"]
            if row["a"]["done"] or least >= 10:
                verdict = f"{'' if row['a']['done'] else '>= '}{least:.2g}x, " + met(least >= 10)
            else:
                verdict = (f"not shown: (a) was stopped after {row['a']['seconds']:.0f} s, "
                           f"at {least:.2g}x")
        lines.append(f"* {row['network']}, eps {row['eps']}: target 10x over (a); {verdict}.")
    both = [x for x in r["rows"] if x["eps"] in ("0.5", "1")]
    lines.append("* 10-20-20-2 at .5 and 1 closed within 60 s: "
                 + met(all(x["closed"] and x["seconds"] <= 60 for x in both),
                       ", ".join(f"{x['seconds']:.3g} s" for x in both)) + ".")
    return lines


def adult_section(r: dict[str, Any]) -> list[str]:
    header, (row,) = adult_top3.table(r)
    at = dict(zip(header, row, strict=True))
    return [show(header, [row]), "",
            f"* Target 5x over (b): measured {at['(b) / ours']:.2g}x: "
            + met(at["(b) / ours"] >= 5, "bounds alone close most rows for both") + ".",
            f"* None open: {at['open']} open: {met(at['open'] == 0)}."]


def balls_section(r: dict[str, Any]) -> list[str]:
    closed = sum(x["verdict"] == "proved" for x in r["rows"])
    boxes = sum(x["box"] for x in r["rows"])
    return [show(*balls.table(r)), "",
            f"{closed} of {len(r['rows'])} questions are proved, with certificates that the",
            f"checker accepts; {boxes} would be if a ball counted as its box. `s` is for verdicts",
            "with certificate and check, `box: search` for the search alone."]


def mnist_section(r: dict[str, Any]) -> list[str]:
    ours = r["ours"]
    ok = ours["within"] == 1 and ours["seconds"] <= 600
    return [show(*mnist_components.table(r)), "",
            f"* Target: exact or a gap under 1 % for each of {r['components']} components within "
            f"10 minutes: {ours['within']:.1%} in {ours['seconds']:.0f} s: {met(ok)}."]


def root_section(r: dict[str, Any]) -> list[str]:
    ratio = r["widths"][2]["width"] / r["exact"]
    return [show(*root_bounds.table(r)), "",
            f"* Target at most 1.3x the exact width: measured {ratio:.3f}x: {met(ratio <= 1.3)}. "
            "More steps, and a second pass over all node bounds, change nothing: this is the limit "
            "of the relaxation with bounds that are shared by all rows."]


def gates_section(r: dict[str, Any]) -> list[str]:
    return [show(*open_gates.table(r)), "",
            f"The sweep stops at the first eps that is not closed within {r['limit']:g} s."]


def rules_section(r: dict[str, Any]) -> list[str]:
    return [
        show(*branching.table(r)), "",
        'The search scores by "gap". Bounds are refreshed up to 64 inputs and 512 gates; the order',
        "is by layers where random points show few cells of the first layer, else by scores.",
        "",
        "Tried on 10-20-20-2 and left out, since nothing was gained there: looking ahead (it pays",
        "on larger networks, see below); bounds refreshed by gradient steps, whose multipliers are",
        "worse than those of the linear programs and cost more; scores at the programs' least",
        "points; handing subtrees to a MILP (see below). Phase pairs that exclude each other are",
        "not kept in a table: the programs bound every gate under all splits of a domain, which",
        "says what a pair says and more, and find a domain that holds such a pair empty.",
    ]


def ahead_section(r: dict[str, Any]) -> list[str]:
    return [show(*lookahead.table(r)), "",
            f"`>`: open after {r['limit']:g} s. Where bounds are not refreshed on every domain",
            "(networks of more than 64 inputs or 512 gates), the halves of eight gates are",
            "compared, and every two splits the undecided pre-activations of a domain are bounded",
            "anew with multipliers for its splits (tighten.py); children inherit that, and gates",
            "of earlier layers are split first. Tightening begins (from the root) once 800 domains",
            "did not suffice; here it is on from the first. Multipliers are searched for in",
            "float32 on these networks."]


def profile_section(r: dict[str, Any]) -> list[str]:
    return ["By cumulative time, functions of verifex only:", "",
            show(*profile_hot.table(r, "cumulative")), "", "By own time:", "",
            show(*profile_hot.table(r, "own"))]


def splits_section(r: dict[str, Any]) -> list[str]:
    return ["A box with at most N undecided units is split on one of them if that unit's loss is",
            "at least S times the score of the best side; N = 0 never does. (16, 0.5) is used.", "",
            show(*input_splits.table(r)), "",
            f"`>`: open after {r['limit']:g} s."]


def threads_section(r: dict[str, Any]) -> list[str]:
    long = [x for x in r["rows"] if x["1"]["unhindered"] >= 10]
    lines = [show(*search_threads.beside_table(r)), "", show(*search_threads.table(r)), "",
             "Other processes ran meanwhile (see the load): the last three columns divide wall",
             "seconds, wall seconds without those in which the first process waited for a",
             "processor, and CPU seconds of the busiest process.", ""]
    for x in long:
        ratio = x["1"]["unhindered"] / x["2"]["unhindered"]
        lines.append(f"* {x['search']}, eps {x['eps']}, {x['1']['unhindered']:.3g} s: target 1.6x, "
                     f"measured {ratio:.3g}x (wall {x['1']['wall'] / x['2']['wall']:.3g}x): "
                     f"{met(ratio >= 1.6)}.")
    return lines


def handover_section(r: dict[str, Any]) -> list[str]:
    each = [(x["ways"]["intervals"]["seconds"], x["ways"]["hull, cut"]["seconds"])
            for x in r["rows"] if x["ways"]["hull, cut"]["done"]]
    wins = [x["name"] for x in r["rows"] if x["closed"]
            and x["on"] < min([w["seconds"] for w in x["ways"].values() if w["done"]],
                              default=float("inf"))]
    closed = [x for x in r["rows"] if x["closed"]]
    lines = [show(*hand_over.table(r)), "",
             f"`>`: stopped after {r['limit']:g} s (a MILP) or {r['on']:g} s (the search). \"All",
             "open, one by one\" is the mean of a sample times the number of open domains.",
             "Searching on: a search of this question alone, less its seconds up to that many",
             "domains.", ""]
    if each:
        ratio = [a / b for a, b in each]
        lines.append(f"* The hull with the cut is {min(ratio):.2g} to {max(ratio):.2g} times as "
                     "fast as interval bounds: it is what a solver gets after a search.")
    lines.append(f"* Searching on is faster than the best MILP in {len(wins)} of the {len(closed)} "
                 "questions that it closes: it hands over when its share of the time is spent, "
                 "not before.")
    return lines


def device_section(r: dict[str, Any]) -> list[str]:
    return [f"{r['device']}, {r['dtype']}, {r['threads']} thread(s); a matrix product runs at "
            f"{r['matmul'] / 1e9:.3g} Gflop/s; {r['per_bound']} operations a bound.", "",
            show(*gpu_bounds.table(r))]


def _suite(row: str) -> tuple[str, bool]:
    """Which suite a row of the table is about, and whether certificates were asked for."""
    cells = [c.strip() for c in row.strip("| ").split("|")]
    return cells[0].split(",")[0], len(cells) > 6 and cells[6] != "not asked"


def suites_section(before: list[str]) -> list[str]:
    """Suites of VNN-COMP, whichever were run, and the peers; what was not run here stays as the
    page had it (`before`)."""
    said = before[: before.index(PEERS)] if PEERS in before else before
    lines = ["## VNN-COMP suites", "",
             "`python -m benchmarks.vnncomp_suite NAME [--no-check] [--only ...] [--limit S]`; an",
             "instance is a process of its own, and every second of it counts (imports, reading,",
             "search; the checker apart). Answers are compared with the ground truth.", ""]
    found = vnncomp_suite.merged(
        [json.loads(p.read_text()) for p in sorted(OUT.glob("vnncomp_*.json"))]
    )
    rows = []
    for r in found:
        _, (row,) = vnncomp_suite.table(r)
        limit = f", {r['limit']:g} s each" if r["limit"] else ""
        rows.append([f"{row[0]}{limit}", *row[1:]])
    table = show(vnncomp_suite.HEADER, rows).splitlines()
    known = set(map(_suite, table))
    old = [row for row in said if row.startswith("| ") and "|---" not in row
           and not row.startswith("| suite") and _suite(row) not in known]
    names = {_suite(row)[0] for row in old} - {name for name, _ in known}
    lines += [*table[:2], *sorted([*table[2:], *old]), ""]
    lines += [text for text in said if text.startswith("* ") and text[2:].split(",")[0] in names]
    for r in found:
        left = [f"{x['onnx'].split('/')[-1]} {x['vnnlib'].split('/')[-1]} ({x['expected']})"
                for x in r["rows"] if x["word"] not in ("sat", "unsat")]
        if left:
            lines += [f"* {r['suite']}, open: {', '.join(left)}."]
        late = [x for x in r["rows"] if x["word"] == "unsat" and x["check"] != "valid"]
        if late and r["checked"]:
            lines += [f"* {r['suite']}: {len(late)} of the unsat answers rest on the search alone, "
                      "their check did not end in time (or the checker cannot read the network)."]
        whole = vnncomp_suite.instances(r["suite"])
        if len(r["rows"]) < whole:
            lines += [f"* {r['suite']}{', with certificates' if r['checked'] else ''}: "
                      f"{len(r['rows'])} of {whole} instances were run."]
    peers = kept("vnnlib_peers")
    if peers is None and PEERS in before:
        return [*lines, "", *before[before.index(PEERS):]]
    lines += ["", PEERS, ""]
    if peers is None:
        return [*lines, "Not run yet (`vnnlib_peers.py`).", ""]
    return [*lines, f"{len(peers['rows'])} instances, {peers['limit']:g} s each, one thread, CPU",
            "seconds of whole processes in one run (`python -m benchmarks.vnnlib_peers --marabou",
            "... --vibecheck ...`). A tool that ends without an answer counts with the time it",
            "took.", "", show(*vnnlib_peers.table(peers)), ""]


SECTIONS: list[tuple[str, str, Any]] = [
    ("gradient_ranges", "Ranges of all gradient components, 20-50-50-2", ranges_section),
    ("l1_norm", "Largest L1 norm of the gradient", norm_section),
    ("adult_top3", "Top-3 stability of 100 Adult rows, eps .02", adult_section),
    ("balls", "Top-3 stability in l1 and l2 balls, Adult and German credit", balls_section),
    ("mnist_components", "784-100-100-10, all components at 2/255", mnist_section),
    ("large_top_k", large_top_k.TITLE, large_top_k.page_section),
    ("root_bounds", "Gradient bounds at the root, 20-50-50-2, eps .05", root_section),
    ("open_gates", "Time against the number of open gates, 20-50-50-2", gates_section),
    ("branching", "What to split on", rules_section),
    ("lookahead", "Looking ahead and tightening, mnist_fc", ahead_section),
    ("input_splits", "Search over inputs: sides or units", splits_section),
    ("search_threads", "Search on two processes", threads_section),
    ("hand_over", "What a search leaves, handed to a MILP", handover_section),
    ("profile_hot", "Profile of the search, 40 ranges at eps .05", profile_section),
    ("deadlines", deadlines.TITLE, deadlines.page_section),
    ("gpu_bounds_cpu", "Bounds a second, CPU", device_section),
    ("gpu_bounds_cuda", "Bounds a second, GPU", device_section),
]


def sections(text: str) -> dict[str, list[str]]:
    """The lines below each heading of a page."""
    found: dict[str, list[str]] = {}
    for part in text.split("\n## ")[1:]:
        title, *lines = part.split("\n")
        found[title] = [*lines[1:]] if lines and lines[-1] == "" else [*lines[1:], ""]
    return found


def page() -> str:
    """The document, from the results that there are."""
    before = sections(PAGE.read_text()) if PAGE.exists() else {}
    lines = [
        "# Benchmarks", "", "Written by `python -m benchmarks.run_all`; every number comes from a",
        "script's record. Times are CPU seconds of one thread, ours and the baselines' in the same",
        "process, so that ratios do not depend on what else runs; limits are wall time.",
        "(a) is the MILP that one would write by hand (interval bounds, big-M, HiGHS to a relative",
        "1e-6), (b) HiGHS on our encoding with our best root bounds.", "",
    ]
    for name, title, section in SECTIONS:
        data = kept(name)
        if data is None and name == "gpu_bounds_cuda":
            continue
        lines += [f"## {title}", ""]
        if data is None:  # not run here: what the page said of an earlier run stands, with its date
            lines += before.get(title, [f"Not run yet (`{name}.py`).", ""])
            continue
        m = data["machine"]
        lines += [*section(data), "",
                  f"({m['date']}, {m['cores']} cores, load {m['load']:.1f}, torch {m['torch']})",
                  ""]
    lines += suites_section(before.get("VNN-COMP suites", []))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SCRIPTS))
    parser.add_argument("--page", action="store_true", help="only write the page")
    args = parser.parse_args()
    failed = 0 if args.page else run(args.only.split(","))
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
