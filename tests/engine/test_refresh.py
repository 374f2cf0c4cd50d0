"""Small programs, cuts and facts of domains: right where points and a solver say what is right."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers.spec_nets import checked, pair, truth
from verifex.certificate.write import proof_lines
from verifex.engine.bounds import batched_lp
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.half_spaces import HalfSpaceMaker
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.single_lp import LeafSolver
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.domains import local_facts, whole
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.gates.policy import SearchContext, SearchOptions, Stats
from verifex.engine.search.gates.refresh import Refresh
from verifex.engine.search.record import Proof, ProofNode
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.problem.spec.build import read_problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients

LAZY = SearchOptions(root_effort=Effort(0), effort=Effort(0), refresh=True)


# --- programs ---------------------------------------------------------------------------------


def _programs(seed: int, count: int, m: int, n: int) -> tuple[np.ndarray, ...]:
    """Some empty, some with fixed variables, some with doubled and zero rows."""
    rng = np.random.default_rng(seed)
    a, inside = rng.normal(size=(count, m, n)), rng.uniform(-1, 1, (count, n))
    room = rng.exponential(size=(count, m)) * rng.choice([0.0, 0.3], (count, m))
    b = (a @ inside[:, :, None])[:, :, 0] - room + (rng.random((count, 1)) < 0.3) * 0.3
    if m > 2:
        a[::5, 1], b[::5, 1] = a[::5, 0], b[::5, 0]
        a[::7, 2], b[::7, 2] = 0.0, rng.choice([-1.0, 0.0])
    lo, hi = np.full((count, n), -1.0), np.full((count, n), 1.0)
    hi[::3, 0] = lo[::3, 0]
    return rng.normal(size=(count, n)), a, b, lo, hi


def _dual(cost: np.ndarray, a: np.ndarray, b: np.ndarray, duals: np.ndarray) -> np.ndarray:
    """The bound that multipliers give over [-1, 1] boxes (with the fixed variables' ends)."""
    rest = cost - np.einsum("bm,bmn->bn", duals, a)
    return rest, (duals * b).sum(axis=1)


@pytest.mark.parametrize("shape", [(60, 1, 1), (80, 4, 3), (80, 14, 6), (40, 30, 12), (20, 0, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_programs_agree_with_highs(seed: int, shape: tuple[int, int, int]) -> None:
    cost, a, b, lo, hi = _programs(seed, *shape)
    found, highs = batched_lp.minimise(cost, a, b, lo, hi), LeafSolver()
    rest, constant = _dual(cost, a, b, found.duals)
    value = constant + np.where(rest >= 0, rest * lo, rest * hi).sum(axis=1)
    none, gap = _dual(np.zeros_like(cost), a, b, found.duals)
    contradiction = gap + np.where(none >= 0, none * lo, none * hi).sum(axis=1)
    assert (found.duals >= 0).all()
    assert found.done.all()
    for k in range(shape[0]):
        exact = highs.minimise(cost[k], 0.0, a[k], b[k], lo[k], hi[k])
        assert exact.solved
        assert found.empty[k] == (exact.value is None)
        if exact.value is None:
            assert contradiction[k] > 0
        else:
            assert value[k] == pytest.approx(exact.value, abs=1e-7)
            assert cost[k] @ found.x[k] == pytest.approx(exact.value, abs=1e-7)
            assert (a[k] @ found.x[k] >= b[k] - 1e-7).all()


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_multipliers_are_valid_wherever_a_batch_stops(iterations: int) -> None:
    cost, a, b, lo, hi = _programs(9, 50, 8, 5)
    found, full = (batched_lp.minimise(cost, a, b, lo, hi, k) for k in (iterations, 99))
    rest, constant = _dual(cost, a, b, found.duals)
    value = constant + np.where(rest >= 0, rest * lo, rest * hi).sum(axis=1)
    best = (cost * full.x).sum(axis=1)
    assert (value <= best + 1e-7)[~full.empty & ~found.empty].all()
    assert not (found.empty & ~full.empty).any()


# --- facts of domains ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_facts_hold_at_the_points_of_their_domains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b, n = Builder(), 3
    x = h = b.input("x", (n,))
    for k, (m, out) in enumerate(((n, 5), (5, 4), (4, 1))):
        w, bias = rng.integers(-64, 65, (out, m)) / 64, rng.integers(-32, 33, out) / 64
        h = b.affine(dense(w), b.relu(h) if k else h, bias)
    (gradient,) = gradients(b, h, [x])
    size = b.relu(gradient)
    graph = b.build({"g": size})
    layout, bounder = Layout(graph, (size,)), TorchBounder(graph)
    proof = Proof()
    policy = SimpleNamespace(candidates=lambda *_: None)
    context = SearchContext(
        layout, bounder, FormTable(layout, []), HalfSpaceMaker(layout, bounder), policy,
        SearchOptions(), Budget(60.0, 1 << 30, 1), proof, Stats())
    refresh = Refresh(context)
    lo, hi = np.full(n, -1.0), np.full(n, 1.0)
    points = rng.uniform(-1, 1, (4000, n))
    pattern = refresh.patterns(points)
    chosen_signs = []
    for k in range(60):  # sign choices of a point, or of nobody
        near = pattern[rng.integers(4000)] if k % 3 else rng.random(layout.gates) < 0.5
        chosen = rng.random(layout.gates) < rng.uniform(0.1, 0.9)
        signs = np.where(chosen, np.where(near, 1, -1), 0).astype(np.int8)
        chosen_signs.append(signs)
    boxes = (np.repeat(side[None], 60, axis=0) for side in (lo, hi))
    domains = whole(*boxes, np.stack(chosen_signs), [[0]] * 60, waits=True)
    domains.node[:] = [proof.add(ProofNode(-1)) for _ in range(60)]
    empty = refresh.tighten(domains).closed == "empty"
    values = evaluate_float(graph, points, list(layout.offsets))
    some = 0
    for k, none in enumerate(empty):
        one = domains.take(slice(k, k + 1))
        inside = ((one.signs == 0) | (pattern == (one.signs > 0))).all(axis=1)
        if none:
            assert not inside.any()
            continue
        for z, (low, high) in local_facts(one).items():
            mine = values[z].reshape(len(points), -1)[inside]
            assert (mine >= low[0] - 1e-9).all()
            assert (mine <= high[0] + 1e-9).all()
            some += int(np.isfinite(low).sum() + np.isfinite(high).sum())
    assert some > 0
    assert empty.any()


# --- cuts ---------------------------------------------------------------------------------------


def test_cuts_are_the_same_without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is made when it is first needed, and not at all for large layers."""
    rng = np.random.default_rng(0)
    b, n = Builder(), 4
    h = b.affine(dense(rng.normal(size=(6, n))), b.input("x", (n,)), rng.normal(size=6))
    h = b.affine(dense(rng.normal(size=(5, 6))), b.relu(h), rng.normal(size=5))
    graph = b.build({"y": b.affine(dense(rng.normal(size=(1, 5))), b.relu(h))})
    layout, bounder = Layout(graph, tuple(graph.outputs.values())), TorchBounder(graph)
    lo, hi = np.full((7, n), -1.0), np.full((7, n), 1.0)
    signs = rng.integers(-1, 2, (7, layout.gates)).astype(np.int8)
    boxes = layout.propagate(lo, hi, signs)
    calls: list[int] = []
    plain = bounder.evaluate
    monkeypatch.setattr(bounder, "evaluate", lambda *a: calls.append(1) or plain(*a))
    maker, none = HalfSpaceMaker(layout, bounder), np.zeros_like(signs)
    assert maker.of_splits(boxes, lo, hi, none).a.shape == (7, 0, n)
    assert not calls
    one = maker.of_splits(boxes, lo, hi, signs)
    again = maker.of_splits(boxes, lo, hi, signs)
    assert len(calls) == 3  # the table once, the second layer each time
    other = HalfSpaceMaker(layout, bounder, largest_table=0).of_splits(boxes, lo, hi, signs)
    for field in ("a", "b", "gate"):
        assert np.array_equal(getattr(one, field), getattr(again, field))
        assert np.allclose(getattr(one, field), getattr(other, field), rtol=1e-12, atol=1e-12)
    x = rng.uniform(-1, 1, (7, n))
    first = evaluate_float(graph, x, [min(layout.offsets)])[min(layout.offsets)]
    for k, j in zip(*np.nonzero((one.gate >= 0) & (one.gate < 6)), strict=True):
        gate = one.gate[k, j]
        assert one.a[k, j] @ x[k] - one.b[k, j] == pytest.approx(signs[k, gate] * first[k, gate])


# --- certificates -------------------------------------------------------------------------------


@pytest.mark.slow
def test_facts_in_the_tree_are_accepted(tmp_path: Path) -> None:
    """Searches that need many splits: their certificates use facts and empty domains."""
    torch.set_num_threads(1)
    facts = empty = proved = refused = 0
    for seed in range(2000, 2060):
        kind = ("component", "l1", "linf", "order", "output")[seed % 5]
        p = pair(seed, tmp_path, kind, hard=True)
        problem = p.problem()
        found = decide_search(problem, Budget(10.0, 1 << 30, 1), LAZY)
        if found.closed is None or found.stats.ties:
            continue
        assert truth(problem) in ("true", "open", "kink")
        lines = list(proof_lines(problem, read_problem(p.spec, p.network).files, found.closed))
        first = next((k for k, line in enumerate(lines) if "split" in line), len(lines))
        facts += sum("fact" in line for line in lines[first:])
        empty += sum(line.get("bound") == -1 for line in lines)
        code, said = checked(p, lines, tmp_path)
        assert code == 0 or "does not close" in said, said
        refused += code != 0
        proved += code == 0
    assert proved >= 10
    # A unit that is used twice (LeakyRelu) has looser intervals in the checker: it may refuse.
    assert refused <= 0.1 * proved
    assert facts > 0
    assert empty > 0
