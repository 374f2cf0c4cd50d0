"""Whole processes on easy questions: seconds from the command to the checked answer.

    python -m benchmarks.startup --before 8e9f4a8 --rounds 5 --document docs/benchmarks.md

Each question is asked on the command line, in a process of its own; with `--before` by the code of
that revision too, in turn, which of both first changing from round to round. The table gives the
median of the rounds, wall, of a process that nothing else competes with, and whether it loaded
torch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import DATA, ROOT, save, show
from benchmarks.paired import tree

_RUN = """
import sys
from verifex.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
print("\\nENDED", code or 0, "torch" in sys.modules)
"""

def questions() -> dict[str, list[str]]:
    """The arguments of the commands, by what they ask."""
    examples = ROOT / "examples"
    stable, moves = str(examples / "top3_stable.toml"), str(examples / "top3_moves.toml")
    out = {
        "--help": ["--help"],
        "the README's example (3 largest stay)": ["verify", stable],
        "the same within 5 %: refuted": ["verify", moves],
        "the class alone stays": ["verify", stable, "--set", 'require=[{class="unchanged"}]'],
        "range of one component": ["bound", stable, "-e", "component:worst_texture"],
        "the attribution at x0": ["explain", stable],
    }
    acas = DATA / "vnncomp" / "acasxu_2023"
    nets, props = (sorted(acas.rglob(name)) for name in ("*1_1*.onnx*", "*prop_3.vnnlib*"))
    if nets and props:
        out["ACAS Xu 1_1, property 3"] = ["verify", str(nets[0]), str(props[0])]
    return out


def asked(arguments: list[str], state: Path) -> dict[str, Any]:
    """Seconds, exit code, and whether torch was loaded."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, check=False,
        env=_environment(state), cwd=state)
    seconds = time.monotonic() - started
    if "\nENDED " not in done.stdout:
        raise SystemExit(f"{arguments}: {done.stderr.strip()[-2000:]}")
    code, torch = done.stdout.rsplit("\nENDED ", 1)[1].split()
    return {"seconds": seconds, "code": int(code), "torch": torch == "True"}


def _environment(state: Path) -> dict[str, str]:
    """The code of one state, one thread, and compiled modules that are kept, as after an
    installation."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(state), "OMP_NUM_THREADS": "1"}


def measured(states: dict[str, Path], rounds: int) -> list[dict[str, Any]]:
    """The rows of the table."""
    rows = []
    for name, arguments in questions().items():
        found: dict[str, list[dict[str, Any]]] = {state: [] for state in states}
        for folder in states.values():
            asked(arguments, folder)  # compiles the modules and warms the file cache
        for number in range(rounds):
            order = list(states.items())[:: 1 if number % 2 else -1]
            for state, folder in order:
                found[state].append(asked(arguments, folder))
        codes = {entry["code"] for runs in found.values() for entry in runs}
        row = {"question": name, "codes": sorted(codes)} | {
            state: {"seconds": median(r["seconds"] for r in runs), "torch": runs[-1]["torch"]}
            for state, runs in found.items()}
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def table(result: dict[str, Any]) -> str:
    """The section's text."""
    states = [s for s in ("before", "after") if s in result["rows"][0]]
    header = ["question", *(f"{s}: s" for s in states), *(f"{s}: torch" for s in states), "exit"]
    lines = [[
        row["question"], *(f"{row[s]['seconds']:.2f}" for s in states),
        *("loaded" if row[s]["torch"] else "-" for s in states),
        ", ".join(map(str, row["codes"]))] for row in result["rows"]]
    before = f" --before {result['revision']}" if result["revision"] else ""
    return (
        f"`python -m benchmarks.startup{before} --rounds {result['rounds']}`: seconds, wall, of "
        "whole processes, the check of the certificate included; medians.\n\n"
        + show(header, lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="", help="a git revision to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--document", type=Path, help="the page that gets the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        states = {"before": tree(home / "before", options.before)} if options.before else {}
        states["after"] = tree(home / "after", None)
        rows = measured(states, options.rounds)
    result = {"revision": options.before, "rounds": options.rounds, "rows": rows}
    save("startup", result)
    text = table(result)
    print(text)
    if options.document is not None:
        from tests.helpers.document import section

        section(options.document, "Start-up", text)


if __name__ == "__main__":
    main()
