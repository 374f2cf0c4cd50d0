"""VNN-LIB 2.0: bounds that linear atoms imply, inputs equated by two inequalities, squares."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import verifex
from tests.helpers.query_texts import save
from verifex.cli.vnnlib.main import run
from verifex.engine.verdict import Outcome
from verifex.errors import UnsupportedError
from verifex.ir.formula import And, Atom, Form, holds, negate
from verifex.ir.graft import graft
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import identity
from verifex.ir.ops import Mul
from verifex.problem.vnnlib.query import flat_inputs, hull, with_implied
from verifex.problem.vnnlib.stated import Stated
from verifex.problem.vnnlib.version_2 import state
from verifex.semantics.evaluate import evaluate_exact

pytest.importorskip("vnnlib")

F = "(declare-network f (declare-input X real [2]) (declare-output Y real [2]))\n"
G = "(declare-network g (declare-input Z real [2]) (declare-output W real [2]))\n"
BOX = "(assert (and (>= X[0] -1) (<= X[0] 1) (>= X[1] -1) (<= X[1] 1)))\n"
NEAR = "".join(f"(assert (<= (- X[{k}] Z[{k}]) 0.01)) (assert (>= (- X[{k}] Z[{k}]) -0.01))\n"
               for k in (0, 1))


def read(*parts: str, **networks: Graph) -> Stated:
    return state("(vnnlib-version <2.0>)\n" + "".join(parts), "q.vnnlib", networks, "q")


# --- bounds that follow ---------------------------------------------------------------------------


def test_bounds_follow_from_linear_conditions(f: Graph, g: Graph) -> None:
    problem = read(F, G, BOX, NEAR, "(assert (>= Y[0] W[0]))", f=f, g=g).problem
    edge = Fraction("1.01")
    assert problem.region.lo == (-1, -1, -edge, -edge)
    assert problem.region.hi == (1, 1, edge, edge)
    left = negate(problem.require)
    assert isinstance(left, And)
    assert len(left.parts) == 5  # the conditions stay demanded, the bounds are the region


def test_a_condition_inside_an_or_bounds_nothing(f: Graph, g: Graph) -> None:
    near = "(assert (or (<= Y[0] 0) (and (<= (- X[0] Z[0]) 0.01) (>= (- X[0] Z[0]) -0.01))))"
    with pytest.raises(UnsupportedError, match=r"Z\[0\] has no lower bound"):
        read(F, G, BOX, near, f=f, g=g)


def test_bounds_that_follow_in_several_steps(f: Graph) -> None:
    text = ("(assert (and (>= X[0] 0) (<= X[0] 1)))", "(assert (<= (* 3 X[1]) (+ X[0] 1)))",
            "(assert (>= (+ X[0] X[1]) -0.5))", "(assert (<= Y[0] 1))")
    region = read(F, *text, f=f).problem.region
    assert region.lo[1] == Fraction("-1.5")
    assert 0 <= region.hi[1] - Fraction(2, 3) < Fraction(1, 10**30)
    assert 10**40 % region.hi[1].denominator == 0


def test_implied_bounds_lose_no_point() -> None:
    """Random conjunctions of linear atoms: a point that satisfies them is in the box."""
    rng = random.Random(3)
    b = Builder()
    graph = b.build({"y": b.input("x", (3,))})
    cells = {i: cell for cell, i in flat_inputs(graph).items()}
    sharper = 0
    for _ in range(200):
        parts = [Atom(Form.of({cells[i]: s}, 3)) for i in range(2) for s in (1, -1)]
        for _ in range(4):
            terms = {cells[i]: rng.randint(-3, 3) for i in range(3)}
            parts.append(Atom(Form.of(terms, rng.randint(0, 6)), rng.random() < 0.3))
        claim = And(tuple(parts))
        more = with_implied(claim, graph)
        box = hull(more, flat_inputs(graph))
        sharper += box != hull(claim, flat_inputs(graph))
        for _ in range(30):
            point = [Fraction(rng.randint(-12, 12), 4) for _ in range(3)]
            values = evaluate_exact(graph, point, list(graph.inputs))
            assert holds(claim, values) == holds(more, values)
    assert sharper > 100


def test_conditions_that_exclude_each_other_have_no_counterexample(f: Graph, g: Graph) -> None:
    far = "(assert (>= Z[0] 3)) (assert (<= Z[0] 4)) (assert (<= Y[0] W[0]))"
    verdict = verifex.verify(None, read(F, G, BOX, NEAR, far, f=f, g=g).problem)
    assert verdict.outcome in (Outcome.CLAIMED, Outcome.PROVED)


def test_unsat_of_nearby_inputs_is_proved(
    f: Graph, g: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = tmp_path / "q.vnnlib"
    query.write_text("(vnnlib-version <2.0>)\n" + F + G + BOX + NEAR
                     + "(assert (>= (- Y[0] W[0]) 100))")
    files = [f"--network=f={save(f, tmp_path / 'f.onnx')}",
             f"--network=g={save(g, tmp_path / 'g.onnx')}"]
    run(["verify", str(query), *files, "--timeout", "60"])
    out, said = capsys.readouterr()
    assert out.splitlines()[0] == "unsat", said


# --- inputs that are equal ------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["(<= X[{0}] Z[{0}]) (>= X[{0}] Z[{0}])",
                                   "(<= X[{0}] Z[{0}]) (<= Z[{0}] X[{0}])",
                                   "(>= Z[{0}] X[{0}]) (>= X[{0}] Z[{0}])"])
def test_two_inequalities_equate_inputs(f: Graph, g: Graph, order: str) -> None:
    equal = f"(assert (and {order.format(0)} {order.format(1)}))"
    assert read(F, G, BOX, equal, "(assert (<= Y[0] W[0]))",
                f=f, g=g).problem.region.names == ("X[0]", "X[1]")


@pytest.mark.parametrize("order", ["(<= X[0] Z[0]) (<= X[0] Z[0])", "(< X[0] Z[0]) (> X[0] Z[0])",
                                   "(<= X[0] Z[0]) (>= X[0] Z[1])", "(<= X[0] Z[0]) (>= Z[0] X[0])",
                                   "(or (<= X[0] Z[0]) (>= X[0] Z[0]))"])
def test_other_inequalities_equate_nothing(f: Graph, g: Graph, order: str) -> None:
    assert read(F, G, BOX, BOX.replace("X", "Z"), f"(assert (and {order} (<= Y[0] 1)))",
                f=f, g=g).problem.region.size == 4


# --- squares --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "(< (* (- Y[0] Y[1]) (- Y[0] Y[1])) 0)",
    "(< (* (- Y[0] Y[1]) (- Y[0] Y[1]) 3) 0)",
    "(> (* (- Y[0] Y[1]) (- Y[1] Y[0])) 0)",
    "(<= (* (- Y[0] 0.1) 2 (- (* 2 Y[0]) 0.2)) -0.001)",
    "(< (* (- Y[0] Y[1]) Y[0] (- Y[0] Y[1]) Y[0]) 0)",
])
def test_squares_are_not_negative(f: Graph, text: str) -> None:
    problem = read(F, BOX, f"(assert {text})", f=f).problem
    verdict = verifex.verify(None, problem, seconds=10)
    assert verdict.outcome is Outcome.CLAIMED, verdict
    assert verdict.steps[0].result == "closed"  # by interval bounds, with no search


def test_a_square_distance_is_bounded(
    f: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 (Y - W - 1e-4)^2 > 2e-4 where W is Y but for a bias: the translation has the square too.

    Claimed only: the checker refuses a Mul of a computed tensor with itself in a file."""
    b = Builder()
    moved = b.affine(identity((2,)), graft(b, f, [b.input("x", (2,))])[f.outputs["y"]],
                     np.array([0.0078125, 0.0]))
    g = b.build({"y": moved})
    equal = "(assert (and (== X[0] Z[0]) (== X[1] Z[1])))"
    query = tmp_path / "q.vnnlib"
    query.write_text("(vnnlib-version <2.0>)\n" + F + G + BOX + equal + "(assert (> (* (- Y[0] "
                     "(+ W[0] 0.0001)) 2 (- Y[0] (+ W[0] 0.0001))) 0.0002))")
    files = [f"--network=f={save(f, tmp_path / 'f.onnx')}",
             f"--network=g={save(g, tmp_path / 'g.onnx')}"]
    words = ["verify", str(query), *files, "--timeout", "30"]
    for more, word in (([], "unknown"), (["--accept", "claimed"], "unsat")):
        run([*words, *more])
        out, said = capsys.readouterr()
        assert out.splitlines()[0] == word, said
        assert "claimed, not proved" in said


def test_products_mean_what_they_say(f: Graph) -> None:
    """Random products of linear forms, with and without equal factors, at random points."""
    rng = random.Random(0)

    def linear() -> tuple[str, list[Fraction]]:
        c = [Fraction(rng.randint(-9, 9), 10) * rng.choice([0, 1, 1]) for _ in range(4)]
        said = " ".join(f"(* {float(v)} {n})" for v, n in zip(
            c, ("Y[0]", "Y[1]", "X[0]"), strict=False))
        return f"(+ {said} {float(c[3])})", c

    squares = 0
    for _ in range(60):
        pool = [linear() for _ in range(2)]
        used = [rng.choice(pool) for _ in range(rng.randint(2, 4))]
        factor = rng.choice([-2, 1, 3])
        text = f"(* {factor} {' '.join(u[0] for u in used)})"
        problem = read(F, BOX, f"(assert (>= (+ {text} Y[0]) 0))", f=f).problem
        squares += any(isinstance(n.op, Mul) and n.args[0] == n.args[1]
                       for n in problem.graph.nodes)
        for _ in range(5):
            x = [Fraction(rng.randint(-8, 8), 8) for _ in range(2)]
            values = evaluate_exact(problem.graph, x, problem.targets())
            node = next(iter(f.outputs.values()))
            y = list(evaluate_exact(f, x, [node])[node].fractions())
            value = Fraction(factor)
            for _, c in used:
                value *= c[0] * y[0] + c[1] * y[1] + c[2] * x[0] + c[3]
            assert holds(negate(problem.require), values) == (value + y[0] >= 0)
    assert squares > 30


def test_nested_squares_keep_to_the_degree(f: Graph) -> None:
    term = "(- Y[0] Y[1])"
    for _ in range(4):
        term = f"(- (* {term} {term}) 1)"
    read(F, BOX, f"(assert (<= {term} 1))", f=f)
    with pytest.raises(UnsupportedError, match="a degree of at most 16"):
        read(F, BOX, f"(assert (<= (* {term} {term}) 1))", f=f)
