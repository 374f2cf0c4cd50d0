"""The search over inputs with rows between inputs and with conjunctions: what it closes by
multipliers is what enumeration of all regions says, and the checker accepts it."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

import verifex
from tests.helpers.small_nets import relu_net
from verifex.engine.budget import Budget
from verifex.engine.search.inputs.search import InputSearch, decide_inputs
from verifex.engine.verdict import Outcome
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.formula import And, Atom, Form, Formula, Or, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.model.solving import Status
from verifex.ir.problem import Problem
from verifex.ir.region import LinearRow, Region
from verifex.reading import read
from verifex.settings import Settings
from verifex.solvers import regions


def network(rng: random.Random, inputs: int, outputs: int) -> tuple[Graph, int, int]:
    def weights(rows: int, columns: int) -> list[list[float]]:
        return [[rng.randint(-8, 8) / 4 for _ in range(columns)] for _ in range(rows)]

    builder, x, out = relu_net([
        (weights(4, inputs), [rng.randint(-4, 4) / 4 for _ in range(4)]),
        (weights(outputs, 4), [0.0] * outputs)])
    return builder.build({"y": out}), x, out


def atom(rng: random.Random, node: int, size: int, limit: int) -> Atom:
    coefs = {(node, i): Fraction(rng.randint(-3, 3)) for i in range(size)}
    coefs = {cell: c for cell, c in coefs.items() if c} or {(node, 0): Fraction(1)}
    return Atom(Form.of(coefs, Fraction(rng.randint(-limit, limit), 4)), rng.random() < 0.5)


def violation(rng: random.Random, x: int, out: int) -> Formula:
    """An equality or a row between inputs, and outputs that have to hold together: also one of two
    such conjunctions."""
    between = atom(rng, x, 2, 2)
    tied = [between, Atom(-between.form, False)] if rng.random() < 0.3 else [between]
    conjunctions = [
        And((*tied, *(atom(rng, out, 2, 6) for _ in range(rng.randint(1, 3)))))
        for _ in range(rng.randint(1, 2))]
    return conjunctions[0] if len(conjunctions) == 1 else Or(tuple(conjunctions))


@pytest.mark.parametrize("block", range(2))
def test_rows_and_conjunctions_never_contradict_enumeration(block: int) -> None:
    proved = broken = 0
    for seed in range(40 * block, 40 * block + 40):
        rng = random.Random(seed)
        graph, x, out = network(rng, 2, 2)
        rows = (LinearRow({0: Fraction(1), 1: Fraction(rng.randint(-2, 2))},
                          Fraction(rng.randint(-2, 2), 2)),) if rng.random() < 0.5 else ()
        region = Region((Fraction(-1),) * 2, (Fraction(1),) * 2, rows=rows)
        problem = Problem(graph, region, negate(violation(rng, x, out)))
        found = decide_inputs(problem, Budget(2.0))
        if found.closed is None and found.witness is None:
            continue
        truth = regions.decide(problem, 20.0).status
        if found.closed is not None:
            assert truth is Status.INFEASIBLE, seed
            proved += 1
        else:
            assert truth is Status.OPTIMAL, seed
            broken += 1
    assert proved > 3
    assert broken > 3


def test_the_checker_accepts_multipliers_of_other_atoms(tmp_path: Path) -> None:
    """|x| on two copies with x >= x' >= 0.1 given by rows: y >= y' needs the rows' multipliers."""
    model, spec, proof = tmp_path / "n.onnx", tmp_path / "q.vnnlib", tmp_path / "p.vxc"
    builder, _, out = relu_net([
        ([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.0] * 4),
        ([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]], [0.0, 0.0])])
    model.write_bytes(to_onnx(builder.build({"y": out}), {"y": out}))
    head = "".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1"))
    box = "(assert (and (>= X_0 -1) (<= X_0 1) (>= X_1 0.1) (<= X_1 1)))"
    asked = "(assert (>= X_0 (+ X_1 0.01))) (assert (<= Y_0 Y_1))"
    spec.write_text(head + box + asked)
    found = verifex.verify(model, spec, seconds=60, certificate=proof)
    assert found.outcome is Outcome.PROVED
    lines = [json.loads(line) for line in proof.read_text().splitlines()]
    assert any(line.get("atoms") for line in lines[1:])
    spec.write_text(head + box + "(assert (>= X_0 (- X_1 0.01))) (assert (<= Y_0 Y_1))")
    assert verifex.verify(model, spec, seconds=60).outcome is Outcome.REFUTED


def test_a_row_that_ends_at_the_limit(tmp_path: Path) -> None:
    """The claim y <= 1/2 of the identity where a row says x <= 1/2: a tie, closed at the root."""
    builder, _, out = relu_net([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0])])
    model, spec = tmp_path / "n.onnx", tmp_path / "s.toml"
    model.write_bytes(to_onnx(builder.build({"y": out}), {"y": out}))
    spec.write_text('verifex = 1\n[region]\nbox = [0, 1]\nlinear = "x[0] <= 0.5"\n'
                    '[[require]]\noutput = "logit:0"\nat_most = 0.5\n')
    problem = verifex.build(model, spec)
    search = InputSearch(problem, Budget(60.0))
    search.go_on()
    assert search.finished
    assert search.tree.count < 8
    assert verifex.verify(model, spec, seconds=60).outcome is Outcome.PROVED


def test_an_inner_row_is_used_by_its_multiplier(tmp_path: Path) -> None:
    """x + x' <= 1/2 on [0, 1] x [0, 1]: the sum of both is at most 0.51 by the row alone."""
    builder, _, out = relu_net([([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])])
    model, spec, proof = tmp_path / "n.onnx", tmp_path / "s.toml", tmp_path / "p.vxc"
    model.write_bytes(to_onnx(builder.build({"y": out}), {"y": out}))
    spec.write_text('verifex = 1\n[region]\nbox = {lo = [0, 0], hi = [1, 1]}\n'
                    'linear = "x[0] + x[1] <= 0.5"\n'
                    '[[require]]\noutput = "logit:0"\nat_most = 0.51\n')
    found = verifex.verify(model, spec, settings=Settings(certificate=proof))
    assert found.outcome is Outcome.PROVED
    lines = [json.loads(line) for line in proof.read_text().splitlines()]
    assert any(line.get("rows") for line in lines)
    assert sum("leaf" in line for line in lines) < 4


def test_a_row_with_an_input_that_the_claim_does_not_read() -> None:
    """y = relu(x) <= 1/2 where x + u <= 1/2: true for u >= 0, false where u may be below."""
    for low, closed in ((Fraction(0), True), (Fraction(-1), False)):
        b = Builder()
        x, u = b.input("x", (1,)), b.input("u", (1,))
        y, other = b.relu(x), b.relu(u)
        graph = b.build({"y": y, "other": other})
        row = LinearRow({0: Fraction(1), 1: Fraction(1)}, Fraction(1, 2))
        region = Region((Fraction(-1), low), (Fraction(1), Fraction(1)), rows=(row,))
        claim = Atom(Form.of({(y, 0): -1}, Fraction(51, 100)))
        found = decide_inputs(Problem(graph, region, claim), Budget(10.0))
        assert (found.closed is not None) == closed
        assert (found.witness is not None) != closed


@pytest.mark.parametrize("outputs", [
    # Each alternative is excluded by what the others of the conjunction say, for itself.
    "(>= Y_0 0.125) (>= Y_0 0.25) (or (>= Y_1 0.5) (>= Y_1 0.75))",
    # That the first of them is needed rests on the second, which is false by its bound alone.
    "(or (and (>= Y_0 0.125) (>= Y_0 0.25)) (>= (+ Y_0 Y_1) 1.5)) (>= Y_1 0.5)",
])
def test_the_checker_follows_what_makes_other_atoms_necessary(
    tmp_path: Path, outputs: str
) -> None:
    """Outputs x and -x, which are never both positive."""
    builder, _, out = relu_net([
        ([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0])])
    network, query = tmp_path / "net.onnx", tmp_path / "query.vnnlib"
    network.write_bytes(to_onnx(builder.build({"y": out})))
    query.write_text(
        "(declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)\n"
        f"(assert (and (>= X_0 -1) (<= X_0 1) {outputs}))")
    search = InputSearch(read(network, query).problem, Budget(5.0))
    search.go_on()
    assert any(used.atoms for leaf in search.tree.closed.values() for used in leaf.values())
    found = verifex.verify(network, query, engine="inputs", attack=False)
    assert found.outcome is Outcome.PROVED, found.notes
