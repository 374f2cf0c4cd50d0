"""How each kind of text is read: by the engine, by the checker, and by a third reader."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import checker_parts as checker
from tests.readings.text_pieces import Text
from tests.readings.text_third import Constraint, Refused, Silent, csv_point, npy, number
from tests.readings.text_third_queries import first, second
from tests.readings.text_third_specs import FIRST, SECOND, SHIFT, Reading
from verifex.errors import VerifexError
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.decimals import parse_exact
from verifex.ir.formula import holds, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.names import Names, blocks_of
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.builders import region
from verifex.problem.spec.data import load_point
from verifex.problem.spec.model import InputSpec, parse_spec
from verifex.problem.spec.region import build_region
from verifex.problem.vnnlib.version_1 import parse_query
from verifex.problem.vnnlib.version_2 import state
from verifex.semantics.evaluate import evaluate_exact

F = Fraction
Vector = tuple[Fraction, ...]


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
    return {
        "verifex": 1,
        "input": given,
        "region": {"box": [-(10**9), 10**9], **region_},
        "require": [{"output": "sum", "at_least": 0}],
    }


def _claim(spec: dict[str, Any], folder: Path, size: int) -> checker.Claim:
    with checker.at("spec"):
        return checker.spec_claim(spec, str(folder), checker.Network(as_file(identity, size)))


def _loaded(
    name: str, data: bytes, digest: bytes, make_graph: Callable[..., Graph]
) -> checker.Claim:
    """A claim as the checker's `work` loads it."""
    with checker.at("spec"):
        query = (data, hashlib.sha256(digest).hexdigest())
        return checker.load(name, query, checker.Network(as_file(make_graph)))


def _constraints(t: Text, folder: Path) -> tuple[Callable[[], Any], ...]:
    names = t.options["names"]

    def engine() -> tuple[bool, ...]:
        known = Names(blocks_of(["x"], [(1, t.size)]), tuple(names))
        built = build_region(region(box=[-(10**9), 10**9], linear=[t.text]), known, None)[0]
        return _truths(lambda x: all(row.holds(x) for row in built.rows), t)

    def other() -> tuple[bool, ...]:
        claim = _claim(_spec(t, linear=[t.text]), folder, t.size)
        where = {ref: i for i, form in enumerate(claim.flat_inputs) for ref in form[0]}
        return _truths(
            lambda x: all(
                sum(c * x[where[r]] for r, c in refs.items()) + const <= 0
                for refs, const in claim.region.rows
            ),
            t,
        )

    return engine, other, lambda: _truths(Constraint(t.text, names, t.size).truth(), t)


def _data(t: Text, folder: Path) -> tuple[Callable[[], Any], ...]:
    for name, data in t.files.items():
        (folder / name).write_bytes(data)

    def engine() -> tuple[Vector, tuple[str, ...]]:
        blocks = blocks_of(["x"], [(1, t.size)])
        spec = InputSpec.model_validate(t.options)
        found = load_point(spec, blocks, DataFolder(folder))
        Names(blocks, found.names)
        return found.values or (), found.names

    def other() -> tuple[Vector, tuple[str, ...]]:
        claim = _claim(_spec(t), folder, t.size)
        table = checker.TomlTable(t.options, checker.INPUT_KEYS)
        found = checker.read_input(table, {"x": (1, t.size)}, checker.DataFiles(str(folder)))
        return tuple(claim.x0), tuple(found.features.given)

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
    return (
        problem.region.contains(x)
        and holds(problem.assume, values)
        and holds(negate(problem.require), values)
    )


def _checked(claim: checker.Claim, x: Vector) -> bool:
    """Whether the checker takes a point for a witness."""
    made = checker.Checker(claim, checker.Share(), {"vxc": 2})
    try:
        checker.check_witness(claim, made.atoms, made.cuts, list(x))
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
    """Points off every kink of the small network: on a grid, and beside the reference."""
    rng, steps = random.Random(t.text), [F(s, 8) for s in (-4, -2, -1, 0, 0, 1, 2, 4, 7)]
    base = [F(v) for v in t.options["near"]]
    found = [tuple(v + rng.choice(steps) for v in base) for _ in range(14)]
    found += [*points(t.text, t.size), (F(1, 7), F(1), F(2, 7)), (F(0), F(3, 7), F(1))]
    return [
        x
        for x in found
        if all(sum((w * v for w, v in zip(row, x)), b) for row, b in zip(FIRST, SHIFT))
    ]


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


READERS = {
    "number": _numbers,
    "constraint": _constraints,
    "csv": _data,
    "npy": _data,
    "toml": _specs,
    "vnnlib1": _first,
    "vnnlib2": _second,
}
