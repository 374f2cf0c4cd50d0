"""Linear bounds hold for any parameters at every point of the domain; batches equal singles."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.linear_cases import (
    PIECEWISE_FOCUS,
    Case,
    Point,
    batch_case,
    consistent,
    draw_case,
    draw_params,
    every_value,
    gradient_net,
    precise,
    signs_at,
    values_at,
)
from tests.helpers.strategies import SMOOTH, points_in
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.layout import IntermediateBounds, Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.region_rows import Linear
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.ops import Affine, Input, Relu, Step, Univariate
from verifex.semantics.evaluate import NumpyBackend
from verifex.semantics.functions import find
from verifex.semantics.linear import (
    Rows,
    concretise,
    linear,
    substitute,
)
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind
from verifex.semantics.torch_backend import TorchBackend

SLACK = 1e-9


def test_no_cell_is_blank() -> None:
    assert linear.blanks() == []
    assert set(linear.refusals()) == {"Input"}
    assert "ends the substitution" in linear.refusals()["Input"]
    with pytest.raises(Exception, match="linear: Input: an input ends"):
        linear[Input("x", (1,))]


Bound = tuple[FloatArray, FloatArray, FloatArray, dict[int, FloatArray]]


def by_torch(case: Case) -> Bound:
    """(coefs, const, least values, what reached every node) by tensors."""
    def tensors(values: dict) -> dict:
        return {k: torch.tensor(np.array(v)) for k, v in values.items()}

    rows = Rows(tensors(case.rows.lo), tensors(case.rows.hi), torch.from_numpy(case.rows.domain),
                tensors(case.rows.split))
    reached: dict[int, torch.Tensor] = {}
    coefs, const = substitute(
        case.graph, rows, tensors(case.start), tensors(case.params), TorchBackend(), reached)
    lo, hi = (torch.from_numpy(v).expand(rows.count, -1) for v in (case.lo, case.hi))
    least = concretise(coefs, const, lo, hi)
    return coefs.numpy(), const.numpy(), least.numpy(), {i: v.numpy() for i, v in reached.items()}


def by_numpy(case: Case) -> Bound:
    """The same by arrays of numpy."""
    reached: dict[int, FloatArray] = {}
    with np.errstate(all="ignore"):
        coefs, const = substitute(
            case.graph, case.rows, case.start, case.params, NumpyBackend(), reached)
        lo, hi = (np.broadcast_to(v, coefs.shape) for v in (case.lo, case.hi))
        return coefs, const, concretise(coefs, const, lo, hi), reached


def check(case: Case, points: list[Point]) -> int:
    """No point of the domain lies below the linear bound; how many points counted. Where numpy
    knows all planes, its bound is that of torch."""
    bound = coefs, const, least, reached = by_torch(case)
    smooth = any(isinstance(node.op, Univariate) for node in case.graph.nodes)
    scale = np.ones(case.rows.count)
    with np.errstate(all="ignore"):
        for i, c in reached.items():
            if i not in case.rows.lo:  # a Relu that only the tie of a gate goes through
                continue
            low, high = case.rows.box(i)
            scale = scale + np.nan_to_num(
                np.abs(c) * np.maximum(np.abs(low), np.abs(high)), posinf=np.inf).sum(1)
        scale = scale + np.nan_to_num(np.abs(const), posinf=np.inf)
    if not smooth:
        other = by_numpy(case)
        assert other[3].keys() == reached.keys()
        for mine, theirs in zip(other[:3], bound[:3], strict=True):
            near = np.maximum(1.0, np.where(np.isfinite(theirs), np.abs(theirs), 1.0))
            close = np.abs(mine - theirs) <= 1e-12 * near * np.expand_dims(
                scale, tuple(range(1, mine.ndim)))
            assert (close | (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))).all()
    counted = 0
    for x in points:
        for values in every_value(case.graph, x):
            if not consistent(case, values):
                continue
            counted += 1
            flat = np.array([float(v) for v in x])
            for r in range(case.rows.count):
                exact = sum((Fraction(float(c)) * v for i, t in case.start.items()
                             for c, v in zip(t[r], values[i], strict=True)), Fraction(0))
                line = float(coefs[r] @ flat) + float(const[r])
                if np.isnan(line) or line == -np.inf:
                    assert not least[r] > -np.inf  # nothing is known: nothing is claimed
                    continue
                slack = SLACK * float(scale[r]) if np.isfinite(float(scale[r])) else np.inf
                assert line <= float(exact) + slack
                assert float(least[r]) <= float(exact) + slack
    return counted


@pytest.mark.parametrize("focus", PIECEWISE_FOCUS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_point_lies_below(focus: str, data: st.DataObject) -> None:
    case, x = draw_case(data, focus)
    more = [data.draw(points_in(case.lo, case.hi)) for _ in range(5)]
    corners = [tuple(Fraction(float(v)) for v in side) for side in (case.lo, case.hi)]
    assert check(case, [x, *more, *corners]) >= 1


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_no_point_lies_below_smooth_functions(name: str, data: st.DataObject) -> None:
    case, x = draw_case(data, "Univariate", (name, "tanh"))
    more = [data.draw(points_in(case.lo, case.hi)) for _ in range(4)]
    assert check(case, [x, *more]) >= 1


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_gradients_hold_on_kinks_with_either_gate(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, node = gradient_net(rng, (2, 3, 3, 1), integer=True)
    centre = rng.integers(-4, 5, 2) / 4
    radius = rng.choice([0.0, 0.25, 0.5, 1.0], 2)
    lo, hi = centre - radius, centre + radius
    layout = Layout(graph, (node,))
    x = tuple(Fraction(float(v)) for v in rng.choice(np.stack([lo, centre, hi]).ravel(), 2))
    x = tuple(min(max(v, Fraction(float(a))), Fraction(float(c))) for v, a, c in zip(x, lo, hi))
    values = data.draw(st.sampled_from(list(every_value(graph, x))))
    signs = signs_at(data, layout, values)
    rows = to_rows(layout.propagate(lo[None], hi[None], signs), np.zeros(4, dtype=np.intp),
                   layout, signs)
    start = {node: np.array([[1.0, 0], [-1, 0], [0, 1], [1, -1]])}
    case = Case(graph, layout, lo, hi, signs, rows, start, draw_params(data, graph, rows, [node]))
    samples = [
        tuple(Fraction(float(v)) for v in lo + (hi - lo) * rng.integers(0, 9, 2) / 8)
        for _ in range(12)
    ]
    assert check(case, [x, *samples]) >= 1


@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_row_multipliers_hold_where_the_rows_hold(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, node = gradient_net(rng, (3, 4, 1))
    lo, hi = -np.ones(3), np.ones(3)
    x = rng.uniform(lo, hi)
    a = rng.integers(-3, 4, (2, 3)).astype(float)
    b = a @ x + rng.choice([0.0, 0.5], 2) + 1e-12
    layout = Layout(graph, (node,))
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    rows = to_rows(layout.propagate(lo[None], hi[None], signs), np.zeros(2, dtype=np.intp),
                   layout, signs)
    bounder = TorchBounder(graph, linear=Linear(a, b))
    start = {node: rng.normal(size=(2, 3))}
    params = draw_params(data, graph, rows, [node])
    params[REGION_ROWS] = rng.random((2, 2)) * 5
    box = tuple(np.broadcast_to(v, (2, 3)) for v in (lo, hi))
    least, _, _ = bounder.evaluate(rows, start, params, *box)
    exact = np.array([float(v) for v in values_at(
        graph, tuple(Fraction(float(v)) for v in x), ())[node]])
    assert (least <= start[node] @ exact + 1e-9).all()


# --- planes of smooth functions ---------------------------------------------------------------

FULL = {"sigmoid": (-30, 30), "tanh": (-20, 20), "erf": (-6, 6), "exp": (-30, 30), "sin": (-9, 9),
        "cos": (-9, 9), "log": (1e-6, 50), "sqrt": (0, 50), "reciprocal": (1e-3, 50)}


@st.composite
def intervals(draw: st.DrawFn, name: str) -> tuple[float, float]:
    """Intervals of the function's domain: through zero, one-sided, tiny, a single point."""
    low, high = FULL[name]
    spots = [v for v in (low, high, 0.0, -0.0, 1.0, -1.0, 0.5, 1e-9, -1e-9) if low <= v <= high]
    number = st.one_of(st.sampled_from(spots), st.floats(low, high, allow_subnormal=False))
    a = draw(number)
    near = st.sampled_from([0.0, 1e-13, 1e-9, 1e-6, 1e-3]).map(lambda d: a + d)
    b = draw(st.one_of(number, near))
    a, b = min(a, b), max(a, b)
    if name == "reciprocal" and draw(st.booleans()):
        a, b = -b, -a
    return a, min(b, high) if name != "reciprocal" else b


@pytest.mark.parametrize("name", sorted(FULL))
@settings(max_examples=60, deadline=None)
@given(data=st.data(), where=st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)))
def test_planes_enclose_the_function(name: str, data: st.DataObject, where: float) -> None:
    from verifex.ir.ops import Univariate
    from verifex.semantics.interval import Interval, interval

    lo, hi = data.draw(intervals(name))
    op, box = Univariate(name), Interval(np.array([[lo]]), np.array([[hi]]))
    image = interval[op](op, box)
    tensors = (torch.tensor([v], dtype=torch.float64) for v in
               (lo, hi, image.lo.item(), image.hi.item(), where))
    below, above = find(name).planes(*tensors)
    shares = [Fraction(k, 24) for k in range(25)] + [Fraction(where), Fraction(1, 10**6)]
    for share in shares:
        x = Fraction(lo) + share * (Fraction(hi) - Fraction(lo))
        exact = precise(name, x)
        for plane, sign in ((below, 1), (above, -1)):
            slope, offset = float(plane[0]), float(plane[1])
            if np.isfinite(slope) and np.isfinite(offset):
                assert sign * (Fraction(slope) * x + Fraction(offset)) <= sign * exact
            else:
                assert np.isinf(offset)
                assert (offset < 0) == (sign > 0)


@pytest.mark.parametrize(
    ("name", "lo", "hi"),
    [("sqrt", 1e-38, 1e-9), ("reciprocal", 1e-3, 1e-3 + 9e-7), ("log", 1e-6, 1.9e-6),
     ("reciprocal", -1e-3, -1e-3 + 9e-7), ("sqrt", 1e-12, 2e-6)],
)
def test_a_narrow_interval_may_bend_sharply(name: str, lo: float, hi: float) -> None:
    low, high = sorted(float(precise(name, Fraction(v))) for v in (lo, hi))
    image = low - 1e-15 * abs(low), high + 1e-15 * abs(high)
    tensors = (torch.tensor([v], dtype=torch.float64) for v in (lo, hi, *image, 0.5))
    below, above = find(name).planes(*tensors)
    for k in range(21):
        x = Fraction(lo) + Fraction(k, 20) * (Fraction(hi) - Fraction(lo))
        low, high = (Fraction(float(s)) * x + Fraction(float(c)) for s, c in (below, above))
        assert low <= precise(name, x) <= high


# --- batches ----------------------------------------------------------------------------------


def _bound(
    bounder: TorchBounder, layout: Layout, lo: FloatArray, hi: FloatArray, signs: FloatArray,
    forms: FloatArray, node: int,
) -> tuple[IntermediateBounds, FloatArray, dict[Parameter, FloatArray]]:
    boxes_ = layout.propagate(lo, hi, signs)
    rows = to_rows(boxes_, np.arange(len(lo)), layout, signs)
    found = bounder.bound(rows, {node: forms}, lo, hi, Effort(6))
    return boxes_, found.value, found.params


@pytest.mark.parametrize("convolutional", [False, True], ids=["dense", "conv"])
@pytest.mark.parametrize("count", [1, 2, 3, 32])
def test_a_batch_equals_its_members(count: int, convolutional: bool) -> None:
    bounder, layout, lo, hi, signs, forms, node = batch_case(count, count, convolutional)
    boxes_, value, params = _bound(bounder, layout, lo, hi, signs, forms, node)
    assert np.isfinite(value).all()
    for k in range(count):
        one = slice(k, k + 1)
        alone = _bound(bounder, layout, lo[one], hi[one], signs[one], forms[one], node)
        for i, v in boxes_.lo.items():
            np.testing.assert_allclose(v[one] if len(v) > 1 else v, alone[0].lo[i], 1e-12, 1e-12)
        np.testing.assert_allclose(value[one], alone[1], rtol=1e-9, atol=1e-11)
        for key, mine in alone[2].items():
            np.testing.assert_allclose(params[key][one], mine, rtol=1e-9, atol=1e-11)
        missing = {key for key in params if key not in alone[2]}
        assert all(key.kind is ParameterKind.BETA and not params[key][k].any() for key in missing)
    assert count == 1 or len(set(np.round(value, 6))) > 1


def test_many_rows_of_one_domain_equal_one_at_a_time() -> None:
    bounder, layout, lo, hi, signs, _, node = batch_case(5, 2, convolutional=False)
    rng = np.random.default_rng(0)
    forms, domain = rng.normal(size=(7, 4)), np.array([0, 1, 1, 0, 0, 1, 0])
    boxes_ = layout.propagate(lo, hi, signs)
    rows = to_rows(boxes_, domain, layout, signs)
    many = bounder.bound(rows, {node: forms}, lo[domain], hi[domain], Effort(6)).value
    for r in range(7):
        d = int(domain[r])
        one = _bound(bounder, layout, lo[d : d + 1], hi[d : d + 1], signs[d : d + 1],
                     forms[r : r + 1], node)
        np.testing.assert_allclose(many[r].item(), one[1][0], rtol=1e-9)


@pytest.mark.parametrize("end", [5e-324, 1e-310, 1e-200, 1e-12])
@pytest.mark.parametrize("through_relu", [False, True])
def test_a_gate_whose_argument_is_all_but_zero(end: float, through_relu: bool) -> None:
    """Outward rounding bounds a 0 by the least floats: a tie by them must not spoil the row."""
    builder = Builder()
    z = builder.add(Affine((dense([[1.0, 0.0], [0.0, 1.0]]),)), builder.input("x", (2,)))
    if through_relu:
        builder.add(Relu(), z)
    step = builder.add(Step(), z)
    graph = builder.build({"s": step})
    ends = torch.tensor([[end, 1.0]], dtype=torch.float64)
    box = {i: (-ends, ends) for i in range(len(graph.nodes))} | {step: (0 * ends, 0 * ends + 1)}
    forms = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=2)), dtype=torch.float64)
    rows = Rows({i: lo for i, (lo, _) in box.items()}, {i: hi for i, (_, hi) in box.items()},
                torch.zeros(len(forms), dtype=torch.int64))
    for tie in (0.5, 1.0):
        params = {Parameter(ParameterKind.TIE, step): torch.full_like(forms, tie)}
        coefs, const = substitute(graph, rows, {step: forms}, params, TorchBackend())
        assert bool(coefs.isfinite().all())
        for x in product((-end, 0.0, end), (-1.0, 0.0, 0.25, 1.0)):
            here = torch.tensor(x, dtype=torch.float64)
            for choice in product((0.0, 1.0), repeat=2):
                gates = torch.tensor([c if v == 0 else float(v > 0)
                                      for v, c in zip(x, choice, strict=True)]).double()
                assert bool((coefs @ here + const <= forms @ gates + SLACK).all())
        assert bool((concretise(coefs, const, -ends, ends) >= -4).all())  # -1 each, and the ties
