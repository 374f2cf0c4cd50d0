"""Functions whose bounds are infinite: what is no number is no bound, and no row is lost on it."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from verifex.engine import ranges
from verifex.engine.bounds.bounder import Effort, sure
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.single_lp import LeafSolver
from verifex.engine.budget import Budget
from verifex.engine.findings.reasons import ReasonKind
from verifex.engine.ranges import RangeQuestion, find_each
from verifex.engine.search import extrema
from verifex.engine.search.claims import decide_search
from verifex.engine.search.counts import Counts
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.policy import SearchOptions
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.ir.formula import And, Atom, Form, Or
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.interval import Interval, bound_box, linear_image
from verifex.settings import Settings

F = Fraction
WIDE = SearchOptions(inputs=True, root_effort=Effort(1), effort=Effort(1), max_domains=60)


def pole(inputs: int) -> Graph:
    """r = 1 / ((x - 1/2)**2 + 2**-7) of every input, of which y counts the first alone.

    Intervals of the square are too wide, so that bounds of r are infinite; the others have the
    coefficient 0. On [0, 1] y lies between 128 / 33 and 128.
    """
    b = Builder()
    x = b.input("x", (inputs,))
    half = b.affine(dense(np.eye(inputs)), x, np.full(inputs, -0.5))
    square = b.mul(half, b.affine(dense(np.eye(inputs)), half))
    r = b.univariate("reciprocal", b.affine(dense(np.eye(inputs)), square, np.full(inputs, 2**-7)))
    y = b.affine(dense(np.eye(1, inputs)), r)
    return b.build({"y": y, "r": r})


def unit(graph: Graph) -> Problem:
    inputs = graph.nodes[graph.inputs[0]].size
    form = Form.of({(graph.outputs["y"], 0): 1})
    return Problem(graph, Region((F(0),) * inputs, (F(1),) * inputs), Atom(form))


def test_what_is_no_number_is_no_bound() -> None:
    value = torch.tensor([1.0, math.nan, -math.inf])
    zero, one = torch.zeros(3, 2), torch.ones(3, 2)
    found = sure(value, zero, torch.zeros(3), zero, one)
    assert found.tolist() == [1.0, -math.inf, -math.inf]


@pytest.mark.parametrize("inputs", [1, 3, 6])
def test_open_domains_without_a_bound_count(inputs: int) -> None:
    """They were left out of the minimum, which was then the value attained: a closed range."""
    problem = unit(pole(inputs))
    form = Form.of({(problem.graph.outputs["y"], 0): 1})
    found, _, _, _ = minima(problem, [form, -form], Budget(5.0, 1 << 30, 1), WIDE)
    assert found[0].bound <= 128 / 33 + 1e-9
    assert found[1].bound <= -128 + 1e-9
    assert not any(math.isnan(one.bound) for one in found)


def test_rows_without_a_bound_have_their_turn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound of -inf looked like a row that was never bounded: the same ones, for ever."""
    calls, bound = [0], TorchBounder.bound

    def counted(*given: object, **named: object) -> object:
        calls[0] += 1
        if calls[0] > 2000:
            pytest.fail("the search bounds the same rows again and again")
        return bound(*given, **named)

    monkeypatch.setattr(TorchBounder, "bound", counted)
    graph = pole(1)
    r = graph.outputs["r"]
    claim = And(tuple(
        Atom(Form.of({(r, 0): -factor}, F(most)), True) for factor, most in ((1, 200), (2, 500))))
    problem = Problem(graph, Region((F(0),), (F(1),)), claim)
    options = replace(WIDE, rows=1, max_domains=100)
    decide_search(problem, Budget(60.0, 1 << 30, 1), options)
    assert calls[0] > 2


def test_a_discarded_bound_is_named_where_forms_share_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond a replayed value by .3: each form says so, though none is asked alone."""
    b = Builder()
    x = b.input("x", (2,))
    y = b.affine(dense([[1.0, 1.0], [1.0, -1.0]]), b.relu(x))
    graph = b.build({"y": y})
    region = Region((F(-1),) * 2, (F(1),) * 2)
    forms = [Form.of({(y, 0): 1}), Form.of({(y, 1): 1})]
    search = extrema.minima

    def beyond(*given: object, **named: object) -> object:
        found, *rest = search(*given, **named)
        return [replace(m, bound=m.bound + 0.3, closed=m.closed + 0.3) for m in found], *rest

    monkeypatch.setattr(extrema, "minima", beyond)
    problem = Problem(graph, region, Atom(forms[0]))
    settings = Settings(seconds=20, engine="search")
    for found in find_each(problem, [RangeQuestion(form) for form in forms], settings):
        assert ReasonKind.CONTRADICTED in {reason.kind for reason in found.reasons}
        assert found.low.claimed is None


def test_a_kink_of_one_form_is_none_of_another() -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.relu(x)
    gate = b.step(x)
    graph = b.build({"y": y, "g": gate})
    problem = Problem(graph, Region((F(0),), (F(1),)), Atom(Form.of({(y, 0): 1})))
    forms = [Form.of({(y, 0): 1}), Form.of({(gate, 0): 1})]
    settings = Settings(seconds=20, engine="search")
    together = find_each(problem, [RangeQuestion(form) for form in forms], settings)
    alone = [ranges.find_range(problem, form, settings) for form in forms]
    assert [r.low.on_kink for r in together] == [r.low.on_kink for r in alone]
    assert not together[0].low.on_kink


def test_counts_of_many_parts_need_no_array_of_all_atoms_each() -> None:
    """What is necessary agrees with trying every atom."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        atoms = [Atom(Form.of({(0, k): 1})) for k in range(6)]
        numbers = {atom: k for k, atom in enumerate(atoms)}
        parts = [And(tuple(atoms[i] for i in rng.choice(6, 2, replace=False)))
                 for _ in range(rng.integers(1, 4))]
        counts = Counts.of(Or((*parts, *(atoms[i] for i in rng.choice(6, 1)))), numbers)
        false = rng.random((4, 6)) < 0.3
        found = counts.necessary(false)
        for line, known in zip(found, false, strict=True):
            for k in range(6):
                without = known.copy()
                without[k] = True
                lost = not counts.possible(without[None])[0]
                expected = lost and bool(counts.possible(known[None])[0]) and not known[k]
                assert bool(line[k]) == expected


def test_a_chain_of_tiny_factors_is_not_zero() -> None:
    """2**-140 nine times: intervals around 0 whose products underflow are no exact zeros."""
    b = Builder()
    node = b.input("x", (2,))
    for _ in range(9):
        node = b.affine(dense(np.eye(2) * 2.0**-140), node)
        node = b.relu(node)
    graph = b.build({"y": node})
    low, high = bound_box(graph, np.full(2, 0.25), np.full(2, 0.75), [node])
    exact = F(1, 2) * F(2) ** (-140 * 9)
    assert (F(float(low[node][0])) <= exact <= F(float(high[node][0])))
    assert high[node][0] > 0


def test_a_box_around_zero_times_a_tiny_factor_is_not_zero() -> None:
    found = linear_image(dense(np.eye(1) * 2.0**-140), Interval(
        np.array([[-1e-290]]), np.array([[1e-290]])))
    assert found.lo[0, 0] < 0 < found.hi[0, 0]


@pytest.mark.parametrize("scale", [1.0, 1e-7, 5e-8, 1e-12, 1e-200, 1e9])
def test_leaf_programs_do_not_depend_on_the_scale_of_costs(scale: float) -> None:
    """min s (-x - 2 y) where x + y <= 3/2 on [0, 1]**2 is -2.5 s."""
    answer = LeafSolver().minimise(
        np.array([-1.0, -2.0]) * scale, 0.0, np.array([[-1.0, -1.0]]), np.array([-1.5]),
        np.zeros(2), np.ones(2))
    assert answer.value == pytest.approx(-2.5 * scale)
    assert answer.duals == pytest.approx([scale])


def test_values_beyond_all_floats_are_printed_as_infinite() -> None:
    end = RangeEnd(None, None, F(10) ** 400, (F(1),), False)
    low = RangeEnd(None, None, -F(10) ** 400, (F(0),), False)
    found = RangeVerdict("norm", low, end)
    assert not found.settled
    assert found.to_json()["high"]["attained"] == math.inf
