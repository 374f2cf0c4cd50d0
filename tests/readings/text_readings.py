"""Reads generated texts three times over: the engine, the checker, and a reader of the tests' own.

    python tests/readings/text_readings.py --count 8000 --seed 1 [--document docs/readings.md]

Where two readers take a text for different things, or an own refusal is no single line that names
its place, the text is printed and the exit code is 1. A refusal by one of ours is no disagreement,
except of a plain text: those must be read.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from text_made import KINDS, Text, make
from text_third import Constraint, Refused, Silent, csv_point, npy, number
from text_third_queries import first, second
from text_third_specs import FIRST, SECOND, SHIFT, Reading

from verifex import checker
from verifex.errors import VerifexError
from verifex.frontend.export import to_onnx
from verifex.ir.decimals import parse_exact
from verifex.ir.formula import holds, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.metrics.names import Names, blocks_of
from verifex.problem.build import build_problem
from verifex.problem.builders import region
from verifex.problem.data import load_point
from verifex.problem.region import build_region
from verifex.problem.spec import InputSpec, parse_spec
from verifex.problem.vnnlib1 import parse_query
from verifex.problem.vnnlib2 import state
from verifex.semantics.evaluate import evaluate_exact

F = Fraction
Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Said:
    """What a reader made of a text: "read" and a meaning, "refused" and why, or "silent"."""

    how: str
    meaning: Any = None


# --- networks -----------------------------------------------------------------------------------


@cache
def identity(size: int) -> Graph:
    b = Builder()
    shape = (1, size)
    return b.build({"y": b.affine(dense(np.eye(size), shape, shape), b.input("x", shape))})


@cache
def small() -> Graph:
    """The network of the third reader of specs."""
    b = Builder()
    first_, shift, last = (np.array(v, dtype=float) for v in (FIRST, SHIFT, SECOND))
    z = b.affine(dense(first_, (1, 3), (1, 4)), b.input("x", (1, 3)), shift.reshape(1, 4))
    return b.build({"y": b.affine(dense(last, (1, 4), (1, 2)), b.relu(z))})


@cache
def mixed() -> Graph:
    """y0 = x0 + 2 x1, y1 = x0 - x1 + 1/2."""
    b = Builder()
    weights = np.array([[1.0, 2.0], [1.0, -1.0]])
    return b.build({"y": b.affine(dense(weights), b.input("x", (2,)), np.array([0.0, 0.5]))})


@cache
def as_file(make_graph: Callable[..., Graph], *size: int) -> bytes:
    return to_onnx(make_graph(*size))


def points(text: str, size: int, count: int = 14) -> list[Vector]:
    """Points on a coarse grid, so that comparisons often hold with equality, and some others."""
    rng = random.Random(text)
    grid = [F(k, 2) for k in range(-4, 6)]
    fine = [F(k, 7) for k in range(-14, 15)]
    return [tuple(rng.choice(grid if n % 2 else fine) for _ in range(size)) for n in range(count)]


# --- readers by kind: engine, checker, third ----------------------------------------------------


def _truths(test: Callable[[Vector], bool], t: Text) -> tuple[bool, ...]:
    return tuple(test(x) for x in points(t.text, t.size))


def _numbers(t: Text, _: Path) -> tuple[Callable[[], Any], ...]:
    return (lambda: parse_exact(t.text)), (lambda: checker.exact(t.text)), (lambda: number(t.text))


def _spec(t: Text, **region_: Any) -> dict[str, Any]:
    given = {k: v for k, v in t.options.items()}
    return {"verifex": 1, "input": given, "region": {"box": [-(10**9), 10**9], **region_},
            "require": [{"output": "sum", "at_least": 0}]}


def _claim(spec: dict[str, Any], folder: Path, size: int) -> checker.Claim:
    with checker.at("spec"):
        return checker.Claim(spec, str(folder), checker.Network(as_file(identity, size)))


def _loaded(name: str, data: bytes, digest: bytes, make_graph: Callable[..., Graph]
            ) -> checker.Claim:
    """A claim as the checker's `work` loads it."""
    with checker.at("spec"):
        query = (data, checker.hashlib.sha256(digest).hexdigest())
        return checker.load(name, query, checker.Network(as_file(make_graph)))


def _constraints(t: Text, folder: Path) -> tuple[Callable[[], Any], ...]:
    names = t.options["names"]

    def engine() -> tuple[bool, ...]:
        known = Names(blocks_of(["x"], [(1, t.size)]), tuple(names))
        built = build_region(region(box=[-(10**9), 10**9], linear=[t.text]), known, None)[0]
        return _truths(lambda x: all(row.holds(x) for row in built.rows), t)

    def other() -> tuple[bool, ...]:
        claim = _claim(_spec(t, linear=[t.text]), folder, t.size)
        where = {ref: i for i, form in enumerate(claim.flat) for ref in form[0]}
        return _truths(lambda x: all(
            sum(c * x[where[r]] for r, c in refs.items()) + const <= 0
            for refs, const in claim.cuts), t)

    return engine, other, lambda: _truths(Constraint(t.text, names, t.size).truth(), t)


def _data(t: Text, folder: Path) -> tuple[Callable[[], Any], ...]:
    for name, data in t.files.items():
        (folder / name).write_bytes(data)

    def engine() -> tuple[Vector, tuple[str, ...]]:
        blocks = blocks_of(["x"], [(1, t.size)])
        spec = InputSpec.model_validate(t.options)
        found = load_point(spec, blocks, folder)
        Names(blocks, found.names)
        return found.values or (), found.names

    def other() -> tuple[Vector, tuple[str, ...]]:
        claim = _claim(_spec(t), folder, t.size)
        return tuple(claim.x0), tuple(claim.features.given)

    def third() -> tuple[Vector, tuple[str, ...]]:
        if t.kind == "npy":
            values = npy(t.files["d.npy"], t.options["row"])
            if len(values) != t.size:
                raise Refused("another size")
            return tuple(values), ()
        return csv_point(t.files, t.options, t.size)

    return engine, other, third


def _breaks(problem: Problem, x: Vector) -> bool:
    values = evaluate_exact(problem.graph, x, problem.targets())
    return (problem.region.contains(x) and holds(problem.assume, values)
            and holds(negate(problem.require), values))


def _checked(claim: checker.Claim, x: Vector) -> bool:
    """Whether the checker takes a point for a witness."""
    made = checker.Checker(claim, (0, 1))
    try:
        made.witness(list(x))
    except checker.Bad as error:
        if "kink" in str(error):
            raise Silent from None
        return False
    return True


def _specs(t: Text, folder: Path) -> tuple[Callable[[], Any], ...]:
    data = t.text.encode("utf-8", "surrogatepass")

    def engine() -> tuple[bool, ...]:
        problem = build_problem(small(), parse_spec(_decoded(data)), folder)
        return tuple(_breaks(problem, x) for x in spots)

    def other() -> tuple[bool, ...]:
        claim = _loaded("s.toml", data, data, small)
        return tuple(_checked(claim, x) for x in spots)

    def third() -> tuple[bool, ...]:
        reading = Reading(_decoded(data))
        return tuple(reading.breaks(x) for x in spots)

    spots = _spots(t)
    return engine, other, third


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerifexError(f"not UTF-8: {error.reason}") from None


def _spots(t: Text) -> list[Vector]:
    """Points off every kink of the small network, some of them whole numbers."""
    found = [*points(t.text, t.size, 24), (F(1, 7), F(1), F(2, 7)), (F(0), F(3, 7), F(1))]
    return [x for x in found if all(
        sum((w * v for w, v in zip(row, x)), b) for row, b in zip(FIRST, SHIFT))]


def _first(t: Text, _: Path) -> tuple[Callable[[], Any], ...]:
    graph = mixed()

    def engine() -> tuple[bool, ...]:
        problem = parse_query(t.text, graph)
        return _truths(lambda x: _breaks(problem, x), t)

    def other() -> tuple[bool, ...]:
        claim = _loaded("q.vnnlib", t.text.encode("utf-8", "surrogatepass"), b"", mixed)
        return _truths(lambda x: _checked(claim, x), t)

    def third() -> tuple[bool, ...]:
        truth = first(t.text)
        return _truths(lambda x: truth(x, _outputs(x)), t)

    return engine, other, third


def _outputs(x: Sequence[Fraction]) -> Vector:
    return (x[0] + 2 * x[1], x[0] - x[1] + F(1, 2))


def _second(t: Text, _: Path) -> tuple[Callable[[], Any], ...]:
    def engine() -> tuple[bool, ...]:
        problem = state(t.text, "q.vnnlib", mixed(), "q").problem
        if problem.region.size == 1:  # the query equates the inputs, so they are one
            return _truths(lambda x: x[0] == x[1] and _breaks(problem, x[:1]), t)
        return _truths(lambda x: _breaks(problem, x), t)

    def other() -> tuple[bool, ...]:
        raise Silent  # the checker reads version 1.0 alone, and refuses this one

    def third() -> tuple[bool, ...]:
        truth = second(t.text)
        return _truths(lambda x: truth(x, _outputs(x)), t)

    return engine, other, third


READERS = {"number": _numbers, "constraint": _constraints, "csv": _data, "npy": _data,
           "toml": _specs, "vnnlib1": _first, "vnnlib2": _second}


# --- one reading ----------------------------------------------------------------------------------


REFUSALS = (VerifexError, ValidationError, checker.Bad, Refused)


def _said(read: Callable[[], Any]) -> Said:
    """The answer of a reader; what is no refusal of its kind is a failure."""
    try:
        return Said("read", read())
    except Silent:
        return Said("silent")
    except REFUSALS as error:
        shown = str(error) if not isinstance(error, ValidationError) else "a field"
        return Said("refused", shown)
    except ValueError as error:
        return Said("refused" if type(error) is ValueError else "failed", str(error))
    except Exception as error:
        return Said("failed", f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Result:
    """The class a reading falls in, and what is wrong with it (nothing, if all is well)."""

    kind: str
    wrong: str = ""


NAMES = ("engine", "checker", "third reader")


def compare(t: Text, folder: Path) -> Result:
    """Read a text three times."""
    engine, other, third = map(_said, READERS[t.kind](t, folder))
    third = Said("silent") if third.how == "failed" else third
    for name, one in (("engine", engine), ("checker", other)):
        if one.how == "failed":
            return Result("failed", f"{name}: {one.meaning}")
        if one.how == "refused" and "\n" in one.meaning.strip("\n"):
            return Result("failed", f"{name}: a refusal of several lines: {one.meaning}")
    for (a, one), (b, two) in combinations(zip(NAMES, (engine, other, third)), 2):
        if one.how == two.how == "read" and one.meaning != two.meaning:
            return Result("different", f"{a} and {b} read different things")
        if two is third and two.how == "refused" and one.how == "read":
            return Result("different", f"{a} reads what {b} refuses ({two.meaning})")
    if t.plain and third.how != "refused" and "refused" in (engine.how, other.how):
        return Result("over-refused", f"a plain text: {engine.meaning} / {other.meaning}")
    if "refused" in (engine.how, other.how):
        return Result("refused by both" if engine.how == other.how else
                      f"refused by the {'engine' if engine.how == 'refused' else 'checker'}")
    return Result("all agree" if (engine.how, other.how, third.how) == ("read",) * 3 else
                  "two agree")


def study(count: int, seed: int, show: int = 20) -> tuple[dict[str, Counter[str]], list[str]]:
    """Counts by kind of text and class, and the disagreements."""
    counts: dict[str, Counter[str]] = {k: Counter() for k in KINDS}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="readings-") as name:
        for k in range(count):
            t = make(seed, k)
            found = compare(t, Path(name))
            counts[t.kind][found.kind] += 1
            if found.wrong:
                files = {n: d.decode("utf-8", "replace") for n, d in t.files.items()}
                wrong.append(f"{seed}/{k} {t.kind}: {found.wrong}\n    {t.text!r:.1500} {t.options}"
                             f" {files if t.kind == 'csv' else ''}")
                if len(wrong) <= show:
                    print(wrong[-1], flush=True)
    return counts, wrong


COLUMNS = ("all agree", "two agree", "refused by both", "refused by the engine",
           "refused by the checker", "different", "over-refused", "failed")


def table(counts: dict[str, Counter[str]]) -> str:
    rows = [f"| {kind} | {sum(found.values())} | "
            + " | ".join(str(found[c]) for c in COLUMNS) + " |" for kind, found in counts.items()]
    whole: Counter[str] = sum(counts.values(), Counter())
    rows.append(f"| all | {sum(whole.values())} | " + " | ".join(
        str(whole[c]) for c in COLUMNS) + " |")
    return "\n".join([f"| texts | read | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|",
                      *rows])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    counts, wrong = study(asked.count, asked.seed)
    print(table(counts))
    if asked.document is not None:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "certificate"))
        from document import section

        section(asked.document, "Texts", f"""Written by the command below.

    python tests/readings/text_readings.py --count {asked.count} --seed {asked.seed} \\
        --document docs/readings.md

Numbers, linear constraints, CSV and NPY files, specs and VNN-LIB queries, plain ones and such with
one or two faults that files have, are read by the engine, by the checker and by a third reader: one
written for the tests, or z3 for VNN-LIB 1.0 (which has no exponents; "two agree" is where the
third reader cannot say, or the checker does not read the format). What is compared is the meaning:
numbers, names, and truth at points, many of them on the boundary. {len(wrong)} disagreements.

{table(counts)}
""")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
