"""Bounds at the root hold at exact points, do not depend on batches; their proofs are accepted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.gradient_nets import network
from tests.helpers.spec_nets import checked, pair, truth
from verifex.certificate.write import proof_lines
from verifex.engine.bounds import root as root_module
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import Root, plain_root, root_facts
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.policy import SearchOptions
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import Conv, dense, reshape, transpose
from verifex.problem.spec.build import read_problem
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.parameters import ParameterKind

BUDGET = (60.0, 1 << 30, 1)


def convolutional(seed: int) -> tuple[Graph, int]:
    """Two convolutions, one of them transposed, and two dense layers."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", (1, 1, 4, 4))
    first = Conv((1, 1, 4, 4), (1, 3, 2, 2), rng.normal(size=(3, 1, 3, 3)), (2, 2),
                 ((1, 0), (0, 1)), (1, 1))
    back = transpose(Conv((1, 2, 3, 3), (1, 3, 2, 2), rng.normal(size=(3, 2, 2, 2)), (1, 1),
                          ((0, 0), (0, 0)), (1, 1)))
    h = b.relu(b.affine(first, x, rng.normal(size=(1, 3, 2, 2)) / 2))
    h = b.affine(reshape((1, 2, 3, 3), (18,)), b.relu(b.affine(back, h)))
    h = b.relu(b.affine(dense(rng.normal(size=(8, 18))), h, rng.normal(size=8)))
    y = b.affine(dense(rng.normal(size=(2, 8))), h)
    return b.build({"y": y}), y


def question(kind: str) -> tuple[Graph, tuple[int, ...], FloatArray, FloatArray]:
    """A graph, what is asked of it, and a box."""
    if kind == "convolutions":
        graph, y = convolutional(1)
        side = np.full(graph.input_size, 0.25)
        return graph, (y,), -side, 2 * side
    b, _, (logit, gradient), region = network(3, (3, 8, 6, 1))
    lo, hi = region.float_box()
    return b.build({"f": logit, "g": gradient}), (logit, gradient), lo, hi


def roots(kind: str) -> tuple[Graph, Root, Root]:
    """Bounds without optimising, and those that were optimised from there, in another `Root`."""
    graph, targets, lo, hi = question(kind)
    budget = Budget(*BUDGET)
    plain = plain_root(Layout(graph, targets), TorchBounder(graph), lo, hi, budget)
    again = plain_root(Layout(graph, targets), TorchBounder(graph), lo, hi, budget)
    effort = Effort(40, 0.2, 0.95)
    best = root_facts(again.layout, TorchBounder(graph), lo, hi, budget, effort, again)
    return graph, plain, best


@pytest.mark.parametrize("kind", ["convolutions", "gradient"])
def test_facts_hold_at_exact_points(kind: str) -> None:
    graph, plain, best = roots(kind)
    _, _, lo, hi = question(kind)
    rng = np.random.default_rng(2)
    met = 0
    for k in range(40):
        share = rng.random(len(lo)) if k % 2 else rng.integers(0, 2, len(lo))
        point = [Fraction(float(a)) + Fraction(float(s)) * (Fraction(float(b)) - Fraction(float(a)))
                 for a, b, s in zip(lo, hi, share, strict=True)]
        values = evaluate_exact(graph, point, plain.layout.order)
        exact = {i: v.fractions() for i, v in values.items()}
        for root in (plain, best):
            for fact in root.facts:
                assert fact.sign * exact[fact.node][fact.index] >= Fraction(fact.bound)
                met += 1
    assert met > 400


@pytest.mark.parametrize("kind", ["convolutions", "gradient"])
def test_optimised_bounds_are_no_wider_where_the_sign_is_open(kind: str) -> None:
    _, plain, best = roots(kind)
    narrower = 0
    for z in plain.layout.offsets:
        lo, hi = best.boxes.lo[z][0], best.boxes.hi[z][0]
        assert (lo >= plain.boxes.lo[z][0]).all()
        assert (hi <= plain.boxes.hi[z][0]).all()
        narrower += int((hi - lo < 0.99 * (plain.boxes.hi[z][0] - plain.boxes.lo[z][0])).sum())
    assert narrower > 2


@pytest.mark.parametrize("kind", ["convolutions", "gradient"])
def test_units_are_bounded_alike_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain, best = roots(kind)
    monkeypatch.setattr(root_module, "ROWS", 2)
    _, alone, best_alone = roots(kind)
    for one, other in ((plain, alone), (best, best_alone)):
        for z in one.layout.offsets:
            np.testing.assert_allclose(one.boxes.lo[z], other.boxes.lo[z], 1e-6, 1e-6)
            np.testing.assert_allclose(one.boxes.hi[z], other.boxes.hi[z], 1e-6, 1e-6)


def test_plain_facts_of_relus_name_no_slopes() -> None:
    """A checker chooses the slopes that they were found with."""
    _, plain, _ = roots("convolutions")
    assert plain.facts
    assert not any(fact.params for fact in plain.facts)


@pytest.mark.slow
def test_proofs_by_plain_bounds_are_accepted(tmp_path: Path) -> None:
    """Claims about outputs and gradients, as on networks that are not refreshed."""
    accepted = plain = 0
    for seed in range(4000, 4020):
        kind = ("output", "component", "class", "order", "l1")[seed % 5]
        p = pair(seed, tmp_path, kind, hard=True)
        problem = p.problem()
        found = decide_search(problem, Budget(5, 1 << 30, 1), SearchOptions(refresh=False))
        if found.closed is None or found.stats.ties:
            continue
        assert truth(problem) in ("true", "open", "kink"), seed
        lines = proof_lines(problem, read_problem(p.spec, p.network).files, found.closed)
        assert checked(p, lines, tmp_path) == (0, "valid"), seed
        accepted += 1
        slopes = [any(k.kind is ParameterKind.ALPHA for k in f.params) for f in found.closed.facts]
        plain += not all(slopes)
    assert accepted >= 6
    assert plain >= 2
