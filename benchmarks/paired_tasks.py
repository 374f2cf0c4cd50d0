"""One task of `paired.py`, run with the code of one state: CPU seconds and answer of each item.

    python paired_tasks.py TASK      (with that state's `verifex` and `benchmarks` on PYTHONPATH)

Prints one JSON object a line. It uses what all states have in common: the public functions, the
command lines, and the helpers of `bench.py`. Imports are done before the clock starts.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import bench

import verifex

Item = tuple[str, Callable[[], str]]
"""A name, and what is timed: it returns the answer."""

SECONDS = 300.0
OPENXAI = bench.DATA / "attribution_models" / "openxai"


def spent() -> float:
    """CPU seconds of this process and of the children that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def gradient_ranges() -> Iterator[Item]:
    """Both ends of every gradient component of the reference networks, one search each."""
    for name in ("mlp5_32_32_2", "mlp20_50_50_2"):
        if not (bench.DATA / "reference" / f"{name}.onnx").is_file():
            continue
        graph, data = bench.reference(name)
        for eps in ("0.02", "0.05", "0.1"):
            problem, forms = bench.components(graph, bench.ball(data["center"], eps), 0)

            def ends(problem=problem, forms=forms) -> str:
                both = [*forms, *(-form for form in forms)]
                found, _, _ = bench.search_minima(problem, both, SECONDS)
                return json.dumps([f"{one.attained:.9g}" for one in found])

            yield f"{name} at {eps}", ends


def l1_norm() -> Iterator[Item]:
    """The greatest L1 norm of a gradient."""
    small, centre = bench.random_network((10, 20, 20, 2), 0)
    cases = [("random 10-20-20-2", small, centre, eps) for eps in ("0.2", "0.3")]
    graph, data = bench.reference("mlp20_50_50_2")
    cases += [("20-50-50-2", graph, data["center"], eps) for eps in ("0.02", "0.05")]
    for name, graph, centre, eps in cases:
        problem, form = bench.l1_norm(graph, bench.ball(centre, eps), 0)

        def greatest(problem=problem, form=form) -> str:
            (found,), _, _ = bench.search_minima(problem, [-form], SECONDS)
            return f"{-found.attained:.9g}"

        yield f"{name} at {eps}", greatest


def acas_xu() -> Iterator[Item]:
    """Twenty instances, evenly spread over the list, by the program itself, without the check."""
    folder = bench.DATA / "vnncomp" / "acasxu_2023"
    with (folder / "ground_truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    try:
        program = importlib.import_module("verifex.cli.vnnlib.main").main
    except ModuleNotFoundError:
        program = importlib.import_module("verifex.cli.vnnlib_main").main
    home = importlib.import_module(program.__module__).__name__
    for row in rows[:: len(rows) // 20][:20]:
        words = ["verify", str(_there(folder / row["vnnlib"])), "--network",
                 str(_there(folder / row["onnx"])), "--timeout", f"{SECONDS:g}", "--no-check",
                 "--accept", "claimed"]
        yield f"{row['onnx']} {row['vnnlib']}", lambda words=words: _first_line(home, words)


def _there(path: Path) -> Path:
    return path if path.exists() else path.with_name(f"{path.name}.gz")


def _first_line(module: str, words: list[str]) -> str:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["nothing"])[0]


def _adult(eps: str, rows: int) -> Iterator[tuple[str, str]]:
    """Names and specs: top-3 of the absolute gradient, categorical features frozen."""
    data = OPENXAI / "data" / "adult-test.csv.gz"
    with gzip.open(data, "rt", newline="") as file:
        header, *lines = list(csv.reader(file))
    columns = {name: [line[k] for line in lines] for k, name in enumerate(header)}
    inputs = [name for name in header if name != "income"]
    frozen = [name for name in inputs if {float(v) for v in columns[name]} <= {0.0, 1.0}]
    least, most = ([bound(columns[name], key=float) for name in inputs] for bound in (min, max))
    for row in range(rows):
        yield f"row {row} at {eps}", f"""verifex = 1
network = "{OPENXAI / "onnx" / "adult_ann.onnx"}"
[input]
data = "{data}"
row = {row}
target = "income"
scale = {{ min = {json.dumps(least)}, max = {json.dumps(most)} }}
[region]
linf = {eps}
clip = [0, 1]
freeze = {json.dumps(frozen)}
[explain]
reduce = "abs"
[[require]]
top_k = 3
"""


def adult_top_3() -> Iterator[Item]:
    """Top-3 stability of thirty rows, by the search alone, without a certificate."""
    folder = Path(tempfile.mkdtemp())
    for name, text in _adult("0.02", 30):
        path = folder / f"{name.replace(' ', '-')}.toml"
        path.write_text(text)

        def stable(path=path) -> str:
            verdict = verifex.verify(None, path, engine="search", seconds=SECONDS, check=False)
            return str(verdict.outcome.value)

        yield name, stable


def checks() -> Iterator[Item]:
    """Nine certificates: what the checker takes, its process included; the same bytes are the same
    proof."""
    folder = Path(tempfile.mkdtemp())
    specs = islice(_reference_specs(), 6)
    adult = (text for _, text in _adult("0.2", 60))
    for number, text in enumerate([*specs, *islice(adult, 3)]):
        path, kept = folder / f"claim{number}.toml", folder / f"claim{number}.proof"
        path.write_text(text)
        verifex.verify(None, path, engine="search", seconds=SECONDS, check=False, certificate=kept)

        def check(kept=kept) -> str:
            said = _first_line("verifex", ["check", str(kept)]).split("(")[0].strip()
            return f"{said}, SHA-256 {hashlib.sha256(kept.read_bytes()).hexdigest()[:16]}"

        if kept.is_file():
            yield f"claim {number}", check


def _reference_specs() -> Iterator[str]:
    """Components of 20-50-50-2 a little above their published greatest values."""
    path = bench.DATA / "reference" / "mlp20_50_50_2.onnx"
    known = json.loads(path.with_suffix(".json").read_text())
    point = ", ".join(f'"{v!r}"' for v in known["center"])
    for index in (0, 3, 7, 11, 12, 15):
        most = known["ranges"]["0.05"]["upper"][index] + 0.01
        yield f"""verifex = 1
network = "{path}"
[input]
point = [{point}]
[region]
linf = 0.05
[explain]
output = "logit:0"
[[require]]
component = {index}
at_most = {most!r}
"""


TASKS = {task.__name__: task for task in (gradient_ranges, l1_norm, acas_xu, adult_top_3, checks)}


def main() -> None:
    for name, timed in TASKS[sys.argv[1]]():
        before = spent()
        answer = timed()
        line = {"item": name, "seconds": spent() - before, "answer": answer}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
