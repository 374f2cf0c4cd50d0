"""Satisfiability problems as ReLU networks, beside the same clauses in z3 and other verifiers.

    python -m benchmarks.sat_networks [--vibecheck v/bin/vibecheck] [--limit 60] [--every 1]
    python -m benchmarks.sat_networks --files FOLDER      only writes the files

Random 3-SAT from seeds: 10 to 30 variables, 3 to 4.3 clauses a variable. Each formula becomes a
network and a query that is `sat` if and only if the formula is satisfiable, in two encodings
(`exact_query`, `rounding_query`); z3 on the clauses says which. Every tool is a process of its own
with one thread; seconds are wall clock, and CPU seconds stand beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.bench import save, show
from benchmarks.vnncomp_suite import timed
from benchmarks.vnnlib_peers import answer_of

TITLE = "Satisfiability problems as ReLU networks"

SEEDS: dict[tuple[int, float], tuple[int, ...]] = {
    (10, 3.0): (0, 32), (10, 3.4): (0, 13), (10, 3.8): (0, 3), (10, 4.3): (0, 2),
    (14, 3.0): (0, 334), (14, 3.4): (0, 20), (14, 3.8): (0, 4), (14, 4.3): (0, 11),
    (18, 3.0): (0,), (18, 3.4): (0, 57), (18, 3.8): (0, 2), (18, 4.3): (0, 1),
    (22, 3.0): (0,), (22, 3.4): (0, 127), (22, 3.8): (0, 22), (22, 4.3): (0, 2),
    (26, 3.0): (0,), (26, 3.4): (0, 27), (26, 3.8): (0, 2), (26, 4.3): (0, 4),
    (30, 3.0): (0,), (30, 3.4): (0, 42), (30, 3.8): (0, 31), (30, 4.3): (0, 8),
}
"""Variables and clauses a variable -> seeds: the first whose formula has a solution, and the first
without, where one of the first few hundred has none."""

Clause = tuple[int, ...]
"""Literals: k + 1 for variable k, -(k + 1) for its negation."""

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weights (out, in) and bias (out,); a ReLU follows all layers but the last."""


@dataclass(frozen=True)
class Case:
    """One formula in one encoding."""

    variables: int
    ratio: float
    seed: int
    encoding: str

    @property
    def name(self) -> str:
        return f"{self.encoding}_v{self.variables}_r{self.ratio:g}_s{self.seed}"

    @property
    def clauses(self) -> list[Clause]:
        """Distinct variables in every clause, each literal with either sign."""
        draw = np.random.default_rng([self.variables, round(10 * self.ratio), self.seed])
        found = list[Clause]()
        for _ in range(round(self.ratio * self.variables)):
            picked = draw.choice(self.variables, 3, replace=False) + 1
            found.append(tuple((picked * draw.choice([-1, 1], 3)).tolist()))
        return found


def cases() -> list[Case]:
    """All formulas, each in both encodings."""
    return [Case(*key, seed, encoding) for key, seeds in SEEDS.items() for seed in seeds
            for encoding in ENCODINGS]


def literals(variables: int, clauses: Sequence[Clause]) -> Layer:
    """A layer with the number of true literals of every clause: x for a variable, 1 - x for its
    negation."""
    weight, bias = np.zeros((len(clauses), variables)), np.zeros(len(clauses))
    for row, clause in enumerate(clauses):
        for literal in clause:
            weight[row, abs(literal) - 1] += np.sign(literal)
            bias[row] += literal < 0
    return weight.astype(np.float32), bias.astype(np.float32)


def stack(*parts: Layer) -> Layer:
    """Layers side by side on the same values."""
    return np.concatenate([w for w, _ in parts]), np.concatenate([b for _, b in parts])


def layer(weight: NDArray[Any], bias: NDArray[Any] | float) -> Layer:
    """Arrays in the precision of the file; one bias may stand for all."""
    full = np.broadcast_to(np.asarray(bias, dtype=np.float32), weight.shape[:1])
    return weight.astype(np.float32), full.astype(np.float32)


def exact_query(variables: int, clauses: Sequence[Clause]) -> tuple[list[Layer], list[str]]:
    """Manino et al. (NeuroCodeBench 2.0): Y_0 = 1 - sum of relu(1 - true literals of a clause) is 1
    where all clauses have a true literal, Y_1 = sum of x - relu(2x - 1) is 0 where every variable
    is 0 or 1. Both thresholds are attained at the satisfying points alone."""
    weight, bias = literals(variables, clauses)
    one = np.eye(variables)
    first = stack(layer(-weight, 1 - bias), layer(one, 0.0), layer(2 * one, -1.0))
    last = np.zeros((2, len(first[1])))
    last[0, : len(clauses)] = -1.0
    last[1, len(clauses) : -variables], last[1, -variables:] = 1.0, -1.0
    return [first, layer(last, np.array([1.0, 0.0]))], ["(>= Y_0 1.0)", "(<= Y_1 0.0)"]


def rounding_query(variables: int, clauses: Sequence[Clause]) -> tuple[list[Layer], list[str]]:
    """Variables are rounded first: r = clip(4x - 3/2, 0, 1). A second layer punishes what is not
    rounded, 8 (r - relu(2r - 1)), and clauses without a true literal, 2 relu(3/4 - true literals);
    Y_0 = 1 - relu(1 - the sum of these) is 0 at satisfying points.

    Sound: where Y_0 < 1 every r lies within 1/8 of 0 or 1, so that a clause without a true literal
    among the rounded ones has at most 3/8 of one, and adds 3/4; `Y_0 <= 1/2` therefore has a
    solution if and only if the formula has one.
    """
    one, many = np.eye(variables), len(clauses)
    first = stack(layer(4 * one, -1.5), layer(4 * one, -2.5))
    rounded = np.concatenate([one, -one], axis=1)
    weight, bias = literals(variables, clauses)
    second = stack(layer(-weight @ rounded, 0.75 - bias), layer(rounded, 0.0),
                   layer(2 * rounded, -1.0))
    blame = np.concatenate([np.full(many, -2.0), np.full(variables, -8.0), np.full(variables, 8.0)])
    return [first, second, layer(blame[None], 1.0), layer(np.array([[-1.0]]), 1.0)], [
        "(<= Y_0 0.5)"]


ENCODINGS = {"exact": exact_query, "rounding": rounding_query}


def write(case: Case, folder: Path) -> tuple[Path, Path]:
    """The network and the query (VNN-LIB 1.0) as files."""
    layers, wanted = ENCODINGS[case.encoding](case.variables, case.clauses)
    nodes, numbers, value = [], [], "x"
    for k, (weight, bias) in enumerate(layers):
        numbers += [numpy_helper.from_array(array, f"{name}{k}")
                    for name, array in (("w", weight), ("b", bias))]
        last = k == len(layers) - 1
        out = "y" if last else f"z{k}"
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], [out], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [value := f"h{k}"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
            for name, size in (("x", case.variables), ("y", len(layers[-1][1])))]
    graph = helper.make_graph(nodes, case.name, ends[:1], ends[1:], numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    network, query = folder / f"{case.name}.onnx", folder / f"{case.name}.vnnlib"
    onnx.save(model, network)
    inputs, outputs = range(case.variables), range(len(layers[-1][1]))
    query.write_text("\n".join([
        f"; {case.variables} variables, {len(case.clauses)} clauses, seed {case.seed}",
        *(f"(declare-const X_{i} Real)" for i in inputs),
        *(f"(declare-const Y_{i} Real)" for i in outputs),
        *(f"(assert (>= X_{i} 0.0))\n(assert (<= X_{i} 1.0))" for i in inputs),
        *(f"(assert {one})" for one in wanted)]) + "\n")
    return network, query


def satisfiable(case: Case) -> tuple[bool, float]:
    """What z3 says of the clauses, and the seconds that it took."""
    import z3

    started = time.monotonic()
    solver, variable = z3.Solver(), [z3.Bool(f"x{k}") for k in range(case.variables)]
    for clause in case.clauses:
        solver.add(z3.Or([variable[k - 1] if k > 0 else z3.Not(variable[-k - 1]) for k in clause]))
    found = solver.check()
    if found not in (z3.sat, z3.unsat):
        raise SystemExit(f"{case.name}: z3 says {found}")
    return found == z3.sat, time.monotonic() - started


# --- what is measured -----------------------------------------------------------------------------

WORDS = {"proved": "unsat", "claimed": "unsat", "refuted": "sat"}


def verifex_answer(files: tuple[Path, Path], limit: float, *options: str) -> dict[str, Any]:
    """`verifex verify` in a process of its own: its answer in the words of VNN-LIB."""
    command = [sys.executable, "-m", "verifex", "verify", *map(str, files), "--json",
               "-t", f"{limit}s", *options]
    out, err, wall, cpu = timed(command, limit)
    try:
        outcome = json.loads(out)["outcome"]
    except (ValueError, KeyError, TypeError):
        outcome = "error"
    word = WORDS.get(outcome, outcome)
    return {"word": word, "wall": wall, "cpu": cpu, "said": err[-300:] if word == "error" else ""}


def vibecheck_answer(
    command: str, files: tuple[Path, Path], limit: float, result: Path
) -> dict[str, Any]:
    """The same of vibecheck."""
    network, query = map(str, files)
    out, err, wall, cpu = timed([
        command, "--net", network, "--spec", query, "--timeout", str(limit), "--device", "cpu",
        "--results-file", str(result)], limit)
    if result.exists():
        out = result.read_text()
        result.unlink()
    word = answer_of(out)
    return {"word": word, "wall": wall, "cpu": cpu, "said": err[-300:] if word == "error" else ""}


def measured(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """One case: the truth, and every tool's answer and seconds."""
    truth, seconds = satisfiable(case)
    tools: dict[str, dict[str, Any]] = {
        "z3 on the clauses": {"word": "sat" if truth else "unsat", "wall": seconds, "cpu": seconds}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write(case, folder)
        tools["verifex"] = verifex_answer(files, args.limit, "--no-check")
        tools["verifex, certificate checked"] = verifex_answer(files, args.limit)
        for engine in args.engines.split(",") if args.engines else ():
            tools[f"verifex --engine {engine}"] = verifex_answer(
                files, args.limit, "--no-check", "--engine", engine)
        if args.vibecheck:
            tools["vibecheck"] = vibecheck_answer(args.vibecheck, files, args.limit,
                                                  folder / "result")
    return {"name": case.name, "encoding": case.encoding, "variables": case.variables,
            "expected": "sat" if truth else "unsat", "tools": tools}


HEADER = ["encoding, answer", "tool", "decided", "wrong", "median s", "longest s", "median CPU s",
          "median of s / vibecheck"]


def table(result: dict[str, Any]) -> list[list[Any]]:
    """A line for each tool, encoding and answer; what ran out of time counts with that time."""
    rows: list[list[Any]] = []
    groups: Iterator[tuple[str, str]] = (
        (encoding, answer) for encoding in ENCODINGS for answer in ("sat", "unsat"))
    for encoding, answer in groups:
        mine = [r for r in result["rows"]
                if r["encoding"] == encoding and r["expected"] == answer]
        for tool in mine[0]["tools"] if mine else ():
            got = [r["tools"][tool] for r in mine]
            wrong = sum({g["word"], answer} == {"sat", "unsat"} for g in got)
            peer = [r["tools"].get("vibecheck") for r in mine]
            ratio = "-" if None in peer else f"{median(ratios(got, peer)):.2f}"
            rows.append([
                f"{encoding}, {answer}", tool, f"{sum(g['word'] == answer for g in got)} of "
                f"{len(got)}", wrong, *(f"{f:.2f}" for f in (
                    median(g["wall"] for g in got), max(g["wall"] for g in got),
                    median(g["cpu"] for g in got))), ratio])
    return rows


def ratios(mine: list[dict[str, Any]], peer: list[Any]) -> list[float]:
    """Wall seconds of one tool over those of another, case by case."""
    return [float(a["wall"] / b["wall"]) for a, b in zip(mine, peer, strict=True)]


def page_section(result: dict[str, Any]) -> list[str]:
    """The section of docs/benchmarks.md."""
    rows = result["rows"]
    lines = [
        f"`python -m benchmarks.sat_networks --every {result['every']}`: random 3-SAT, "
        f"{min(r['variables'] for r in rows)} to {max(r['variables'] for r in rows)} variables,",
        f"3 to 4.3 clauses a variable, {len(rows)} queries, {result['limit']:g} s each,",
        "one thread, wall seconds of whole processes (z3 on the clauses: of its call).",
        "What runs out of time counts with that time.",
        "", show(HEADER, table(result)), ""]
    peer = [r["tools"].get("vibecheck") for r in rows]
    if None in peer:
        return [*lines, "vibecheck was not run."]
    ratio = median(ratios([r["tools"]["verifex"] for r in rows], peer))
    return [*lines, f"* Target at most 3 times vibecheck's time at the median: measured "
            f"{ratio:.2f}: {'met' if ratio <= 3 else 'missed'}."]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vibecheck", help="the command of vibecheck-nn")
    parser.add_argument("--engines", default="search,milp", help="engines that also run alone")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a query and tool")
    parser.add_argument("--every", type=int, default=1, help="every so-manieth formula")
    parser.add_argument("--files", type=Path, help="write the files of all queries here, and stop")
    parser.add_argument("--document", type=Path, help="put the section into this page")
    args = parser.parse_args()
    asked = [case for at, case in enumerate(cases()) if at // len(ENCODINGS) % args.every == 0]
    if args.files is not None:
        args.files.mkdir(parents=True, exist_ok=True)
        for case in asked:
            write(case, args.files)
            print(case.name, "sat" if satisfiable(case)[0] else "unsat")
        return 0
    result: dict[str, Any] = {"limit": args.limit, "every": args.every, "rows": []}
    for case in asked:
        row = measured(case, args)
        result["rows"].append(row)
        told = ", ".join(f"{t} {v['word']} {v['wall']:.2f}" for t, v in row["tools"].items())
        print(f"{row['name']} ({row['expected']}): {told}", flush=True)
        save("sat_networks", result)
    print(show(HEADER, table(result)))
    if args.document is not None:
        from tests.helpers.document import section

        section(args.document, TITLE, "\n".join(page_section(result)))
    return 1 if any(row[3] for row in table(result)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
