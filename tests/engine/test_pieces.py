"""Local search over activation patterns, against the enumeration of all pieces."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from tests.helpers.gradient_nets import network
from verifex.engine.budget import Budget
from verifex.engine.falsify.attack import attack
from verifex.engine.falsify.pieces.local_search import PieceSearch, raised
from verifex.engine.falsify.pieces.tangents import LocalGraph
from verifex.engine.falsify.seeker import Seeker
from verifex.engine.falsify.witness import refute, replay
from verifex.engine.margin import batch_margin
from verifex.engine.run import node_bounds
from verifex.ir.exact import as_float
from verifex.ir.formula import TRUE, And, Atom, Form, Or
from verifex.ir.graph import Builder
from verifex.ir.linmap import total
from verifex.ir.ops import Affine
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Ball, LinearRow, Region
from verifex.semantics.evaluate import evaluate_float

F = Fraction
WIDTHS = (2, 4, 3, 1)


def questions(seed: int) -> tuple[Problem, dict[str, Form]]:
    """A tiny network with its output, gradient, input times gradient and the gradient's l1 norm."""
    b, x, (logit, gradient), region = network(seed, WIDTHS)
    product = b.mul(x, gradient)
    size = b.absolute(gradient)
    norm = b.affine(total(b.shape(size)), size)
    graph = b.build({"f": logit, "g": gradient, "p": product, "n": norm})
    forms = {"output": Form.of({(logit, 0): 1}), "gradient": Form.of({(gradient, 0): 1}),
             "product": Form.of({(product, 1): 1}), "norm": Form.of({(norm, 0): 1})}
    return Problem(graph, region, TRUE), forms


def layers(problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of the network."""
    found = []
    for node in problem.graph.nodes:
        if isinstance(node.op, Affine) and node.op.bias is not None:
            found.append((node.op.maps[0].weight, as_float(node.op.bias).ravel()))
    return found[: len(WIDTHS) - 1]


def every_piece(problem: Problem, what: str, rows: list[tuple[np.ndarray, float]]) -> float:
    """The greatest value over all activation patterns, each by a linear program of scipy's."""
    (w1, b1), (w2, b2), (w3, b3) = layers(problem)
    lo, hi = ([float(v) for v in side] for side in (problem.region.lo, problem.region.hi))
    best, off = -np.inf, 1e-9
    for bits in itertools.product((0.0, 1.0), repeat=w1.shape[0] + w2.shape[0]):
        d1, d2 = np.array(bits[: w1.shape[0]]), np.array(bits[w1.shape[0] :])
        second, shift = w2 @ (d1[:, None] * w1), w2 @ (d1 * b1) + b2
        gradient = ((w3 * d2) @ second)[0]
        z, z0 = np.concatenate([w1, second]), np.concatenate([b1, shift])
        turn = np.where(np.array(bits) > 0, 1.0, -1.0)
        a = np.concatenate([-turn[:, None] * z, *(row[None] for row, _ in rows)])
        right = np.concatenate([turn * z0 - off, [rhs for _, rhs in rows]])
        cost, const = {
            "output": (gradient, float(((w3 * d2) @ shift + b3)[0])),
            "gradient": (np.zeros(2), gradient[0]),
            "product": (np.array([0.0, gradient[1]]), 0.0),
            "norm": (np.zeros(2), float(np.abs(gradient).sum())),
        }[what]
        found = linprog(-cost, A_ub=a, b_ub=right, bounds=list(zip(lo, hi, strict=True)))
        if found.status == 0:
            best = max(best, const - found.fun)
    return best


@pytest.mark.parametrize("what", ["output", "gradient", "product", "norm"])
@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_all_pieces_is_found_and_replays_off_the_kinks(seed: int, what: str) -> None:
    problem, forms = questions(seed)
    problem = replace(problem, require=Atom(forms[what]))
    seeker = Seeker(problem, Objective(forms[what], True))
    seeker.run(Budget(60))
    expected = every_piece(problem, what, [])
    assert seeker.best.best is not None
    found = seeker.best.best
    assert not found.on_kink
    at = replay(problem, found.point)
    assert at.inside
    assert not at.on_kink
    assert forms[what].value(at.values) == found.value
    assert float(found.value) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_the_region_bound_the_pieces(seed: int) -> None:
    problem, forms = questions(seed)
    row = LinearRow({0: F(1), 1: F(1)}, F(1, 8))
    region = replace(problem.region, rows=(row,))
    problem = replace(problem, region=region, require=Atom(forms["output"]))
    seeker = Seeker(problem, Objective(forms["output"], True))
    seeker.run(Budget(60))
    expected = every_piece(problem, "output", [(np.ones(2), 0.125)])
    assert seeker.best.best is not None
    assert row.holds(seeker.best.best.point)
    assert float(seeker.best.best.value) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_balls_bound_the_pieces(norm: str) -> None:
    """On a linear function the greatest value over a ball is known: the dual norm."""
    b = Builder()
    x = b.input("x", (2,))
    y = b.affine(total((2,)), x)
    ball = Ball(norm, (0, 1), (F(0), F(0)), F(1))
    region = Region((F(-2),) * 2, (F(2),) * 2, balls=(ball,))
    form = Form.of({(y, 0): 1})
    problem = Problem(b.build({"y": y}), region, Atom(form), point=(F(0), F(0)))
    seeker = Seeker(problem, Objective(form, True))
    seeker.run(Budget(60))
    assert seeker.best.best is not None
    expected = 1.0 if norm == "l1" else np.sqrt(2)
    assert float(seeker.best.best.value) == pytest.approx(expected, rel=1e-6)
    assert ball.holds(seeker.best.best.point)


@pytest.mark.parametrize("seed", range(4))
def test_values_and_slopes_under_the_own_pattern_are_those_of_the_graph(seed: int) -> None:
    problem, forms = questions(seed)
    local = LocalGraph(problem.graph, list(problem.graph.outputs.values()), np.arange(2))
    x, step = np.random.default_rng(seed).uniform(-0.25, 0.25, 2), 1e-7
    asked = list(forms.values())
    there = local.at(x, local.signs(x[None]), asked)
    beside = x + step * np.eye(2)
    nodes = evaluate_float(problem.graph, np.concatenate([x[None], beside]),
                           list(problem.graph.outputs.values()))
    for k, form in enumerate(asked):
        (node, index), = (cell for cell, _ in form.terms)
        values = nodes[node].reshape(3, -1)[:, index]
        assert there.values[0, k] == pytest.approx(values[0])
        assert there.slopes[0, k] == pytest.approx((values[1:] - values[0]) / step, abs=1e-5)


def test_a_claim_that_one_small_piece_breaks_is_refuted() -> None:
    problem, forms = questions(2)
    best = every_piece(problem, "output", [])
    claim = Atom(Form.of({forms["output"].terms[0][0]: -1}, F(best - 1e-4)), strict=True)
    broken = replace(problem, require=claim)
    search = PieceSearch(broken)
    search.run(Budget(60), enough=0.0)
    assert search.point is not None
    assert refute(broken, search.point.tolist()) is not None


def test_the_attack_finds_what_only_the_best_point_of_a_piece_breaks() -> None:
    found = missed = 0
    for seed in range(6):
        problem, forms = questions(seed)
        best = every_piece(problem, "output", [])
        bound = F(best - 1e-6 * abs(best))
        broken = replace(problem, require=Atom(Form(
            (-forms["output"]).terms, bound), strict=True))
        bounds = node_bounds(broken)
        missed += attack(broken, Budget(60), bounds).witness is None
        found += attack(broken, Budget(60), bounds, pieces=200).witness is not None
    assert found == 6
    assert missed > 0


def test_what_is_raised_decides_the_margin() -> None:
    values = {0: np.array([[3.0, -1.0, 2.0]])}
    one, two, three = (Atom(Form.of({(0, i): 1})) for i in range(3))
    for formula, expected in (
        (And((one, two)), {0, 1}), (Or((one, two)), {0}), (And((Or((two, three)), one)), {0, 2}),
    ):
        forms = raised(formula, values)
        assert {form.terms[0][0][1] for form in forms} == expected
        least = min(values[0][0, form.terms[0][0][1]] for form in forms)
        assert least == float(batch_margin(formula, values, np)[0])


def test_the_search_over_pieces_can_be_continued() -> None:
    problem, forms = questions(1)
    problem = replace(problem, require=Atom(forms["norm"]))
    whole = PieceSearch(problem, Objective(forms["norm"], True))
    whole.run(Budget(60))
    ticks = itertools.count()
    sliced = PieceSearch(problem, Objective(forms["norm"], True))
    for _ in range(10**5):
        # The linear programs ask for seconds that are left, so a slice needs several.
        sliced.run(Budget(8, clock=lambda: float(next(ticks))))
        if sliced.ended:
            break
    assert sliced.ended
    assert sliced.value == pytest.approx(whole.value)
