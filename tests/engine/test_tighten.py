"""Bounds tightened on a domain hold at its points, prune, and their lines satisfy the checker."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.marks import first_quick
from tests.helpers.small_nets import relu_net
from tests.helpers.spec_nets import checked, pair, truth
from verifex.certificate.write import proof_lines
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.half_spaces import HalfSpaceMaker
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.region_rows import Linear
from verifex.engine.bounds.root import to_rows
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.domains import Domains, local_facts, whole
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.gates.policy import SearchContext, SearchOptions, Stats
from verifex.engine.search.gates.refresh import lightened
from verifex.engine.search.gates.tighten import EVERY, Tighten
from verifex.engine.search.record import Proof, ProofNode
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.ir.region import Ball, Region
from verifex.problem.spec.build import read_problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.support.balls import float_balls

BUDGET = (30, 4 << 30, 1)


def _graph(seed: int, widths: tuple[int, ...] = (4, 10, 10, 10, 2)) -> tuple[Graph, int]:
    rng = np.random.default_rng(seed)
    pairs = [
        (rng.normal(size=(b, a)), rng.normal(size=b) / 2) for a, b in itertools.pairwise(widths)
    ]
    builder, _, out = relu_net(pairs)
    return builder.build({"y": out}), out


def _domains(layout: Layout, count: int, seed: int) -> Domains:
    """Domains that hold a point each, with some gates of the first two layers split on."""
    rng = np.random.default_rng(seed)
    n = layout.graph.input_size
    zs = list(layout.offsets)
    out = []
    for k in range(count):
        values = evaluate_float(layout.graph, rng.uniform(-1, 1, size=(1, n)), zs)
        pattern = np.concatenate([np.sign(values[z].reshape(-1)) for z in zs]).astype(np.int8)
        signs = np.zeros(layout.gates, dtype=np.int8)
        picked = rng.choice(20, size=3 + k, replace=False)
        signs[picked] = pattern[picked]
        out.append(signs)
    side = np.ones((count, n))
    domains = whole(-side, side, np.stack(out), [[0]] * count)
    domains.node[:] = np.arange(count)
    return domains


def _tight(layout: Layout, proof: Proof | None = None) -> Tighten:
    bounder = TorchBounder(layout.graph)
    policy = SimpleNamespace(finished=lambda: False)
    return Tighten(SearchContext(
        layout, bounder, FormTable(layout, []), HalfSpaceMaker(layout, bounder), policy,
        SearchOptions(record=proof is not None), Budget(*BUDGET), proof or Proof(), Stats()))


def _one(domains: Domains, k: int) -> Domains:
    """One of the domains, as a batch whose columns are views."""
    return domains.take(slice(k, k + 1))


@pytest.mark.parametrize("seed", range(8))
def test_no_point_of_a_domain_lies_outside_its_bounds(seed: int) -> None:
    graph, out = _graph(seed)
    layout = Layout(graph, (out,))
    domains = _domains(layout, 4, seed)
    _tight(layout).tighten(domains)
    zs = list(layout.offsets)
    x = np.random.default_rng(seed).uniform(-1, 1, size=(40_000, 4))
    values = evaluate_float(graph, x, zs)
    pattern = np.concatenate([values[z].reshape(len(x), -1) for z in zs], axis=1)
    met = 0
    for signs, kept in zip(domains.signs, domains.kept, strict=True):
        inside = ((signs == 0) | (pattern * signs >= 0)).all(axis=1)
        for z, (low, high) in kept.items():
            met += int(inside.sum() * np.isfinite(low).sum())
            mine = values[z].reshape(len(x), -1)[inside]
            assert (mine >= low - 1e-9).all()
            assert (mine <= high + 1e-9).all()
    assert met > 0


@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_tighter_and_children_inherit_them(seed: int) -> None:
    graph, out = _graph(seed)
    layout = Layout(graph, (out,))
    domains = _domains(layout, 3, seed)
    lo, hi, signs = domains.lo, domains.hi, domains.signs
    before = layout.propagate(lo, hi, signs)
    tighten = _tight(layout)
    assert tighten.due(domains).all()
    assert tighten.tighten(domains).again.all()
    assert not tighten.due(domains).any()
    after = layout.propagate(lo, hi, signs, local=local_facts(domains))
    last = list(layout.offsets)[-1]
    assert (after.lo[last] >= before.lo[last]).all()
    assert (after.hi[last] <= before.hi[last]).all()
    width = (after.hi[last] - after.lo[last]).sum() / (before.hi[last] - before.lo[last]).sum()
    assert width < 0.8
    domains.signs[0, np.flatnonzero(domains.signs[0] == 0)[:EVERY]] = 1
    assert tighten.due(domains).tolist() == [True, False, False]


def test_a_domain_gets_the_same_bounds_alone() -> None:
    graph, out = _graph(3)
    layout = Layout(graph, (out,))
    together, alone = _domains(layout, 5, 3), _domains(layout, 5, 3)
    for times in range(2):  # the second time with what the first time found
        _tight(layout).tighten(together)
        for k in range(5):
            _tight(layout).tighten(_one(alone, k))
        for group in (together, alone):  # one begins anew where the others go on
            group.starts[0], group.tight[:] = {}, 0
        for a, b in zip(together.kept, alone.kept, strict=True):
            assert a.keys() == b.keys()
            for z, bounds in a.items():
                for mine, other in zip(bounds, b[z], strict=True):
                    np.testing.assert_allclose(mine, other, 1e-9, 1e-9, err_msg=f"{times}")


@pytest.mark.parametrize("seed", range(4))
def test_lines_show_what_is_kept(seed: int) -> None:
    """Every line, evaluated with its packed multipliers, gives the bound that was taken from it."""
    graph, out = _graph(seed)
    layout = Layout(graph, (out,))
    domains = _domains(layout, 2, seed)
    proof = Proof([ProofNode(-1) for _ in range(2)])
    _tight(layout, proof).tighten(domains)
    bounder, shown = TorchBounder(graph), 0
    for d, kept in enumerate(domains.kept):
        bare = whole(domains.lo[d][None], domains.hi[d][None], domains.signs[d][None], [[0]])
        for facts in proof.nodes[d].facts:
            boxes = layout.propagate(bare.lo, bare.hi, bare.signs, local=local_facts(bare))
            size = graph.nodes[facts.node].size
            low, high = np.full(size, -np.inf), np.full(size, np.inf)
            for (i, sign), packed in zip(facts.rows, facts.splits, strict=True):
                rows = to_rows(boxes, np.zeros(1, dtype=np.intp), layout, bare.signs)
                params = bounder.start(rows, [facts.node])
                for key, values in packed.items():
                    if isinstance(values, dict):
                        for k, v in values.items():
                            params[key][0, k] = v
                    else:
                        params[key][0] = values / 128.0
                start = np.zeros((1, size))
                start[0, i] = float(sign)
                box = bare.lo, bare.hi
                value = float(bounder.evaluate(rows, {facts.node: start}, params, *box)[0][0])
                taken = kept[facts.node][0][i] if sign > 0 else -kept[facts.node][1][i]
                assert value >= taken - 1e-9
                (low if sign > 0 else high)[i] = sign * taken
                shown += 1
            bare.kept[0] = {**bare.kept[0], facts.node: (low, high)}
    assert shown > 4


@pytest.mark.parametrize("seed", first_quick(range(4)))
def test_answers_do_not_depend_on_tightening(seed: int) -> None:
    graph, out = _graph(seed, (3, 5, 5, 4, 1))
    region = Region(tuple([Fraction(-1)] * 3), tuple([Fraction(1)] * 3))
    form = Form.of({(out, 0): 1})
    problem = Problem(graph, region, Atom(form))
    (found,), _, _, _ = minima(problem, [form], Budget(*BUDGET), SearchOptions())
    for shift, true in ((1e-3, True), (-1e-3, False)):
        least = Fraction(found.attained) - Fraction(shift)
        claim = Problem(graph, region, Atom(Form.of({(out, 0): 1}, -least)))
        options = SearchOptions(refresh=False, tighten=True)
        result = decide_search(claim, Budget(*BUDGET), options)
        assert (result.closed is not None) == true
        assert (result.witness is not None) != true


def test_only_networks_that_are_not_refreshed_are_tightened() -> None:
    graph, out = _graph(0)
    layout = Layout(graph, (out,))
    assert lightened(SearchOptions(), layout).tighten is False
    assert lightened(SearchOptions(refresh=False), layout).tighten is True
    assert lightened(SearchOptions(refresh=False, tighten=False), layout).tighten is False


@pytest.mark.slow
def test_certificates_of_tightened_searches_are_accepted(tmp_path: Path) -> None:
    """Claims about outputs and gradients; what is closed is true, and the checker follows."""
    options = SearchOptions(
        refresh=False, tighten=True, root_effort=Effort(0), effort=Effort(0), record=True
    )
    accepted = facts = 0
    for seed in range(3000, 3025):
        kind = ("component", "l1", "output", "linf", "order")[seed % 5]
        p = pair(seed, tmp_path, kind, hard=True)
        problem = p.problem()
        found = decide_search(problem, Budget(5, 1 << 30, 1), options)
        if found.closed is None or found.stats.ties:
            continue
        assert truth(problem) in ("true", "open", "kink"), seed
        lines = proof_lines(problem, read_problem(p.spec, p.network).files, found.closed)
        assert checked(p, lines, tmp_path) == (0, "valid"), seed
        accepted += 1
        facts += sum(len(f.splits) for n in found.closed.proof.nodes for f in n.facts)
    assert accepted >= 8
    assert facts > 50


@pytest.mark.parametrize("norm", [None, "l1", "l2"])
def test_multipliers_found_in_float32_bound_in_float64(norm: str | None) -> None:
    """In a box and in balls, with a linear row: no point lies below, and little is lost."""
    graph, out = _graph(5)
    n, layout = 4, Layout(graph, (out,))
    lo, hi = -np.ones((1, n)), np.ones((1, n))
    balls = ()
    if norm is not None:
        ball = Ball(norm, tuple(range(n)), tuple([Fraction(0)] * n), Fraction(1))
        ends = tuple([Fraction(-1)] * n), tuple([Fraction(1)] * n)
        balls = float_balls(Region(*ends, balls=(ball,)))
    row = Linear(np.ones((1, n)), np.full(1, 0.5))
    boxes = layout.propagate(lo, hi, np.zeros((1, layout.gates), dtype=np.int8))
    rows = to_rows(boxes, np.zeros(2, dtype=np.intp), layout,
                   np.zeros((1, layout.gates), dtype=np.int8))
    box = np.repeat(lo, 2, axis=0), np.repeat(hi, 2, axis=0)
    values = []
    for coarse in (False, True):
        bounder = TorchBounder(graph, linear=row, balls=balls, coarse=coarse)
        found = bounder.bound(rows, {out: np.eye(2)}, *box, Effort(30))
        again, _, _ = bounder.evaluate(rows, {out: np.eye(2)}, found.params, *box)
        assert found.value.dtype == np.float64
        np.testing.assert_allclose(found.value, again, 1e-12, 1e-12)
        values.append(found.value)
    x = np.random.default_rng(0).uniform(-1, 1, size=(40_000, n))
    size = {"l1": np.abs(x).sum(axis=1), "l2": (x * x).sum(axis=1), None: np.zeros(len(x))}[norm]
    x = x[(x.sum(axis=1) <= 0.5) & (size <= 1)]
    attained = evaluate_float(graph, x, [out])[out].reshape(-1, 2).min(axis=0)
    assert (values[1] <= attained + 1e-9).all()
    assert (np.abs(values[1] - values[0]) < 0.05 * (1 + np.abs(values[0]))).all()
