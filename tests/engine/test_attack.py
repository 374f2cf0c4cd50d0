"""The attack: points that only some corners show, slopes through gates, and its state."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.gradient_nets import gradient_problem
from tests.helpers.strategies import formulas
from verifex.engine.budget import Budget
from verifex.engine.falsify.attack import Attack, attack
from verifex.engine.margin import batch_margin, deciding_forms
from verifex.engine.run import node_bounds
from verifex.ir.formula import Atom, Form, Formula
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region

F = Fraction


def one_corner(size: int, seed: int) -> Problem:
    """A claim that fails at one corner of a box and at no other: ReLUs of the distance from it."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 2, size) * 2.0 - 1.0
    b = Builder()
    x = b.input("x", (size,))
    near = b.relu(b.affine(dense(np.diag(corner)), x, np.full(size, 1.0)))  # 2 there, else 0
    total = b.affine(dense(np.ones((1, size))), near, np.array([-2.0 * size]))
    region = Region((F(-1),) * size, (F(1),) * size)
    return Problem(b.build({"y": total}), region, Atom(Form.of({(total, 0): -1}, F(-1, 2))))


@pytest.mark.parametrize("size", [8, 40])
def test_a_claim_that_fails_at_one_corner_only_is_refuted(size: int) -> None:
    problem = one_corner(size, size)
    found = attack(problem, Budget(60), node_bounds(problem), rounds=1, gradient=False)
    assert found.witness is not None
    assert all(v in (-1, 1) for v in found.witness.point)


def test_the_state_lasts_between_slices() -> None:
    problem, _ = gradient_problem(1)
    problem = Problem(problem.graph, problem.region, Atom(Form.of(
        {next(iter(problem.cells())): 1}, F(1000))))  # never violated
    whole = attack(problem, Budget(600), node_bounds(problem), seed=3, pieces=20)
    calls = 0

    def clock() -> float:
        nonlocal calls
        calls += 1
        return float(calls)

    sliced = Attack(problem, node_bounds(problem), seed=3, pieces=20)
    slices = 0
    while not sliced.ended:
        sliced.run(Budget(4, clock=clock))
        slices += 1
    assert slices > 10
    assert whole.witness is None
    assert sliced.tried == whole.tried
    assert np.array_equal(sliced.result.best_point, whole.best_point)


def test_the_attack_does_not_load_torch() -> None:
    code = (
        "import sys\n"
        "from tests.helpers.gradient_nets import gradient_problem\n"
        "from verifex.engine.budget import Budget\n"
        "from verifex.engine.falsify.attack import attack\n"
        "from verifex.engine.run import node_bounds\n"
        "problem, _ = gradient_problem(0)\n"
        "print(attack(problem, Budget(30), node_bounds(problem)).tried)\n"
        "sys.exit('torch' in sys.modules)\n")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=".")


@given(f=formulas(0, 4), seed=st.integers(0, 1000))
def test_the_deciding_form_has_the_margin_as_its_value(f: Formula, seed: int) -> None:
    values = {0: np.random.default_rng(seed).integers(-9, 10, (5, 4)).astype(float)}
    with np.errstate(all="ignore"):  # sums of infinite margins
        margin = np.broadcast_to(batch_margin(f, values, np), (5,))
    forms, deciding = deciding_forms(f, values)
    for k in range(5):
        if deciding[k] < 0:
            assert not np.isfinite(margin[k])
        else:
            form = forms[deciding[k]]
            value = float(form.const) + sum(
                float(c) * values[0][k, index] for (_, index), c in form.terms)
            assert value == pytest.approx(margin[k])
