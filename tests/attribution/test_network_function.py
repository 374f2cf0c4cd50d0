"""The network as a function: what an attribution is built from, with a method of one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

import verifex
from tests.added.attributions.integrated_gradients import ATTRIBUTION, Options
from verifex.attribution import NetworkFunction
from verifex.errors import InputError
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense, reshape
from verifex.ir.ops import Concat, Relu, Step
from verifex.ir.problem import Problem
from verifex.metrics.topk import TopK
from verifex.problem.spec.build import explained_by, formula_of, prepare
from verifex.problem.spec.model import ExplainSpec, Spec
from verifex.semantics.evaluate import evaluate_exact, evaluate_float

F = Fraction
STEPS = 8


class Net(NamedTuple):
    """W2 relu(W1 x + b1) with weights in sixteenths, and its gradient by the chain rule."""

    w1: Any
    b1: Any
    w2: Any

    @staticmethod
    def random(rng: np.random.Generator, inputs: int = 3, hidden: int = 4) -> Net:
        def draw(*shape: int) -> Any:
            return rng.integers(-32, 33, shape) / 16

        # Points are in 256ths: with 2^-10 in b1 no pre-activation is zero.
        return Net(draw(hidden, inputs), draw(hidden) + 1 / 1024, draw(1, hidden))

    def gradient(self, x: Sequence[Fraction]) -> list[Fraction]:
        w1, b1, w2 = (np.vectorize(F, otypes=[object])(v) for v in self)
        active = (w1 @ np.array(x, dtype=object) + b1 > 0).astype(object)
        return list((w2[0] * active) @ w1)

    def integrated(self, x: Sequence[Fraction]) -> list[Fraction]:
        """Integrated gradients from zero by the midpoint rule."""
        way = [self.gradient([F(2 * j + 1, 2 * STEPS) * v for v in x]) for j in range(STEPS)]
        return [v * sum(g[i] for g in way) / STEPS for i, v in enumerate(x)]

    def graph(self) -> Graph:
        b = Builder()
        x = b.input("x", (self.w1.shape[1],))
        hidden = b.relu(b.affine(dense(self.w1), x, self.b1))
        return b.build({"y": b.affine(dense(self.w2), hidden)})


def function_of(graph: Graph) -> NetworkFunction:
    b = Builder(graph)
    return NetworkFunction(b, graph.outputs["y"], graph.inputs)


# --- a method of one file -----------------------------------------------------------------------


def test_integrated_gradients_are_exact() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        net = Net.random(rng)
        network = function_of(net.graph())
        (node,) = ATTRIBUTION.build(network, Options())
        graph = network.builder.build()
        for _ in range(5):
            x = [F(int(v), 16) for v in rng.integers(-16, 17, 3)]
            assert evaluate_exact(graph, x, [node])[node].fractions() == net.integrated(x)


def test_integrated_gradients_of_a_smooth_network() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    w1, w2 = rng.normal(size=(6, 5)), rng.normal(size=(1, 6))
    b = Builder()
    left, right = b.input("left", (2,)), b.input("right", (1, 3))
    both = b.add(Concat(0), left, b.affine(reshape((1, 3), (3,)), right))
    y = b.affine(dense(w2), b.univariate("tanh", b.affine(dense(w1), both)))
    network = NetworkFunction(b, y, (left, right))
    nodes = ATTRIBUTION.build(network, Options(steps=5))
    assert [b.shape(n) for n in nodes] == [(2,), (1, 3)]
    xs = rng.normal(size=(4, 5))
    found = evaluate_float(b.build({"y": y}), xs, nodes)
    ours = np.concatenate([found[n].reshape(4, -1) for n in nodes], axis=1)
    for x, mine in zip(xs, ours, strict=True):
        total = np.zeros(5)
        for j in range(5):
            t = torch.tensor(x * (j + 0.5) / 5, requires_grad=True)
            (torch.tensor(w2) @ torch.tanh(torch.tensor(w1) @ t)).sum().backward()
            total += t.grad.numpy()
        np.testing.assert_allclose(mine, x * total / 5, rtol=1e-12, atol=1e-12)


def top_1(net: Net, x0: list[Fraction], radius: Fraction) -> Problem:
    """The claim that the largest component of integrated gradients stays the largest."""
    explain = ExplainSpec(attribution="gradient", output="logit:0")
    spec = Spec(input={"point": x0}, region={"linf": radius}, network_output="y")
    prepared = prepare(net.graph(), spec, None)  # type: ignore[arg-type]  # it names no files
    setting = explained_by(ATTRIBUTION, prepared.setting, explain)
    require = formula_of(TopK(top_k=1), setting, "require[0]")
    return replace(prepared, setting=setting).problem(require)


def test_a_claim_about_integrated_gradients_is_decided() -> None:
    """Near x0 the search proves what a grid of exact values confirms; farther off it is refuted."""
    rng = np.random.default_rng(11)
    outcomes = []
    while len(outcomes) < 6:
        net, x0 = Net.random(rng), [F(int(v), 16) for v in rng.integers(4, 17, 3)]
        base = net.integrated(x0)
        first = max(range(3), key=base.__getitem__)
        if sorted(base)[1] == base[first]:
            continue
        radius = F(1, 64) if len(outcomes) % 2 else F(2)
        verdict = verifex.verify(None, top_1(net, x0, radius), seconds=20.0)
        grid = [[v + radius * d for v, d in zip(x0, step, strict=True)]
                for step in product((-1, F(-1, 3), F(1, 3), 1), repeat=3)]
        broken = [a for a in map(net.integrated, grid) if max(a) != a[first] or a.count(max(a)) > 1]
        outcomes.append(verdict.outcome.value)
        if verdict.outcome.value == "refuted":
            assert verdict.witness is not None
            a = net.integrated(verdict.witness.point)
            assert any(a[i] >= a[first] for i in range(3) if i != first)
        else:
            assert verdict.outcome.value == "claimed"  # the checker does not know this method
            assert not broken
    assert set(outcomes) == {"claimed", "refuted"}


# --- what it is made of ---------------------------------------------------------------------------


def count(builder: Builder, op: type) -> int:
    return sum(isinstance(n.op, op) for n in builder.build({"any": 0}).nodes)


def test_copies_share_what_they_can() -> None:
    """One copy of the units a point, however often it is asked for; what is fixed is there once."""
    network = function_of(Net.random(np.random.default_rng(0)).graph())
    b = network.builder
    assert count(b, Relu) == 1
    first = ATTRIBUTION.build(network, Options())
    assert (count(b, Relu), count(b, Step)) == (1, STEPS + 1)  # gradients need gates, not units
    size = len(b.build({"any": 0}).nodes)
    assert ATTRIBUTION.build(network, Options()) == first
    assert len(b.build({"any": 0}).nodes) == size
    assert network.at(network.inputs) == network.output
    assert network.gradient_at(network.inputs) == network.gradient
    halves = network.between(network.zeros(), network.inputs, F(1, 2))
    assert network.at(halves) == network.at(network.between(network.zeros(), [0], F(2, 4)))
    assert count(b, Relu) == 2


def test_what_does_not_depend_on_the_point_is_shared() -> None:
    b = Builder()
    x, other = b.input("x", (2,)), b.input("other", (2,))
    fixed = b.relu(b.scaled(other, 3))
    y = b.affine(dense([[1.0, 1.0]]), b.sum([b.relu(x), fixed]))
    network = NetworkFunction(b, y, (x,))
    network.at(network.zeros())
    assert count(b, Relu) == 3  # of x, of what is fixed, of zero


def test_gradients_at_constants_and_at_equal_points() -> None:
    """Where a copy would fold, or merge two inputs, the gradient is that of the original."""
    rng = np.random.default_rng(2)
    w = rng.integers(-32, 33, (4, 4)) / 16
    b = Builder()
    left, right = b.input("left", (2,)), b.input("right", (2,))
    z = b.affine(dense(w), b.add(Concat(0), left, right), np.full(4, 1 / 1024))
    network = NetworkFunction(b, b.affine(dense(np.ones((1, 4))), b.relu(z)), (left, right))
    point = [F(1, 2), F(-1, 4), F(3), F(1)]
    net = Net(w, np.full(4, 1 / 1024), np.ones((1, 4)))
    at_point = network.gradient_at(network.constant(point))
    twice = network.gradient_at([left, left])
    graph = b.build({"y": network.output})
    found = evaluate_exact(graph, [F(7), F(8), F(9), F(1)], [*at_point, *twice])
    values = [v for n in at_point for v in found[n].fractions()]
    assert values == net.gradient(point)
    doubled = [v for n in twice for v in found[n].fractions()]
    assert doubled == net.gradient([F(7), F(8), F(7), F(8)])


def test_layers_are_copied_too() -> None:
    net = Net.random(np.random.default_rng(9))
    network = function_of(net.graph())
    hidden = next(i for i, n in enumerate(network.builder.build({"any": 0}).nodes)
                  if isinstance(n.op, Relu))
    point = [F(1), F(-1), F(1, 2)]
    (copy,) = network.copy([hidden], network.constant(point))
    graph = network.builder.build()
    found = evaluate_exact(graph, [F(0)] * 3, [copy])[copy]
    assert found.fractions() == evaluate_exact(graph, point, [hidden])[hidden].fractions()


def test_the_reference_is_needed_by_name() -> None:
    network = function_of(Net.random(np.random.default_rng(9)).graph())
    with pytest.raises(InputError, match="a reference point is needed"):
        network.reference()
    known = replace(network, point=(F(1), F(2), F(1, 3)))
    (node,) = known.reference()
    values = evaluate_exact(known.builder.build(), [F(0)] * 3, [node])[node]
    assert values.fractions() == [F(1), F(2), F(1, 3)]


@pytest.mark.parametrize(("what", "text"), [
    (lambda n: n.at([]), "0 inputs, expected 1"),
    (lambda n: n.at([n.output]), r"shape \[1\], expected \[3\]"),
    (lambda n: n.constant([F(1)]), "1 numbers, expected 3"),
])
def test_what_does_not_fit_is_named(what: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        what(function_of(Net.random(np.random.default_rng(9)).graph()))
