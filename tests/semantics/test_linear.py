"""Linear bounds hold for any parameters at every point of the domain; batches equal singles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.strategies import SMOOTH, boxes, graphs, grid, points_in
from verifex.engine.bounds.layout import IntermediateBounds, Layout
from verifex.engine.bounds.optimise import Bounder, Effort
from verifex.engine.bounds.region_rows import Linear
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import Conv, dense
from verifex.ir.ops import OPS, Affine, Input, Relu, Step
from verifex.semantics.evaluate import ExactBackend, exact_inputs, run
from verifex.semantics.functions import find
from verifex.semantics.linear import (
    Rows,
    concretise,
    linear,
    node_params,
    passed,
    substitute,
)
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind
from verifex.semantics.torch_backend import TorchBackend
from verifex.semantics.vjp import gradients

Point = tuple[Fraction, ...]
Params = dict[Parameter, torch.Tensor]
SLACK = 1e-9
PIECEWISE_FOCUS = sorted(op.__name__ for op in OPS if op.__name__ not in ("Input", "Univariate"))


def test_no_cell_is_blank() -> None:
    assert linear.blanks() == []
    assert set(linear.refusals()) == {"Input"}
    assert "ends the substitution" in linear.refusals()["Input"]
    with pytest.raises(Exception, match="linear: Input: an input ends"):
        linear[Input("x", (1,))]


# --- exact values, with either gate value on a kink -------------------------------------------


def precise(name: str, x: Fraction) -> Fraction:
    """A smooth function of a rational, to about 200 bits."""
    with mpmath.workprec(220):
        z = mpmath.mpf(x.numerator) / x.denominator
        if name in ("sigmoid", "reciprocal"):
            value = 1 / (1 + mpmath.exp(-z)) if name == "sigmoid" else 1 / z
        else:
            value = getattr(mpmath, name)(z)
        sign, mantissa, exponent, _ = value._mpf_
        return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


class GateBackend(ExactBackend):
    """Exact arithmetic; a gate at zero is what `choose` says, asked once an element."""

    def __init__(self, choose: Callable[[], int]) -> None:
        self.choose = choose

    def step(self, z: ExactArray) -> ExactArray:
        flat = [int(v > 0) if v != 0 else self.choose() for v in z.num.ravel()]
        return ExactArray(np.array(flat, dtype=object).reshape(z.shape))

    def univariate(self, name: str, x: ExactArray) -> ExactArray:
        if name in ("square", "reciprocal"):
            return super().univariate(name, x)
        return ExactArray.from_numbers([precise(name, f) for f in x.fractions()], x.shape)


def values_at(graph: Graph, x: Point, bits: tuple[int, ...]) -> dict[int, list[Fraction]]:
    """Exact values of all nodes; `bits` are the gates that lie on a kink, in order of meeting."""
    feed = iter(bits + (0,) * 500)
    values = run(graph, GateBackend(feed.__next__), exact_inputs(graph, x), range(len(graph.nodes)))
    return {i: v.fractions() for i, v in values.items()}


def every_value(graph: Graph, x: Point) -> Iterator[dict[int, list[Fraction]]]:
    """Values for the choices of the gates on kinks (the first four of them)."""
    first = values_at(graph, x, ())
    steps = [n.args[0] for n in graph.nodes if isinstance(n.op, Step)]
    zeros = sum(v == 0 for z in steps for v in first[z])
    if not zeros:
        yield first
        return
    for bits in product((0, 1), repeat=min(zeros, 4)):
        yield values_at(graph, x, bits)


# --- random domains and parameters ------------------------------------------------------------


@dataclass
class Case:
    """A graph with the box and the signs of one domain, rows over it, and their parameters."""

    graph: Graph
    layout: Layout
    lo: FloatArray
    hi: FloatArray
    signs: FloatArray
    rows: Rows
    start: dict[int, torch.Tensor]
    params: Params


def consistent(case: Case, values: dict[int, list[Fraction]]) -> bool:
    """Whether a point with these values lies in the domain (a chosen sign fixes its gate too)."""
    for z in case.layout.offsets:
        sign = case.layout.signs_of(case.signs, z)[0]
        if any(s * v < 0 for s, v in zip(sign.tolist(), values[z], strict=True)):
            return False
    for step, z in case.layout.steps.items():
        sign = case.layout.signs_of(case.signs, z)[0]
        for s, gate in zip(sign.tolist(), values[step], strict=True):
            if s and gate != (s > 0):
                return False
    return True


def draw_params(data: st.DataObject, graph: Graph, rows: Rows, targets: list[int]) -> Params:
    """Any parameters in range; some are left to their defaults."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    out: Params = {}
    for (kind, i), size in node_params(graph, targets):
        if rng.random() < 0.15 and kind is not ParameterKind.ALPHA:
            continue
        raw = rng.random((rows.count, size))
        ends = rng.random((rows.count, size))
        raw = np.where(ends < 0.3, 0.0, np.where(ends > 0.7, 1.0, raw))
        out[Parameter(kind, i)] = torch.from_numpy(raw)
    for z in rows.split:
        if z in passed(graph, targets):
            size = graph.nodes[z].size
            raw = rng.random((rows.count, size)) * 4 * (rng.random((rows.count, size)) < 0.6)
            out[Parameter(ParameterKind.BETA, z)] = torch.from_numpy(raw)
    return out


def draw_case(data: st.DataObject, focus: str, smooth: tuple[str, ...] = ()) -> tuple[Case, Point]:
    """A case, and a point that lies in its domain."""
    ops = ("Affine", "Relu", "Step", "Gate", "Mul", "Concat", *(("Univariate",) if smooth else ()))
    found = data.draw(graphs(focus, ops=ops, smooth=smooth, size=5))
    graph, n = found.graph, found.graph.input_size
    lo, hi = data.draw(boxes(n))
    if data.draw(st.integers(0, 4)) == 0:  # a tiny box
        hi = lo + np.array([data.draw(st.sampled_from([0.0, 1e-12, 2.0**-30])) for _ in range(n)])
    x = data.draw(points_in(lo, hi))
    targets = sorted(set(graph.outputs.values()))
    layout = Layout(graph, tuple(targets))
    values = data.draw(st.sampled_from(list(every_value(graph, x))))
    signs = _signs_at(data, layout, values)
    bounds = layout.propagate(lo[None], hi[None], signs)
    assert not bounds.empty[0], "the domain has a point"
    count = data.draw(st.integers(1, 3))
    rows = to_rows(bounds, torch.zeros(count, dtype=torch.long), layout, signs)
    start = {
        i: torch.tensor(data.draw(st.lists(
            st.lists(grid, min_size=graph.nodes[i].size, max_size=graph.nodes[i].size),
            min_size=count, max_size=count)), dtype=torch.float64).reshape(count, -1)
        for i in targets
    }
    params = draw_params(data, graph, rows, targets)
    return Case(graph, layout, lo, hi, signs, rows, start, params), x


def _signs_at(data: st.DataObject, layout: Layout, values: dict[int, list[Fraction]]) -> FloatArray:
    """Signs of some gates as they are at a point; on a kink, as the gate there says."""
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    gates = {z: step for step, z in layout.steps.items()}
    for z, at in layout.offsets.items():
        for k, v in enumerate(values[z]):
            if not data.draw(st.booleans()):
                continue
            if v == 0:
                on = values[gates[z]][k] == 1 if z in gates else data.draw(st.booleans())
            else:
                on = v > 0
            signs[0, at + k] = 1 if on else -1
    return signs


def check(case: Case, points: list[Point]) -> int:
    """No point of the domain lies below the linear bound; how many points counted."""
    n = case.graph.input_size
    reached: dict[int, torch.Tensor] = {}
    xp = TorchBackend()
    coefs, const = substitute(case.graph, case.rows, case.start, case.params, xp, reached)
    lo, hi = (torch.from_numpy(v).expand(case.rows.count, n) for v in (case.lo, case.hi))
    least = concretise(coefs, const, lo, hi)
    scale = torch.ones(case.rows.count, dtype=torch.float64)
    for i, c in reached.items():
        if i not in case.rows.lo:  # a Relu that only the tie of a gate goes through
            continue
        low, high = case.rows.box(i)
        scale = scale + (c.abs() * torch.maximum(low.abs(), high.abs())).nan_to_num(0).sum(1)
    scale = scale + const.abs().nan_to_num(0)
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
                line = float(coefs[r].numpy() @ flat) + float(const[r])
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


def gradient_net(
    rng: np.random.Generator, widths: tuple[int, ...], integer: bool = False
) -> tuple[Graph, int]:
    """A random ReLU network and the node of its gradient; integer weights k/8 meet their kinks."""
    b = Builder()
    x = h = b.input("x", (widths[0],))
    for k, (m, n) in enumerate(pairwise(widths)):
        w = rng.integers(-8, 9, (n, m)) / 8 if integer else rng.normal(size=(n, m)) / np.sqrt(m)
        bias = rng.integers(-4, 5, n) / 4 if integer else rng.normal(size=n) * 0.3
        h = b.affine(dense(w), b.relu(h) if k else h, bias)
    (gradient,) = gradients(b, h, [x])
    return b.build({"f": h, "g": gradient}), gradient


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
    signs = _signs_at(data, layout, values)
    rows = to_rows(layout.propagate(lo[None], hi[None], signs), torch.zeros(4, dtype=torch.long),
                   layout, signs)
    start = {node: torch.tensor([[1.0, 0], [-1, 0], [0, 1], [1, -1]], dtype=torch.float64)}
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
    rows = to_rows(layout.propagate(lo[None], hi[None], signs), torch.zeros(2, dtype=torch.long),
                   layout, signs)
    bounder = Bounder(graph, linear=Linear(torch.from_numpy(a), torch.from_numpy(b)))
    start = {node: torch.from_numpy(rng.normal(size=(2, 3)))}
    params = draw_params(data, graph, rows, [node])
    params[REGION_ROWS] = torch.from_numpy(rng.random((2, 2)) * 5)
    box = tuple(torch.from_numpy(v).expand(2, 3) for v in (lo, hi))
    least, _, _ = bounder.evaluate(rows, start, params, *box)
    exact = np.array([float(v) for v in values_at(
        graph, tuple(Fraction(float(v)) for v in x), ())[node]])
    assert (least.numpy() <= start[node].numpy() @ exact + 1e-9).all()


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


def conv_net(rng: np.random.Generator) -> tuple[Graph, int]:
    """Convolution, ReLU, convolution, ReLU, dense; the gradient's node."""
    b = Builder()
    x = b.input("x", (1, 2, 4, 4))
    pads, one = ((1, 0), (0, 1)), (1, 1)
    first = Conv((1, 2, 4, 4), (1, 4, 2, 2), rng.normal(size=(4, 1, 3, 3)), (2, 2), pads, one, 2)
    y = b.relu(b.affine(first, x, rng.normal(size=(1, 4, 2, 2))))
    none, weight = ((0, 0), (0, 0)), rng.normal(size=(3, 4, 2, 2))
    second = Conv((1, 4, 2, 2), (1, 3, 1, 1), weight, one, none, one, 1)
    h = b.relu(b.affine(second, y))
    out = b.affine(dense(rng.normal(size=(1, 3)), (1, 3, 1, 1), (1,)), h)
    (gradient,) = gradients(b, out, [x])
    return b.build({"g": gradient, "f": out}), gradient


def batch_case(
    seed: int, count: int, convolutional: bool
) -> tuple[Bounder, Layout, FloatArray, FloatArray, FloatArray, FloatArray, int]:
    """Different boxes, signs and forms over one network."""
    rng = np.random.default_rng(seed)
    graph, node = conv_net(rng) if convolutional else gradient_net(rng, (4, 9, 7, 1))
    n = graph.input_size
    layout = Layout(graph, (node,))
    centre, radius = rng.normal(size=(count, n)), rng.choice([0.0, 0.02, 0.3, 1.0], (count, n))
    lo, hi = centre - radius, centre + radius
    signs = np.zeros((count, layout.gates), dtype=np.int8)
    free = layout.propagate(lo, hi, signs)
    for z, at in layout.offsets.items():
        undecided = (free.lo[z] < 0) & (free.hi[z] > 0) & (rng.random(free.lo[z].shape) < 0.3)
        chosen = np.where(rng.random(undecided.shape) < 0.5, 1, -1) * undecided
        signs[:, at : at + chosen.shape[1]] = chosen
    forms = rng.normal(size=(count, n))
    return Bounder(graph), layout, lo, hi, signs, forms, node


def _bound(
    bounder: Bounder, layout: Layout, lo: FloatArray, hi: FloatArray, signs: FloatArray,
    forms: FloatArray, node: int,
) -> tuple[IntermediateBounds, FloatArray, dict[Parameter, FloatArray]]:
    boxes_ = layout.propagate(lo, hi, signs)
    rows = to_rows(boxes_, torch.arange(len(lo)), layout, signs)
    found = bounder.bound(
        rows, {node: torch.from_numpy(forms)}, torch.from_numpy(lo), torch.from_numpy(hi), Effort(6)
    )
    return boxes_, found.value.numpy(), {k: v.numpy() for k, v in found.params.items()}


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
    forms, domain = rng.normal(size=(7, 4)), torch.tensor([0, 1, 1, 0, 0, 1, 0])
    boxes_ = layout.propagate(lo, hi, signs)
    start, low, high = torch.from_numpy(forms), torch.from_numpy(lo), torch.from_numpy(hi)
    rows = to_rows(boxes_, domain, layout, signs)
    many = bounder.bound(rows, {node: start}, low[domain], high[domain], Effort(6)).value
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
