"""Two states of the code in one run, task by task and in turn: the same answers, and how fast.

    python -m benchmarks.paired --before 2adb4c7 --rounds 3 --document docs/benchmarks.md

`--before` is any revision; the other state is the working tree. Each task of `paired_tasks.py` runs
in a process of its own with the code of either state, which of them first changing from round to
round. A ratio is CPU seconds after / before of one item in one round; the table gives the median
over items and rounds, and the sums of each item's least time. The exit code is 1 where an answer
differs, except for answers that took a time limit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import DATA, ROOT, save, show

PARTS = ("verifex", "solvers", "specs", "benchmarks", "examples", "tests")
TASKS = ("gradient_ranges", "l1_norm", "acas_xu", "adult_top_3", "checks")


def tree(folder: Path, revision: str | None) -> Path:
    """The code of a revision (None: the working tree), laid out as it is once installed."""
    folder.mkdir()
    if revision is None:
        for part in PARTS:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    else:
        archive = subprocess.run(
            ["git", "archive", revision, *PARTS], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    for part in ("solvers", "specs"):
        (folder / "verifex" / part).symlink_to(folder / part)
    # bench.py looks for the data beside the repository.
    (folder.parent / "shared").unlink(missing_ok=True)
    (folder.parent / "shared").symlink_to(DATA.parent)
    return folder


def run(task: str, state: Path, script: Path) -> dict[str, dict[str, Any]]:
    """Items of a task with the code of one state, by name."""
    paths = os.pathsep.join([str(state), str(state / "benchmarks")])
    done = subprocess.run(
        [sys.executable, str(script), task], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}, cwd=script.parent,
    )
    if done.returncode:
        raise SystemExit(f"{task} with {state.name}: {done.stderr.strip()[-2000:]}")
    items = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {item["item"]: item for item in items}


def measured(task: str, states: tuple[Path, Path], script: Path, rounds: int) -> dict[str, Any]:
    """Ratios and answers of one task."""
    ratios: list[float] = []
    least: list[dict[str, float]] = [{}, {}]
    differ: list[str] = []
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        found: dict[int, dict[str, dict[str, Any]]] = {}
        for which in order:
            found[which] = run(task, states[which], script)
        if found[0].keys() != found[1].keys():
            raise SystemExit(f"{task}: not the same items: {found[0].keys() ^ found[1].keys()}")
        for name, before in found[0].items():
            after = found[1][name]
            ratios.append(after["seconds"] / max(1e-9, before["seconds"]))
            for which in (0, 1):
                seconds = found[which][name]["seconds"]
                least[which][name] = min(seconds, least[which].get(name, seconds))
            if before["answer"] != after["answer"]:
                differ.append(f"{task}, {name}: {before['answer']} before, {after['answer']} after")
    return {
        "task": task, "items": len(least[0]), "ratio": median(ratios),
        "before": sum(least[0].values()), "after": sum(least[1].values()), "differ": differ,
    }


def table(result: dict[str, Any]) -> str:
    """The section's text."""
    header = ["task", "items", "median of after / before", "before: s", "after: s", "answers"]
    rows = []
    for row in result["tasks"]:
        agree = f"{len(row['differ'])} differ" if row["differ"] else "equal"
        rows.append([row["task"].replace("_", " "), row["items"], f"{row['ratio']:.3f}",
                     f"{row['before']:.1f}", f"{row['after']:.1f}", agree])
    return (
        f"`python -m benchmarks.paired --before {result['revision']} --rounds {result['rounds']}`: "
        "CPU seconds of one thread, both states in turn in one run.\n\n" + show(header, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="a git revision")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TASKS), help="tasks, separated by commas")
    parser.add_argument("--document", type=Path, help="the page that gets the table")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp())
    states = tree(home / "before", options.before), tree(home / "after", None)
    script = home / "tasks" / "paired_tasks.py"
    script.parent.mkdir()
    shutil.copy(Path(__file__).with_name(script.name), script)
    result: dict[str, Any] = {"revision": options.before, "rounds": options.rounds, "tasks": []}
    for task in options.only.split(","):
        row = measured(task, states, script, options.rounds)
        result["tasks"].append(row)
        print(f"{task}: {row['ratio']:.3f} over {row['items']} items", flush=True)
        print("\n".join(row["differ"]), flush=True)
        save("paired", result)
    shutil.rmtree(home)
    text = table(result)
    print(text)
    if options.document is not None:
        from tests.helpers.document import section

        section(options.document, "Paired with an earlier state", text)
    sys.exit(1 if any(row["differ"] for row in result["tasks"]) else 0)


if __name__ == "__main__":
    main()
