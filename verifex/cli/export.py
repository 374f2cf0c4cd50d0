"""`export`: the question as SMT-LIB, LP or MPS; the network with its attribution as ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifex import api
from verifex.cli.common import console, emit, split_files, write_file
from verifex.errors import UnsupportedError, UsageError, VerifexError

if TYPE_CHECKING:
    from verifex.ir.model.logical import Model
    from verifex.ir.problem import Problem
    from verifex.problem.read import ReadProblem

_TOLERANCE = 1e-3  # of the values' size: float32 sums of a few thousand terms stay far below
_LEAF = "sat: the leaf is not closed; unsat: it is"
_MEANING = {
    "smtlib": "sat: the claim may be violated (a point on a kink of a gate counts); "
    "unsat: the claim holds",
    "lp": "optimum below zero or no solution: the claim holds; else it may be violated",
    "mps": "optimum below zero or no solution: the claim holds; else it may be violated",
}


def export(
    files: Sequence[Path], targets: Mapping[str, Path | None], certificate: Path | None = None,
    leaf: int | None = None, *, json: bool,
) -> int:
    """Write every file that was asked for and say what each means.

    With a certificate and the number of a leaf, the question is whether that leaf is closed.
    """
    wanted = {kind: path for kind, path in targets.items() if path is not None}
    _require_fitting(wanted, certificate, leaf)
    network, spec, _ = split_files(files)
    asked = api.read(network, spec)
    problem = asked.problem
    if certificate is not None and leaf is not None:
        said = {"smtlib": _write_leaf(wanted["smtlib"], asked, certificate, leaf)}
    else:
        pair = {kind: wanted.pop(kind) for kind in ("onnx", "vnnlib") if "vnnlib" in targets
                and targets["vnnlib"] is not None}
        said = {kind: write(kind, path, problem) for kind, path in wanted.items()}
        if pair:
            said |= _write_pair(pair["onnx"], pair["vnnlib"], problem)
            wanted |= pair
    if json:
        emit("export", {"files": [{"kind": k, "file": str(wanted[k]), **said[k]} for k in wanted]})
        return 0
    out = console()
    for kind, path in wanted.items():
        out.print(f"{path}: {said[kind]['meaning']}", soft_wrap=True)
        for note in said[kind]["notes"]:
            out.print(f"  note: {note}", soft_wrap=True)
    return 0


def _require_fitting(
    wanted: Mapping[str, Path], certificate: Path | None, leaf: int | None
) -> None:
    """Raise UsageError where the options do not fit together."""
    if not wanted:
        raise UsageError(
            "nothing to write, expected --smtlib, --mps, --lp, --vnnlib or --onnx FILE"
        )
    if "vnnlib" in wanted and "onnx" not in wanted:
        raise UsageError("--vnnlib is about the network that --onnx FILE names, expected both")
    if (certificate is None) != (leaf is None):
        raise UsageError("--certificate and --leaf belong together")
    if leaf is not None and set(wanted) != {"smtlib"}:
        raise UsageError("--leaf is for --smtlib FILE alone")


def write(kind: str, path: Path, problem: Problem) -> dict[str, Any]:
    """Write one file; what it means, and notes."""
    if kind == "onnx":
        return _write_onnx(path, problem)
    text, notes = question_text(kind, problem)
    write_file(path, text)
    return {"meaning": _MEANING[kind], "notes": notes}


def _write_pair(network: Path, query: Path, problem: Problem) -> dict[str, dict[str, Any]]:
    """Write the question as VNN-LIB 1.0 about a network whose outputs are what the claim reads."""
    from verifex.problem.vnnlib.translate import write_translation

    kind = write_translation(problem, network, query)
    return {
        "onnx": {"meaning": f"{kind} network whose outputs are what the claim reads", "notes": []},
        "vnnlib": {
            "meaning": "VNN-LIB 1.0 about it; sat: the claim may be violated (a point on a kink of "
            "a gate counts); unsat: the claim holds", "notes": [],
        },
    }


def _write_leaf(
    path: Path, asked: ReadProblem, certificate: Path, number: int
) -> dict[str, Any]:
    """Write the question of one leaf."""
    from verifex.certificate.leaf import leaf_problem

    if asked.files is None or not asked.files.checkable:
        raise UsageError("a leaf needs the network as a file")
    restricted = leaf_problem(asked.problem, asked.files, certificate, number)
    text, notes = question_text("smtlib", restricted, _LEAF)
    write_file(path, text)
    return {"meaning": f"leaf {number} of {certificate}; {_LEAF}", "notes": notes}


def question_text(kind: str, problem: Problem, meaning: str = "") -> tuple[str, list[str]]:
    """The question whether the claim can be violated, in a text format; notes on what it lost."""
    from verifex.engine.run import node_bounds
    from verifex.semantics.claim import ask

    exact = kind == "smtlib"
    question = ask(problem, node_bounds(problem), products=exact, margin=not exact)
    meaning = meaning or _MEANING[kind]
    head = [f"{problem.name}, written by verifex", meaning, *question.relaxed]
    mark = {"smtlib": "; ", "lp": "\\ ", "mps": "* "}[kind]
    lines = [mark + "".join(c if c.isprintable() else "?" for c in text) for text in head]
    body = _writer(kind)(question.model)
    return "\n".join(lines) + "\n" + body, list(question.relaxed)


def _writer(kind: str) -> Callable[[Model], str]:
    from verifex.ir.model.milp_text import to_lp, to_mps
    from verifex.ir.model.smtlib import to_smtlib

    writers: dict[str, Callable[[Model], str]] = {
        "smtlib": partial(to_smtlib, names=True), "lp": to_lp, "mps": to_mps,
    }
    return writers[kind]


# --- ONNX -----------------------------------------------------------------------------------


def _write_onnx(path: Path, problem: Problem) -> dict[str, Any]:
    from verifex.frontend.onnx.export import to_onnx
    from verifex.frontend.onnx.runtime import available

    data = to_onnx(problem.graph, problem.graph.outputs, dtype="float32")
    names = ", ".join(problem.graph.outputs)
    notes, checked = [], None
    if not available():
        notes.append("onnxruntime is not installed: the file was not run")
    else:
        checked = compare_with_onnxruntime(data, problem)
        points, largest = checked["points"], checked["largest_difference"]
        notes.append(
            f"run with onnxruntime at {points} points of the region: within {largest:.2g} of the "
            "exact values"
        )
    write_file(path, data)
    return {"meaning": f"float32 network with outputs {names}", "notes": notes, "check": checked}


def compare_with_onnxruntime(data: bytes, problem: Problem) -> dict[str, Any]:
    """Run the file at points of the region that lie clear of kinks; VerifexError if it differs.

    A gate whose pre-activation is within rounding of zero may come out either way in float32, so
    such points say nothing.
    """
    import numpy as np

    from verifex.frontend.onnx.runtime import runner
    from verifex.semantics.evaluate import evaluate_float

    graph, names = problem.graph, list(problem.graph.outputs)
    run = runner(data, graph, names)
    kinks = problem.kinks()
    points, largest = 0, 0.0
    for point in _points(problem):
        x = np.array([float(v) for v in point])[None]
        near = evaluate_float(graph, x, kinks)
        if any((np.abs(near[z]) < 1e-4).any() for z in kinks):
            continue
        points += 1
        truth = _values(problem, point)
        for name, value in zip(names, run(x), strict=True):
            exact = truth[graph.outputs[name]]
            difference = float(np.abs(value.reshape(-1) - exact).max(initial=0.0))
            largest = max(largest, difference)
            if difference > _TOLERANCE * max(1.0, float(np.abs(exact).max(initial=0.0))):
                raise VerifexError(
                    f"the exported network differs from exact evaluation by {difference:g} "
                    f"in output '{name}'"
                )
    return {"points": points, "largest_difference": largest}


def _points(problem: Problem, count: int = 8) -> list[tuple[Fraction, ...]]:
    """float32 points of the box: the reference, and random ones."""
    import numpy as np

    lo, hi = problem.region.float_box()
    rng = np.random.default_rng(0)
    rows = list(lo + (hi - lo) * rng.random((count, problem.region.size)))
    if problem.point is not None:
        rows.insert(0, np.array([float(v) for v in problem.point]))
    return [tuple(Fraction(float(v)) for v in row.astype(np.float32)) for row in rows]


def _values(problem: Problem, point: Sequence[Fraction]) -> dict[int, Any]:
    """Exact values of the outputs, rounded at the end; float64 where there are none."""
    import numpy as np

    from verifex.semantics.evaluate import evaluate_exact, evaluate_float

    wanted = list(problem.graph.outputs.values())
    try:
        exact = evaluate_exact(problem.graph, point, wanted)
        return {i: v.to_float().reshape(-1) for i, v in exact.items()}
    except UnsupportedError:
        x = np.array([float(v) for v in point])[None]
        return {i: v.reshape(-1) for i, v in evaluate_float(problem.graph, x, wanted).items()}
