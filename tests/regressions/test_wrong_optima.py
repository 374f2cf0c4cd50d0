"""Optima that a solver once got wrong, and models that it could not read: the right value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from verifex import api
from verifex.engine.findings.reasons import Reason
from verifex.engine.ranges import find_range
from verifex.engine.run import node_bounds
from verifex.engine.solve.pool import SolverPool
from verifex.ir.formula import Atom
from verifex.ir.model.solving import SolveLimits, Status
from verifex.ir.problem import Objective, Problem
from verifex.semantics.claim import extremum
from verifex.settings import Settings

TRUTH = 0.6763845


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Path:
    """The folder of failing inputs; skipped by name where there is none."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("needs the failing inputs in ../shared/cases")
    return folder


@pytest.mark.slow
def test_the_wrong_optimum_of_highs(cases: Path) -> None:
    """The L1 norm of a gradient, 20-100-100-2 at .02: HiGHS at 1e-9 called .66306 optimal."""
    found = api.bound(None, cases / "highs-wrong-optimum" / "spec.toml", "norm:l1", seconds=60)
    assert found.high.best_bound is not None
    assert found.high.best_bound >= 0.6763
    if found.closed:
        assert found.high.best_bound == pytest.approx(TRUTH, abs=1e-6)
        assert float(found.high.attained or 0) == pytest.approx(TRUTH, abs=1e-6)


def test_a_point_beyond_the_wrong_optimum(cases: Path) -> None:
    """Its bound is discarded by the point that attains .66372, and named."""
    from verifex.engine.falsify.attained import Best

    folder = cases / "highs-wrong-optimum"
    (asked,) = api.measure(None, folder / "spec.toml", ["norm:l1"])
    problem = Problem(asked.problem.graph, asked.problem.region, Atom(asked.form))
    best = Best(problem, Objective(asked.form, True))
    best.offer(np.load(folder / "point_with_0.6637.npy").ravel().tolist())
    reasons: list[Reason] = []
    told = best.result(None, (0.6630558003562546, "highs"), reasons)
    assert told.claimed is None
    assert list(map(str, reasons)) == [
        "highs: its bound 0.6630558 contradicts a replayed value 0.663723212: discarded"]


def test_a_model_that_highs_refused(cases: Path) -> None:
    """Coefficients beyond 1e15: counted in other units, or a reason by name."""
    folder = cases / "deep-constraint"
    verdict = api.verify(
        folder / "highs_crash.onnx", folder / "highs_crash.toml", solver="highs", seconds=30)
    assert verdict.outcome.value == "refuted"
    assert "refused" not in verdict.reason


def infeasible_kind() -> Problem:
    """The greatest component of a gradient, 20-50-50-2 at .02 (seed 0, torch's initialisation):
    HiGHS 1.15 calls this model infeasible under every seed, in the order that we write it in."""
    import torch

    from verifex.ir.graph import Builder
    from verifex.ir.linmap import dense

    torch.manual_seed(0)
    b = Builder()
    h = b.input("x", (20,))
    for k, (m, n) in enumerate(((20, 50), (50, 50), (50, 2))):
        layer = torch.nn.Linear(m, n)
        weight, bias = (p.detach().numpy().astype(np.float64) for p in layer.parameters())
        h = b.affine(dense(weight), b.relu(h) if k else h, bias)
    centre = torch.rand(20).double().tolist()
    spec = {
        "input": {"point": [str(c) for c in centre]}, "region": {"linf": "0.02"},
        "explain": {"attribution": "gradient", "output": "margin:0,1"},
    }
    (asked,) = api.measure(b.build({"logits": h}), spec, ["norm:linf"])
    return Problem(asked.problem.graph, asked.problem.region, Atom(asked.form))


LARGEST = 0.0971572172


@pytest.mark.slow
def test_a_feasible_model_that_highs_calls_infeasible() -> None:
    """Whatever HiGHS says of it: no range is closed below the truth, and none is empty."""
    problem = infeasible_kind()
    form = problem.require.form  # type: ignore[union-attr]
    question = extremum(problem, Objective(form, True), node_bounds(problem), products=False)
    with SolverPool() as pool:
        first = pool.solve("highs", question.model, SolveLimits(60))
        options = Settings(seconds=60, solvers=("highs",), search=False)
        found = find_range(problem, form, options, pool)
    assert found.high.best_bound is not None
    assert found.high.best_bound >= LARGEST - 1e-6
    if first.status is Status.INFEASIBLE:
        assert "answer 'infeasible' contradicts a replayed point" in found.reason
