"""Queries of many ranges of inputs: each is proved on its own range, or refuted, as exact values at
kinks and ends of ranges say."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest

import verifex
from tests.helpers.small_nets import relu_net
from verifex.engine.budget import Budget
from verifex.engine.search.inputs.search import InputSearch
from verifex.engine.verdict import Outcome
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.formula import And, Atom, Form, Or, negate
from verifex.ir.problem import Problem
from verifex.ir.region import Region

Clause = tuple[Fraction, Fraction, str, Fraction]
"""A range of the input, and what the output is asked to be there: `<=` or `>=` a number."""


class Curve:
    """A network of one input, one hidden layer and one output, with weights k/8."""

    def __init__(self, rng: random.Random, units: int) -> None:
        self.w = [Fraction(rng.choice((-1, 1)) * rng.randint(1, 16), 8) for _ in range(units)]
        self.b = [Fraction(rng.randint(-16, 16), 8) for _ in range(units)]
        self.v = [Fraction(rng.randint(-8, 8), 8) for _ in range(units)]

    def __call__(self, x: Fraction) -> Fraction:
        return sum((v * max(Fraction(0), w * x + b)
                    for w, b, v in zip(self.w, self.b, self.v, strict=True)), Fraction(0))

    def least(self, low: Fraction, high: Fraction, sign: int) -> Fraction:
        """The least of sign * value on [low, high]: at an end or a kink, for it is linear between.
        """
        kinks = (-b / w for w, b in zip(self.w, self.b, strict=True))
        return min(sign * self(x) for x in (low, high, *(k for k in kinks if low < k < high)))

    def write(self, path: Path) -> Path:
        builder, _, out = relu_net([
            ([[float(w)] for w in self.w], [float(b) for b in self.b]),
            ([[float(v) for v in self.v]], [0.0])])
        path.write_bytes(to_onnx(builder.build({"y": out}), {"y": out}))
        return path


def violated(curve: Curve, clauses: list[Clause]) -> bool:
    return any(
        curve.least(low, high, 1) <= limit if kind == "<=" else
        -curve.least(low, high, -1) >= limit for low, high, kind, limit in clauses)


def drawn(rng: random.Random, curve: Curve, gap: Fraction) -> list[Clause]:
    """Ranges that touch, overlap or are points, each with a limit `gap` beyond what is reached."""
    ends = sorted(Fraction(rng.randint(-32, 32), rng.choice((8, 10, 3))) for _ in range(12))
    clauses = []
    for _ in range(14):
        low, high = sorted(rng.sample(ends, 2)) if rng.random() < 0.8 else [rng.choice(ends)] * 2
        kind = rng.choice(("<=", ">="))
        reached = curve.least(low, high, 1 if kind == "<=" else -1)
        clauses.append((low, high, kind, reached - gap if kind == "<=" else -reached + gap))
    return clauses


def query(clauses: list[Clause]) -> str:
    lines = ["(declare-const X_0 Real)", "(declare-const Y_0 Real)", "(assert (or"]
    for low, high, kind, limit in clauses:
        ends = f"(* {low.denominator} X_0) {low.numerator}", (
            f"(* {high.denominator} X_0) {high.numerator}")
        asked = f"({kind} (* {limit.denominator} Y_0) {limit.numerator})"
        lines.append(f"(and (>= {ends[0]}) (<= {ends[1]}) {asked})")
    return "\n".join([*lines, "))"]) + "\n"


@pytest.mark.parametrize("seed", range(6))
def test_ranges_are_decided_as_exact_values_say(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    curve = Curve(rng, 6)
    network, spec = curve.write(tmp_path / "n.onnx"), tmp_path / "q.vnnlib"
    for gap in (Fraction(1, 64), Fraction(0), -Fraction(1, 64)):
        clauses = drawn(rng, curve, gap)
        truth = violated(curve, clauses)
        assert truth == (gap <= 0)
        spec.write_text(query(clauses))
        found = verifex.verify(network, spec, seconds=60)
        if gap:
            assert found.outcome is (Outcome.REFUTED if truth else Outcome.PROVED)
        else:  # a limit that is just reached
            assert found.outcome in (Outcome.REFUTED, Outcome.UNKNOWN)


def test_every_clause_is_bounded_only_where_it_can_hold() -> None:
    """64 clauses of 64 ranges: a tree of a few boxes a range, no leaf of which names more than the
    atoms of the ranges that meet there."""
    builder, x, out = relu_net([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
    parts = []
    for k in range(-32, 32):
        low, high = Fraction(k, 8), Fraction(k + 1, 8)
        reached = max(abs(low), abs(high)) + Fraction(1, 100)
        parts.append(And((
            Atom(Form.of({(x, 0): 1}, -low)), Atom(Form.of({(x, 0): -1}, high)),
            Atom(Form.of({(out, 0): 1}, -reached)))))
    graph = builder.build({"y": out})
    problem = Problem(graph, Region((Fraction(-4),), (Fraction(4),)), negate(Or(tuple(parts))))
    search = InputSearch(problem, Budget(60.0))
    search.go_on()
    assert search.finished
    assert len(search.tree.closed) <= 4 * 64
    assert max(map(len, search.tree.closed.values())) <= 4


def test_ranges_are_told_apart_before_anything_closes() -> None:
    """The search says so, and no longer once no end of a range is left inside of its boxes."""
    builder, x, out = relu_net([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
    graph = builder.build({"y": out})
    parts = tuple(
        And((Atom(Form.of({(x, 0): 1}, -Fraction(k))), Atom(Form.of({(x, 0): -1}, Fraction(k + 1))),
             Atom(Form.of({(out, 0): 1}, -Fraction(k + 1) - Fraction(1, 9)))))
        for k in range(8))
    region = Region((Fraction(0),), (Fraction(8),))
    search = InputSearch(Problem(graph, region, negate(Or(parts))), Budget(60.0))
    search._open = search._one_step(search._open, None)
    assert search.parting
    search.go_on()
    assert search.finished
    assert not search.parting


def test_ranges_of_two_inputs(tmp_path: Path) -> None:
    """8 x 8 boxes over max(x, y), each with a limit of its own, and one limit that is broken."""
    builder, _, out = relu_net([
        ([[1.0, -1.0], [0.0, 1.0], [0.0, -1.0]], [0.0, 0.0, 0.0]), ([[1.0, 1.0, -1.0]], [0.0])])
    network, spec = tmp_path / "n.onnx", tmp_path / "q.vnnlib"
    network.write_bytes(to_onnx(builder.build({"y": out}), {"y": out}))
    head = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0"))
    for broken, outcome in ((False, Outcome.PROVED), (True, Outcome.REFUTED)):
        clauses = []
        for i in range(8):
            for j in range(8):
                limit = max(i + 1, j + 1) + (-0.01 if broken and (i, j) == (5, 2) else 0.01)
                clauses.append(f"(and (>= X_0 {i}) (<= X_0 {i + 1}) (>= X_1 {j}) (<= X_1 {j + 1})"
                               f"(>= Y_0 {limit}))")
        spec.write_text(head + f"(assert (or {' '.join(clauses)}))")
        assert verifex.verify(network, spec, seconds=60).outcome is outcome


