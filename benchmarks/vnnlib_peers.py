"""ACAS Xu beside other verifiers, on one machine in one run: CPU seconds of whole processes.

    python -m venv m && m/bin/pip install maraboupy onnx onnxruntime
    python -m venv v && v/bin/pip install torch==2.13.0 vibecheck-nn
    python -m benchmarks.vnnlib_peers --marabou m/bin/python --vibecheck v/bin/vibecheck

Twenty instances, chosen once by position in the list (every ninth one of properties 1 to 4, whose
output part is one conjunction). Every tool gets one thread and the same limit. Ours is
`verifex-vnnlib verify`, once with the certificate checked and once without.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import DATA, save, show
from benchmarks.vnncomp_suite import VERIFY, timed
from verifex.cli.vnnlib.vnncomp import existing
from verifex.ir.formula import atoms, negate
from verifex.problem.vnnlib.read import load_query

FOLDER = DATA / "vnncomp" / "acasxu_2023"


def subset() -> list[dict[str, str]]:
    """The twenty instances."""
    with (FOLDER / "ground_truth.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if re.search(r"prop_[1-4]\.", r["vnnlib"])]
    return rows[::9][:20]


def unpacked(row: dict[str, str], folder: Path) -> tuple[Path, Path, Path]:
    """Plain copies of both files, and the query as numbers."""
    network, query = existing(FOLDER / row["onnx"]), existing(FOLDER / row["vnnlib"])
    plain = folder / "net.onnx", folder / "query.vnnlib"
    for source, target in zip((network, query), plain, strict=True):
        data = source.read_bytes()
        target.write_bytes(gzip.decompress(data) if source.suffix == ".gz" else data)
    problem = load_query(query, network)
    lo, hi = problem.region.float_box()
    (out,) = problem.graph.outputs.values()
    rows = []
    for atom in atoms(negate(problem.require)):
        coefs = [0.0] * problem.graph.nodes[out].size
        for (_, k), c in atom.form.terms:
            coefs[k] = float(c)
        rows.append([coefs, float(atom.form.const)])
    numbers = folder / "query.json"
    numbers.write_text(json.dumps({"lo": lo.tolist(), "hi": hi.tolist(), "rows": rows}))
    return *plain, numbers


def answer_of(out: str) -> str:
    found = re.findall(r"\b(unsat|sat|timeout|timed-out|unknown|holds|violated)\b", out)
    return str(found[-1]) if found else "error"


def tools(args: argparse.Namespace, files: tuple[Path, Path, Path]) -> dict[str, list[str]]:
    """The commands to compare."""
    network, query, numbers = map(str, files)
    ours = [*VERIFY, query, "--network", network, "--timeout", str(args.limit)]
    claims = ["--accept", "claimed"]
    found = {"verifex": [*ours, "--no-check", *claims],
             "verifex, certificate checked": [*ours, *claims]}
    if args.marabou:
        script = str(Path(__file__).with_name("peers") / "marabou.py")
        found["Marabou"] = [args.marabou, script, network, numbers, str(args.limit)]
    if args.vibecheck:
        result = str(files[0].with_name("result"))
        found["vibecheck"] = [args.vibecheck, "--net", network, "--spec", query, "--timeout",
                              str(args.limit), "--device", "cpu", "--results-file", result]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marabou", help="Python of an environment with maraboupy")
    parser.add_argument("--vibecheck", help="the command of vibecheck-nn")
    parser.add_argument("--limit", type=float, default=116.0)
    args = parser.parse_args()
    result: dict[str, Any] = {"limit": args.limit, "rows": []}
    for row in subset():
        entry: dict[str, Any] = {"onnx": row["onnx"], "vnnlib": row["vnnlib"],
                                 "expected": row["expected"], "tools": {}}
        with tempfile.TemporaryDirectory() as folder:
            for tool, command in tools(args, unpacked(row, Path(folder))).items():
                out, err, wall, cpu = timed(command, args.limit)
                kept = Path(folder) / "result"
                if tool == "vibecheck" and kept.exists():
                    out = kept.read_text()
                    kept.unlink()
                word = answer_of(out.splitlines()[0] if tool.startswith("verifex") and out else out)
                entry["tools"][tool] = {"word": word, "wall": wall, "cpu": cpu,
                                        "error": err[-300:] if word == "error" else ""}
        result["rows"].append(entry)
        told = ", ".join(f"{t} {v['word']} {v['cpu']:.2f}" for t, v in entry["tools"].items())
        print(f"{row['onnx'][17:20]} {row['vnnlib'][7:-7]} ({row['expected']}): {told}", flush=True)
        save("vnnlib_peers", result)
    print(show(*table(result)))
    return 0


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """One line a tool; time-outs count with the time they took."""
    header = ["tool", "decided", "wrong", "median CPU s", "longest", "median wall s",
              "median ratio to verifex"]
    rows = []
    for tool in result["rows"][0]["tools"]:
        got = [r["tools"][tool] for r in result["rows"]]
        base = [r["tools"]["verifex"]["cpu"] for r in result["rows"]]
        wrong = sum({g["word"], r["expected"]} == {"sat", "unsat"}
                    for g, r in zip(got, result["rows"], strict=True))
        rows.append([
            tool, sum(g["word"] in ("sat", "unsat") for g in got), wrong,
            median(g["cpu"] for g in got), max(g["cpu"] for g in got),
            median(g["wall"] for g in got),
            median(g["cpu"] / b for g, b in zip(got, base, strict=True)),
        ])
    return header, rows


if __name__ == "__main__":
    raise SystemExit(main())
