"""Looking ahead picks the gate whose halves lack least, and bounds start where they are best."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.marks import first_quick
from tests.helpers.small_nets import relu_net
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.gates.lookahead import Asked, BoundedRows, look_ahead
from verifex.engine.search.gates.policy import SearchOptions
from verifex.engine.search.gates.refresh import lightened
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.ir.region import Region


def _graph(seed: int, widths: tuple[int, ...] = (4, 10, 10, 2)) -> tuple[Graph, int]:
    rng = np.random.default_rng(seed)
    pairs = [
        (rng.normal(size=(b, a)), rng.normal(size=b) / 2) for a, b in itertools.pairwise(widths)
    ]
    builder, _, out = relu_net(pairs)
    return builder.build({"y": out}), out


def _bounded(graph: Graph, out: int, signs: np.ndarray) -> tuple[Layout, TorchBounder, BoundedRows]:
    """Both outputs bounded from below on two boxes, with the multipliers that any start gives."""
    layout, bounder = Layout(graph, (out,)), TorchBounder(graph)
    n = graph.input_size
    lo, hi = np.stack([-np.ones(n), -0.5 * np.ones(n)]), np.ones((2, n))
    boxes = layout.propagate(lo, hi, signs)
    table = FormTable(layout, [Form.of({(out, k): 1}) for k in range(2)])
    place, row = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    rows, start, box = table.rows(boxes, signs, lo, hi, place, row)
    found = bounder.bound(rows, start, *box, Effort(5))
    goal, score = np.full(4, 0.5), np.zeros((4, layout.gates))
    return layout, bounder, BoundedRows(rows, start, box, goal, found, place, row, score)


@pytest.mark.parametrize("seed", range(6))
def test_the_gate_whose_halves_lack_least_is_chosen(seed: int) -> None:
    graph, out = _graph(seed)
    signs = np.zeros((2, 20), dtype=np.int8)
    layout, bounder, batch = _bounded(graph, out, signs)
    scores = np.random.default_rng(seed).random((2, layout.gates))
    for z, at in layout.offsets.items():  # decided gates have no score
        lo, hi = batch.rows.lo[z], batch.rows.hi[z]
        scores[:, at : at + lo.shape[1]] *= (lo < 0) & (hi > 0)
    asked = [Asked(0, [0, 1], scores[0]), Asked(1, [2, 3], scores[1])]
    chosen = look_ahead(layout, bounder, batch, asked, 5)
    for k in range(2):
        tried = np.argsort(-scores[k])[:5]
        lacks = {int(g): _alone(layout, bounder, batch, k, int(g)) for g in tried}
        assert lacks[chosen[k]] >= max(lacks.values()) - 1e-9


def _alone(layout: Layout, bounder: TorchBounder, batch: BoundedRows, k: int, gate: int) -> float:
    """What the halves of one gate lack, by two plain evaluations of the domain's two rows."""
    from verifex.semantics.linear import Rows

    z, i = layout.name(gate)
    total = 0.0
    for above in (True, False):
        lo = {n: v[k : k + 1].copy() for n, v in batch.rows.lo.items()}
        hi = {n: v[k : k + 1].copy() for n, v in batch.rows.hi.items()}
        (lo if above else hi)[z][0, i] = 0.0
        mine = slice(2 * k, 2 * k + 2)
        value, _, _ = bounder.evaluate(
            Rows(lo, hi, np.zeros(2, dtype=np.intp)),
            {n: v[mine] for n, v in batch.start.items()},
            {n: v[mine] for n, v in batch.found.params.items()},
            batch.box[0][mine],
            batch.box[1][mine],
        )
        total += float(np.minimum(value - batch.goal[mine], 0).sum())
    return total


@pytest.mark.parametrize("seed", range(4))
def test_bounds_start_from_the_best_of_what_is_known(seed: int) -> None:
    graph, out = _graph(seed)
    _, bounder, batch = _bounded(graph, out, np.zeros((2, 20), dtype=np.int8))
    rows, start, box = batch.rows, batch.start, batch.box
    fresh = bounder.start(rows, list(start))
    rng = np.random.default_rng(seed)
    bad = {k: rng.random(v.shape).round() for k, v in fresh.items()}
    alone = [bounder.bound(rows, start, *box, Effort(0), w).value for w in (None, bad)]
    plain, _, _ = bounder.evaluate(rows, start, bad, *box)
    assert (alone[1] >= np.maximum(plain, alone[0]) - 1e-9).all()
    assert (alone[1] > plain + 1e-6).any()  # the random start was worse somewhere


@pytest.mark.parametrize("ahead", [0, 1, 8])
@pytest.mark.parametrize("seed", first_quick(range(3)))
def test_answers_do_not_depend_on_looking_ahead(seed: int, ahead: int) -> None:
    graph, out = _graph(seed, (3, 7, 7, 1))
    region = Region(tuple([Fraction(-1)] * 3), tuple([Fraction(1)] * 3))
    form = Form.of({(out, 0): 1})
    problem = Problem(graph, region, Atom(form))
    (found,), _, _, _ = minima(problem, [form], Budget(30, 4 << 30, 1), SearchOptions())
    options = SearchOptions(refresh=False, ahead=ahead)
    for shift, true in ((1e-3, True), (-1e-3, False)):
        least = Fraction(found.attained) - Fraction(shift)
        claim = Problem(graph, region, Atom(Form.of({(out, 0): 1}, -least)))
        result = decide_search(claim, Budget(30, 4 << 30, 1), options)
        assert (result.closed is not None) == true
        assert (result.witness is not None) == (not true)


def test_networks_whose_bounds_are_refreshed_do_not_look_ahead() -> None:
    layout = Layout(_graph(0)[0], (_graph(0)[1],))
    assert not lightened(SearchOptions(), layout).ahead
    assert lightened(SearchOptions(refresh=False), layout).ahead == 8
    assert lightened(SearchOptions(refresh=False, ahead=3), layout).ahead == 3
