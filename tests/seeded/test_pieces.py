"""Small pieces on which proofs rest, each against exact values: what a seeded bug would change."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.seeded.claims import FOLDER
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import _outward, root_facts
from verifex.engine.budget import Budget
from verifex.engine.search.extrema import linear_rows
from verifex.ir.formula import FALSE, TRUE, Atom, Form, simplify
from verifex.ir.problem import Objective, Problem
from verifex.problem.spec.build import load_problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.interval import Interval, add
from verifex.solvers.regions import optimum

NAMES = ("component_1", "order_1", "output_1")


def problem(name: str) -> Problem:
    return load_problem(FOLDER / f"{name}.toml", None)


@pytest.mark.parametrize("bound", [1.0, -1.0, 0.1, -0.1, 1e-3, 123.456, -7e5, 2.0**-30])
def test_outward_bounds_lie_below(bound: float) -> None:
    assert _outward(bound) < bound
    assert _outward(bound) > bound - 1e-5 * max(1.0, abs(bound))


@pytest.mark.parametrize("values", [(0.1, 0.2), (1e16, 1.0), (-0.1, 0.7), (2.0**-60, 1.0)])
def test_sums_of_intervals_hold_the_exact_sum(values: tuple[float, float]) -> None:
    a, b = (Interval(np.array([v]), np.array([v])) for v in values)
    exact, found = Fraction(values[0]) + Fraction(values[1]), add(a, b)
    assert Fraction(float(found.lo[0])) <= exact <= Fraction(float(found.hi[0]))


@pytest.mark.parametrize("strict", [False, True])
def test_only_bounds_that_decide_an_atom_decide_it(strict: bool) -> None:
    """`v >= 0` may hold for v in [-1, 0], `v > 0` may not; for v in [0, 1] only `v > 0` is open."""
    atom = Atom(Form.of({(0, 0): 1}), strict)
    below = simplify(atom, {0: np.array([-1.0])}, {0: np.array([0.0])})
    above = simplify(atom, {0: np.array([0.0])}, {0: np.array([1.0])})
    assert below == (FALSE if strict else atom)
    assert above == (atom if strict else TRUE)


def _layout(p: Problem) -> Layout:
    return Layout(p.graph, tuple(p.targets()))


@pytest.mark.parametrize("name", NAMES)
def test_facts_hold_exactly(name: str) -> None:
    """No bound proven at the root is above the exact least value that it bounds."""
    p = problem(name)
    lo, hi = p.region.float_box()
    bounder = TorchBounder(p.graph, linear=linear_rows(p.region))
    root = root_facts(_layout(p), bounder, lo, hi, Budget(20.0, 1 << 30, 1), Effort(20, 0.2, 0.97))
    assert root.facts
    for fact in root.facts[:6]:
        form = Form.of({(fact.node, fact.index): fact.sign})
        about = Problem(p.graph, p.region, Atom(form))
        least = optimum(about, Objective(form, False), 20.0).bound
        assert least is not None
        assert Fraction(fact.bound) <= Fraction(least)


@pytest.mark.parametrize("name", NAMES)
def test_domains_of_a_batch_keep_their_own_points(name: str) -> None:
    """Points sorted by the signs of their gates lie within the bounds of their own domain."""
    p = problem(name)
    layout, rng = _layout(p), np.random.default_rng(5)
    lo, hi = p.region.float_box()
    x = rng.uniform(lo, hi, size=(40, lo.shape[0]))
    values = evaluate_float(p.graph, x, layout.order)
    z = np.concatenate([values[i].reshape(40, -1) for i in sorted(layout.offsets)], axis=1)
    signs = np.where(z > 1e-9, 1, np.where(z < -1e-9, -1, 0)).astype(np.int8)
    signs[:, ::2] = 0
    wide = np.repeat(lo[None], 40, axis=0), np.repeat(hi[None], 40, axis=0)
    boxes = layout.propagate(*wide, signs)
    assert not boxes.empty.any()
    for i in layout.offsets:
        at = values[i].reshape(40, -1)
        assert (boxes.lo[i] <= at + 1e-9).all()
        assert (at <= boxes.hi[i] + 1e-9).all()


def test_one_empty_domain_leaves_the_others() -> None:
    p = problem(NAMES[0])
    layout = _layout(p)
    lo, hi = p.region.float_box()
    boxes = layout.propagate(lo[None], hi[None], np.zeros((1, layout.gates), dtype=np.int8))
    z, k = next((z, k) for z in layout.offsets for k in range(boxes.lo[z].shape[1])
                if boxes.lo[z][0, k] > 0 or boxes.hi[z][0, k] < 0)
    signs = np.zeros((3, layout.gates), dtype=np.int8)
    signs[1, layout.offsets[z] + k] = -1 if boxes.lo[z][0, k] > 0 else 1  # contradicts the box
    wide = np.repeat(lo[None], 3, axis=0), np.repeat(hi[None], 3, axis=0)
    assert layout.propagate(*wide, signs).empty.tolist() == [False, True, False]


def test_claims_lie_beside_their_networks() -> None:
    assert all((FOLDER / f"{p.stem}.onnx").is_file() for p in Path(FOLDER).glob("*.toml"))
