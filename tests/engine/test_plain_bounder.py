"""Bounds with numpy alone: derivatives are those of torch, and so are bounds and multipliers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.linear_cases import (
    PIECEWISE_FOCUS,
    Case,
    batch_case,
    draw_case,
    draw_params,
    gradient_net,
)
from verifex.engine.bounds.bounder import Effort, RowTask
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.plain_bounder import PlainBounder
from verifex.engine.bounds.root import to_rows
from verifex.engine.search.start import PLAIN, bounder_for, linear_rows
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.ops import OPS, Gate, Mul, Relu, Step, Univariate
from verifex.ir.region import Ball, LinearRow, Region
from verifex.semantics.linear import Rows
from verifex.semantics.linear_slopes import slopes
from verifex.semantics.parameters import REGION_ROWS, Parameter
from verifex.semantics.support.balls import float_balls
from verifex.semantics.torch_backend import TorchBackend

Params = dict[Parameter, FloatArray]


def test_every_operation_is_known_or_refused() -> None:
    assert set(slopes.refusals()) == {"Input", "TreeLeaves", "Univariate"}
    assert slopes.blanks() == []
    assert len(OPS) > len(slopes.refusals())
    with pytest.raises(UnsupportedError, match="with torch"):
        slopes[Univariate("tanh")]


def automatic(bounder: TorchBounder, task: RowTask, params: Params) -> tuple[FloatArray, Params]:
    """Steered bounds and their derivatives by the parameters, by torch."""
    here = bounder._task(task.rows, task.start, task.lo, task.hi)
    free = {k: torch.tensor(v, requires_grad=True) for k, v in params.items()}
    value = bounder.arithmetic.steered(here, free)
    if not value.requires_grad:
        return value.numpy(), {}
    found = torch.autograd.grad(value.sum(), list(free.values()), allow_unused=True)
    return value.detach().numpy(), {
        k: g.numpy() for k, g in zip(free, found, strict=True) if g is not None}


def agree(plain: PlainBounder, other: TorchBounder, task: RowTask, params: Params) -> int:
    """Both give one value, and one derivative in rows where there is one; how many numbers of it
    are not zero."""
    reached: dict[int, FloatArray] = {}
    plain.evaluate(task.rows, task.start, params, task.lo, task.hi, reached)
    smooth = np.ones(task.rows.count, dtype=bool)
    for i, coefs in reached.items():
        node = plain.graph.nodes[i]
        if isinstance(node.op, Relu | Step | Gate | Mul):
            # Where a coefficient is zero, either plane of what is open may be the one that counts.
            lo, hi = task.rows.box(i if isinstance(node.op, Step) else node.args[0])
            decided = (lo >= 0) | (hi <= 0) if isinstance(node.op, Relu) else lo == hi
            smooth &= ((np.abs(coefs) > 1e-9) | decided).all(axis=1)
    # A gate on all but a constant is tied with a huge factor, and what cancels then leaves noise.
    noise = 1e-12 * max(1e3, *(float(np.abs(v).max(initial=0.0)) for v in reached.values()))
    with np.errstate(all="ignore"):
        value, mine = plain._climb(task, params, True)
    expected, theirs = automatic(other, task, params)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=noise)
    for key in params:
        zero = np.zeros_like(params[key])
        here, there = mine.get(key, zero)[smooth], theirs.get(key, zero)[smooth]
        np.testing.assert_allclose(here, there, rtol=1e-7, atol=noise, err_msg=str(key))
    return sum(int(np.count_nonzero(v[smooth])) for v in theirs.values())


def generic(case: Case, seed: int) -> tuple[RowTask, Params]:
    """The case with forms and parameters in general position, where every derivative exists."""
    rng = np.random.default_rng(seed)
    start = {i: rng.normal(size=v.shape) for i, v in case.start.items()}
    targets = list(start)
    params = {
        k: 0.05 + 0.9 * rng.random(v.shape)
        for k, v in PlainBounder(case.graph).start(case.rows, targets).items()}
    lo, hi = (np.repeat(v[None], case.rows.count, axis=0) for v in (case.lo, case.hi))
    return RowTask(case.rows, start, lo, hi), params


@pytest.mark.parametrize("focus", [name for name in PIECEWISE_FOCUS if name != "TreeLeaves"])
@settings(max_examples=15, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_derivatives_are_those_of_torch(focus: str, data: st.DataObject, seed: int) -> None:
    case, _ = draw_case(data, focus)
    task, params = generic(case, seed)
    if not all(np.isfinite(v).all() for v in (*case.rows.lo.values(), *case.rows.hi.values())):
        return
    agree(PlainBounder(case.graph), TorchBounder(case.graph), task, params)


def regions() -> dict[str, Region]:
    """Boxes cut by a row, by balls, and by one-hot groups."""
    n = 4
    lo, hi = tuple([Fraction(-1)] * n), tuple([Fraction(1)] * n)
    zero, index = tuple([Fraction(0)] * n), tuple(range(n))
    row = LinearRow({0: Fraction(1), 2: Fraction(-1, 2)}, Fraction(1, 4))
    hot = tuple(Fraction(0) for _ in range(n)), hi
    return {
        "row": Region(lo, hi, rows=(row,)),
        "l1": Region(lo, hi, balls=(Ball("l1", index, zero, Fraction(1)),)),
        "l2": Region(lo, hi, balls=(Ball("l2", index, zero, Fraction(1)),)),
        "groups": Region(*hot, integers=frozenset(index), one_hot=((0, 2), (1, 3))),
        "groups and a row": Region(
            *hot, rows=(row,), integers=frozenset(index), one_hot=((0, 2), (1, 3))),
    }


@pytest.mark.parametrize("cut", sorted(regions()))
@pytest.mark.parametrize("seed", range(3))
def test_cut_regions_have_the_derivatives_of_torch(cut: str, seed: int) -> None:
    region, rng = regions()[cut], np.random.default_rng(seed)
    graph, node = gradient_net(rng, (4, 6, 5, 1))
    layout, (lo, hi) = Layout(graph, (node,)), region.float_box()
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    rows = to_rows(layout.propagate(lo[None], hi[None], signs), np.zeros(5, dtype=np.intp),
                   layout, signs)
    linear, balls = linear_rows(region), float_balls(region)
    plain, other = (kind(graph, linear=linear, balls=balls) for kind in (PlainBounder,
                                                                         TorchBounder))
    start = {node: rng.normal(size=(5, 4))}
    params = {k: 0.05 + 0.9 * rng.random(v.shape) for k, v in plain.start(rows, [node]).items()}
    box = np.repeat(lo[None], 5, axis=0), np.repeat(hi[None], 5, axis=0)
    assert agree(plain, other, RowTask(rows, start, *box), params) > 5
    assert REGION_ROWS not in params or params[REGION_ROWS].shape == (5, len(linear.b))
    for effort in (Effort(0), Effort(2)):
        mine = plain.bound(rows, start, *box, effort)
        theirs = other.bound(rows, start, *box, effort)
        np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-6, atol=1e-6)
        again, _, _ = plain.evaluate_grouped(rows, start, dict(mine.params), *box)
        np.testing.assert_allclose(again, mine.value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("convolutional", [False, True], ids=["dense", "conv"])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_bounds_and_multipliers_are_those_of_torch(count: int, convolutional: bool) -> None:
    other, layout, lo, hi, signs, forms, node = batch_case(count, count, convolutional)
    plain = PlainBounder(other.graph)
    rows = to_rows(layout.propagate(lo, hi, signs), np.arange(count), layout, signs)
    for iterations in (0, 1, 2):
        mine = plain.bound(rows, {node: forms}, lo, hi, Effort(iterations))
        theirs = other.bound(rows, {node: forms}, lo, hi, Effort(iterations))
        np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(mine.coefs, theirs.coefs, rtol=1e-7, atol=1e-9)
        assert mine.params.keys() == theirs.params.keys()
        assert mine.reached.keys() == theirs.reached.keys()
        for key, value in mine.params.items():
            assert np.abs(value - theirs.params[key]).max(initial=0.0) <= 1 / 128 + 1e-9
    longer = plain.bound(rows, {node: forms}, lo, hi, Effort(12))
    assert (longer.value >= mine.value - 1e-9).all()
    warm = plain.bound(rows, {node: forms}, lo, hi, Effort(0), longer.params)
    assert (warm.value >= longer.value - 1e-9).all()
    points = (lo + hi) / 2
    values = other.values(points, list(mine.reached))
    for i, value in plain.values(points, list(mine.reached)).items():
        np.testing.assert_allclose(value, values[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_no_point_lies_below_an_optimised_bound(seed: int) -> None:
    """Rows stop where they reach their goal, and hold there as well."""
    from verifex.semantics.evaluate import evaluate_float

    rng = np.random.default_rng(seed)
    graph, node = gradient_net(rng, (3, 7, 6, 1))
    layout, lo, hi = Layout(graph, (node,)), -np.ones(3), np.ones(3)
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    rows = to_rows(layout.propagate(lo[None], hi[None], signs), np.zeros(6, dtype=np.intp),
                   layout, signs)
    start = np.concatenate([np.eye(3), -np.eye(3)])
    box = np.repeat(lo[None], 6, axis=0), np.repeat(hi[None], 6, axis=0)
    plain = PlainBounder(graph)
    free = plain.bound(rows, {node: start}, *box, Effort(20))
    goal = np.quantile(free.value, 0.5)
    early = plain.bound(rows, {node: start}, *box, Effort(20), goal=goal - 0.1)
    points = np.concatenate([rng.uniform(lo, hi, (4000, 3)), rng.choice([-1.0, 1.0], (64, 3))])
    values = evaluate_float(graph, points, [node])[node] @ start.T
    for found in (free, early):
        assert (found.value <= values.min(axis=0) + 1e-9).all()
    assert (early.value <= free.value + 1e-9).any()
    # A bounder that is told to stop gives what it has.
    ended = PlainBounder(graph, stopped=lambda: True).bound(rows, {node: start}, *box, Effort(20))
    first = plain.bound(rows, {node: start}, *box, Effort(0))
    np.testing.assert_allclose(ended.value, first.value)


@given(data=st.data(), seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_parameters_that_are_missing_have_their_defaults(data: st.DataObject, seed: int) -> None:
    graph, node = gradient_net(np.random.default_rng(seed), (3, 4, 3, 1))
    layout, lo, hi = Layout(graph, (node,)), -np.ones((2, 3)), np.ones((2, 3))
    signs = np.zeros((2, layout.gates), dtype=np.int8)
    rows = to_rows(layout.propagate(lo, hi, signs), np.arange(2), layout, signs)
    params = draw_params(data, graph, rows, [node])
    start = {node: np.random.default_rng(seed).normal(size=(2, 3))}
    mine: dict[int, Any] = {}
    theirs: dict[int, Any] = {}
    one = PlainBounder(graph).evaluate(rows, start, params, lo, hi, mine)
    two = TorchBounder(graph).evaluate(rows, start, params, lo, hi, theirs)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert mine.keys() == theirs.keys()


def test_small_graphs_without_smooth_functions_are_bounded_with_numpy() -> None:
    def chosen(layout: Layout, device: str = "cpu") -> type:
        return type(bounder_for(layout, device, None, ()))

    graph, node = gradient_net(np.random.default_rng(0), (3, 4, 1))
    assert chosen(Layout(graph, (node,))) is PlainBounder
    builder = Builder()
    x = builder.input("x", (2,))
    smooth = builder.univariate("tanh", x)
    wide = builder.relu(builder.affine(dense(np.ones((PLAIN, 2))), x))
    made = builder.build({"smooth": smooth, "wide": wide})
    assert chosen(Layout(made, (smooth,))) is TorchBounder
    assert chosen(Layout(made, (wide,))) is TorchBounder
    assert TorchBackend().zeros(2, 3).shape == (2, 3)
    assert Rows({}, {}, np.zeros(4, dtype=np.intp)).count == 4
