"""Every smooth function that is registered, through every table of meanings, against mpmath.

A new function needs one line here, its oracle.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import numpy as np
import onnx
import pytest
import torch

from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import to_rows
from verifex.errors import UnsupportedError
from verifex.frontend import load_bytes, to_onnx
from verifex.frontend.onnx.operators.rules import RULES
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.model.logical import Model
from verifex.ir.ops import Univariate
from verifex.semantics.encode import Encoder
from verifex.semantics.evaluate import evaluate_exact, evaluate_float
from verifex.semantics.functions import SmoothFunction, find, registry
from verifex.semantics.interval import Interval, bound_box, interval
from verifex.semantics.torch_backend import evaluate_torch
from verifex.semantics.vjp import gradients

Number = Any
"""A number of mpmath."""


class Oracle(NamedTuple):
    """The function at high precision, and the range of floats that it is tried on."""

    value: Callable[[Number], Number]
    lo: float
    hi: float


ORACLES = {
    "cos": Oracle(mpmath.cos, -9, 9),
    "erf": Oracle(mpmath.erf, -6, 6),
    "exp": Oracle(mpmath.exp, -30, 30),
    "log": Oracle(mpmath.log, 1e-6, 50),
    "reciprocal": Oracle(lambda x: 1 / x, 1e-3, 50),
    "sigmoid": Oracle(lambda x: 1 / (1 + mpmath.exp(-x)), -30, 30),
    "sin": Oracle(mpmath.sin, -9, 9),
    "softplus": Oracle(lambda x: mpmath.log1p(mpmath.exp(x)), -30, 30),
    "sqrt": Oracle(mpmath.sqrt, 1e-6, 50),
    "square": Oracle(lambda x: x * x, -9, 9),
    "tanh": Oracle(mpmath.tanh, -20, 20),
}
NAMES = sorted(registry())
SLACK = mpmath.mpf(2) ** -180
"""What 200 bits may err by, relative to 1 and the value."""


def test_every_function_has_an_oracle() -> None:
    assert sorted(ORACLES) == NAMES
    assert all(name == f.name for name, f in registry().items())


def graph_of(name: str, shape: tuple[int, ...] = (1,)) -> Graph:
    """y = f(x), and the derivative d y / d x of one element."""
    b = Builder()
    x = b.input("x", shape)
    y = b.univariate(name, x)
    return b.build({"y": y})


def points(name: str, count: int = 60) -> list[float]:
    """Floats of the function's range: its ends, zero and one where they lie in it, random ones."""
    oracle, rng = ORACLES[name], random.Random(name)
    fixed = [v for v in (0.0, 1.0, -1.0, 0.5, 1e-9) if oracle.lo <= v <= oracle.hi]
    drawn = [rng.uniform(oracle.lo, oracle.hi) for _ in range(count)]
    return [oracle.lo, oracle.hi, *fixed, *drawn]


def boxes_of(name: str, count: int = 60) -> list[tuple[float, float]]:
    """Intervals of the function's range: wide, through zero, narrow, single points."""
    rng, spots = random.Random(f"{name} boxes"), points(name)
    out = [(ORACLES[name].lo, ORACLES[name].hi)]
    for _ in range(count):
        a = rng.choice(spots)
        b = rng.choice([rng.choice(spots), a + rng.choice([0.0, 1e-13, 1e-6, 1e-3, 0.5])])
        out.append((min(a, b), min(max(a, b), ORACLES[name].hi)))
    return [(a, b) for a, b in out if a <= b]


def inside(lo: float, hi: float) -> list[Number]:
    """Numbers of an interval, its ends among them, at high precision."""
    a, b = mpmath.mpf(lo), mpmath.mpf(hi)
    return [a + (b - a) * k / 16 for k in range(17)]


@pytest.mark.parametrize("name", NAMES)
def test_values(name: str) -> None:
    """numpy, torch and the graph agree with the oracle to a few last bits."""
    xs = np.array(points(name))
    with mpmath.workprec(200):
        exact = np.array([float(ORACLES[name].value(mpmath.mpf(x))) for x in xs])
    np.testing.assert_allclose(find(name).value(xs), exact, rtol=4e-15, atol=1e-15)
    graph = graph_of(name)
    y = graph.outputs["y"]
    found = evaluate_float(graph, xs[:, None], [y])[y][:, 0]
    np.testing.assert_array_equal(found, find(name).value(xs))
    tensors = evaluate_torch(graph, torch.from_numpy(xs[:, None]), [y])[y][:, 0].numpy()
    np.testing.assert_allclose(tensors, exact, rtol=4e-15, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_exact_values(name: str) -> None:
    """Exact where there is an exact value, refused by name where there is none."""
    graph, x = graph_of(name), Fraction(3, 7)
    y = graph.outputs["y"]
    if find(name).exact is None:
        with pytest.raises(UnsupportedError, match=f"{name} has no exact rational value"):
            evaluate_exact(graph, [x], [y])
        return
    assert evaluate_exact(graph, [x], [y])[y].fractions() == [ORACLES[name].value(x)]


@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name: str) -> None:
    """The gradient that `vjp` builds, against mpmath's derivative; torch's, against the same."""
    b = Builder()
    x = b.input("x", (1,))
    y = b.univariate(name, x)
    (slope,) = gradients(b, y, [x])
    graph = b.build({"y": y, "slope": slope})
    xs = np.array([v for v in points(name) if v > ORACLES[name].lo])
    with mpmath.workprec(200):
        exact = np.array([float(mpmath.diff(ORACLES[name].value, mpmath.mpf(v))) for v in xs])
    found = evaluate_float(graph, xs[:, None], [slope])[slope][:, 0]
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-14)
    t = torch.from_numpy(xs).requires_grad_()
    (theirs,) = torch.autograd.grad(find(name).tensor(t).sum(), t)
    np.testing.assert_allclose(theirs.numpy(), exact, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_intervals_contain_the_function(name: str) -> None:
    with mpmath.workprec(200):
        for lo, hi in boxes_of(name):
            box = Interval(np.array([[lo]]), np.array([[hi]]))
            image = interval[Univariate(name)](Univariate(name), box)
            low, high = image.lo.item(), image.hi.item()
            assert low <= high
            for x in inside(lo, hi):
                value = ORACLES[name].value(x)
                room = SLACK * (1 + abs(value))
                assert mpmath.mpf(low) - room <= value <= mpmath.mpf(high) + room, (lo, hi, x)


@pytest.mark.parametrize("name", NAMES)
def test_intervals_of_numbers_are_tight(name: str) -> None:
    """A single number's image is a few last bits wide: a rule that says nothing would be sound."""
    xs = np.array(points(name))
    image = find(name).interval(Interval(xs, xs))
    width = image.hi - image.lo
    assert (width <= 1e-13 * (1 + np.abs(find(name).value(xs)))).all()


@pytest.mark.parametrize("name", NAMES)
def test_intervals_of_everything_are_intervals(name: str) -> None:
    """Where nothing is known of the argument, no bound is NaN, and values lie within."""
    ends = [(-np.inf, np.inf), (ORACLES[name].lo, np.inf), (-np.inf, ORACLES[name].hi)]
    for lo, hi in ends:
        image = find(name).interval(Interval(np.array([[lo]]), np.array([[hi]])))
        inner = find(name).value(np.array([v for v in points(name) if lo <= v <= hi]))
        assert image.lo.item() <= inner.min()
        assert image.hi.item() >= inner.max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [0.0, 0.3, 1.0])
def test_planes_are_below_and_above(name: str, where: float) -> None:
    with mpmath.workprec(200):
        for lo, hi in boxes_of(name, 25):
            image = find(name).interval(Interval(np.array([lo]), np.array([hi])))
            given = [torch.tensor([v], dtype=torch.float64)
                     for v in (lo, hi, image.lo.item(), image.hi.item(), where)]
            for (slope, start), sign in zip(find(name).planes(*given), (1, -1), strict=True):
                if not (torch.isfinite(slope) & torch.isfinite(start)).item():
                    continue
                for x in inside(lo, hi):
                    line = mpmath.mpf(slope.item()) * x + mpmath.mpf(start.item())
                    # The planes of a product are exact up to rounding; see rounding.py.
                    room = mpmath.mpf(2e-15) * (1 + abs(line) + x * x) * find(name).is_product
                    assert sign * line <= sign * ORACLES[name].value(x) + room, (lo, hi, x)


@pytest.mark.parametrize("name", NAMES)
def test_linear_bounds_hold(name: str) -> None:
    """A combination of f at two places, bounded by backward substitution with multipliers."""
    oracle, rng = ORACLES[name], np.random.default_rng(len(name))
    b = Builder()
    x = b.input("x", (2,))
    y = b.affine(dense([[1.0, -2.0]]), b.univariate(name, x))
    graph = b.build({"y": y})
    layout, bounder = Layout(graph, (y,)), TorchBounder(graph)
    lo = rng.uniform(oracle.lo, oracle.hi, (6, 2))
    hi = np.minimum(lo + rng.uniform(0, 2, (6, 2)), oracle.hi)
    signs = np.zeros((6, layout.gates), dtype=np.int8)
    rows = to_rows(layout.propagate(lo, hi, signs), np.arange(6), layout, signs)
    one = np.ones((6, 1))
    box = lo, hi
    least = bounder.bound(rows, {y: one}, *box, Effort(5)).value
    share = rng.random((6, 50, 2))
    samples = lo[:, None] + share * (hi - lo)[:, None]
    values = find(name).value(samples) @ np.array([1.0, -2.0])
    scale = 1 + np.abs(values).max(axis=1)
    assert (least <= values.min(axis=1) + 1e-12 * scale).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("products", [False, True])
def test_logical_models_state_products_alone(name: str, products: bool) -> None:
    graph = graph_of(name)
    lo, hi = bound_box(graph, np.array([0.5]), np.array([2.0]), range(len(graph.nodes)))
    model = Model()
    inputs = [model.new("x0", Fraction(1, 2), 2)]
    encoder = Encoder(graph, lo, hi, model, inputs, products=products)
    if not find(name).is_product:
        with pytest.raises(UnsupportedError, match=f"no exact solver here decides {name}"):
            encoder.expr(graph.outputs["y"], 0)
    elif not products:
        with pytest.raises(UnsupportedError, match="a product of two variables"):
            encoder.expr(graph.outputs["y"], 0)
    else:
        encoder.expr(graph.outputs["y"], 0)
        assert len(model.products) == 1


@pytest.mark.parametrize("name", NAMES)
def test_written_to_onnx_and_read_again(name: str) -> None:
    """The operator is the function's, and reading it gives the same node."""
    function, graph = find(name), graph_of(name, (1, 2))
    kind = "float32" if function.single_only else "float64"
    data = to_onnx(graph, dtype=kind)
    written = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert function.onnx in written
    again = load_bytes(data, "f.onnx")
    assert [n.op for n in again.nodes if isinstance(n.op, Univariate)] == [Univariate(name)]
    assert function.onnx in RULES[""]


def test_an_unknown_function_is_refused_by_name() -> None:
    b = Builder()
    x = b.input("x", (1,))
    graph = b.build({"y": b.univariate("tan", x)})
    y = graph.outputs["y"]
    box = np.zeros(1), np.ones(1)
    for meaning in (
        lambda: evaluate_float(graph, np.zeros((1, 1)), [y]),
        lambda: evaluate_exact(graph, [Fraction(0)], [y]),
        lambda: bound_box(graph, *box, [y]),
        lambda: gradients(Builder(graph), y, [x]),
        lambda: to_onnx(graph),
    ):
        with pytest.raises(UnsupportedError, match=r"unknown function 'tan'.*cos, erf, exp"):
            meaning()


def test_the_registry_finds_files() -> None:
    assert all(isinstance(f, SmoothFunction) for f in registry().values())
    assert {f.name for f in registry().values() if f.exact is not None} == {"reciprocal", "square"}
