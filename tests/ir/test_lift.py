"""Constants as inputs: the same values, the same function where they move, claims about both."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import verifex
from verifex.engine.verdict import Outcome
from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import Atom, Form, Formula
from verifex.ir.graph import Builder, Graph
from verifex.ir.lift import ConstantPart, ConstantPlace, Lifted, constants, lift, value_of
from verifex.ir.linmap import Conv, Diag, dense
from verifex.ir.ops import Affine
from verifex.ir.problem import Problem
from verifex.ir.region import Ball, LinearRow, Region, joined
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.interval import bound_box
from verifex.semantics.vjp import gradients

F = Fraction
BIAS, WEIGHT, VALUE = ConstantPart.BIAS, ConstantPart.WEIGHT, ConstantPart.VALUE


class Net:
    """W2 relu(W1 x + b1) + b2 in eighths; with W2 >= 0 it is convex in x, b1 and b2 together."""

    def __init__(self, seed: int, inputs: int = 2, hidden: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.w1 = rng.integers(-16, 17, (hidden, inputs)) / 8
        self.b1 = rng.integers(-8, 9, hidden) / 8
        self.w2 = rng.integers(1, 17, (1, hidden)) / 8
        self.b2 = rng.integers(-8, 9, 1) / 8

    def graph(self) -> Graph:
        b = Builder()
        x = b.input("x", (self.w1.shape[1],))
        z = b.affine(dense(self.w1), x, self.b1, label="fc1")
        return b.build({"y": b.affine(dense(self.w2), b.relu(z), self.b2, label="fc2")})

    def value(self, x: list[Fraction], b1: list[Fraction], b2: list[Fraction]) -> Fraction:
        w1, w2 = (np.vectorize(F, otypes=[object])(v) for v in (self.w1, self.w2))
        hidden = np.maximum(w1 @ np.array(x, dtype=object) + np.array(b1, dtype=object), 0)
        return F((w2 @ hidden)[0] + b2[0])


def output(graph: Graph, point: list[Fraction], name: str = "y") -> list[Fraction]:
    node = graph.outputs[name]
    return evaluate_exact(graph, point, [node])[node].fractions()


def mixed(seed: int) -> Graph:
    """A graph with every kind of constant: Const, Dense, Diag, convolution, biases."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> FloatArray:
        return rng.integers(-16, 17, shape) / 8

    b = Builder()
    x = b.input("x", (1, 1, 2, 2))
    conv = Conv((1, 1, 2, 2), (1, 2, 1, 1), draw(2, 1, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    h = b.relu(b.affine(conv, x, draw(1, 2, 1, 1), label="conv"))
    third = ExactArray.from_numbers([F(1, 3), F(-2, 7)], (1, 2, 1, 1))
    scaled = b.affine(Diag((1, 2, 1, 1), (1, 2, 1, 1), third), h, label="norm")
    both = b.add(Affine((dense(draw(3, 2), (1, 2, 1, 1)), dense(draw(3, 4), (1, 1, 2, 2))),
                        draw(3)), scaled, x)
    return b.build({"y": b.mul(both, b.const(draw(3), label="gain"))})


@pytest.mark.parametrize("seed", range(4))
def test_each_constant_at_its_value_changes_nothing(seed: int) -> None:
    graph, rng = mixed(seed), np.random.default_rng(seed)
    places = constants(graph)
    assert len(places) == 6
    for chosen in (*([p] for p in places), places):
        lifted = lift(graph, chosen)
        assert lifted.graph.input_size == graph.input_size + len(lifted.values)
        for _ in range(3):
            x = [F(int(v), 8) for v in rng.integers(-16, 17, graph.input_size)]
            assert output(lifted.graph, [*x, *lifted.values]) == output(graph, x)


def test_a_moved_constant_is_a_network_with_that_constant() -> None:
    net, rng = Net(3), np.random.default_rng(0)
    graph = net.graph()
    lifted = lift(graph, constants(graph))
    sizes = [as_size(graph, place) for place in constants(graph)]
    for _ in range(5):
        other = Net(int(rng.integers(100)))
        moved = {"fc1": (other.w1, other.b1), "fc2": (other.w2, other.b2)}
        flat = [F(v) for place in constants(graph)
                for v in moved[graph.labels[place.node]][place.part is BIAS].ravel().tolist()]
        assert len(flat) == sum(sizes)
        x = [F(int(v), 8) for v in rng.integers(-16, 17, 2)]
        assert output(lifted.graph, [*x, *flat]) == output(other.graph(), x)


def as_size(graph: Graph, place: ConstantPlace) -> int:
    return int(np.prod(value_of(graph, place).shape))


def test_names() -> None:
    graph = Net(0).graph()
    lifted = lift(graph, constants(graph))
    names = [lifted.graph.labels[i] for i in lifted.graph.inputs]
    assert names == ["x", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert lifted.graph.labels[lifted.graph.outputs["y"]] == "fc2"


# --- claims ---------------------------------------------------------------------------------------


def at_most(lifted: Lifted, limit: Fraction) -> Formula:
    return Atom(Form.of({(lifted.graph.outputs["y"], 0): -1}, limit))


def around(values: list[Fraction], radius: Fraction) -> Region:
    return Region(tuple(v - radius for v in values), tuple(v + radius for v in values))


@pytest.mark.parametrize("seed", range(3))
def test_claims_about_biases_that_move(seed: int) -> None:
    """The worst value is at a corner, since the network is convex in inputs and biases: a claim
    just above it holds, one just below it is refuted by a point that attains more."""
    net, eps = Net(seed), F(1, 16)
    graph = net.graph()
    places = [p for p in constants(graph) if p.part is BIAS]
    lifted = lift(graph, places)
    region = joined([around([F(0), F(0)], F(1, 2)), around(list(lifted.values), eps)])
    ends = list(product(*zip(region.lo, region.hi, strict=True)))
    worst = max(net.value(list(c[:2]), list(c[2:5]), list(c[5:])) for c in ends)
    fixed = max(net.value(list(c[:2]), [F(v) for v in net.b1], [F(net.b2[0])]) for c in ends)
    assert fixed < worst  # the biases matter
    lo, hi = region.float_box()
    y = lifted.graph.outputs["y"]
    low, high = bound_box(lifted.graph, lo, hi, [y])
    assert all(low[y][0] <= output(lifted.graph, list(c))[0] <= high[y][0] for c in ends)
    true = Problem(lifted.graph, region, at_most(lifted, worst + F(1, 1000)))
    assert verifex.verify(None, true, seconds=20.0).outcome is Outcome.CLAIMED
    limit = worst - F(1, 1000)
    lower = Problem(lifted.graph, region, at_most(lifted, limit))
    false = verifex.verify(None, lower, seconds=20.0)
    assert false.outcome is Outcome.REFUTED
    assert false.witness is not None
    point = list(false.witness.point)
    assert region.contains(point)
    assert net.value(point[:2], point[2:5], point[5:]) > limit


@pytest.mark.parametrize(("reach", "outcome"), [
    (F(1, 2), Outcome.CLAIMED), (F(3, 2), Outcome.REFUTED),
])
def test_claims_about_gradients_with_biases_that_move(reach: Fraction, outcome: Outcome) -> None:
    """The gradient of relu(x + b) is 1 wherever x + b > 0: for x in [1, 2] if b moves by less."""
    b = Builder()
    x = b.input("x", (1,))
    graph = b.build({"f": b.relu(b.affine(dense([[1.0]]), x, np.zeros(1)))})
    lifted = lift(graph, [ConstantPlace(1, BIAS)])
    grown = Builder(lifted.graph)
    (slope,) = gradients(grown, lifted.graph.outputs["f"], [lifted.graph.inputs[0]])
    region = joined([Region((F(1),), (F(2),)), around([F(0)], reach)])
    require = Atom(Form.of({(slope, 0): 1}, -1))
    verdict = verifex.verify(None, Problem(grown.build(), region, require), seconds=20.0)
    assert verdict.outcome is outcome


@pytest.mark.parametrize(("limit", "outcome"), [
    (F(2), Outcome.CLAIMED), (F(19, 10), Outcome.REFUTED),
])
def test_claims_about_a_weight_that_moves(limit: Fraction, outcome: Outcome) -> None:
    """w x for w in [1, 2] and x in [0, 1] is at most 2."""
    b = Builder()
    x = b.input("x", (1,))
    graph = b.build({"y": b.affine(dense([[1.5]]), x)})
    lifted = lift(graph, [ConstantPlace(1, WEIGHT)])
    region = joined([Region((F(0),), (F(1),)), around([F(3, 2)], F(1, 2))])
    problem = Problem(lifted.graph, region, at_most(lifted, limit))
    assert verifex.verify(None, problem, seconds=20.0).outcome is outcome


# --- refusals and regions -------------------------------------------------------------------------


def scaled() -> Graph:
    b = Builder()
    return b.build({"y": b.scaled(b.input("x", (1,)), 3)})


@pytest.mark.parametrize(("graph", "place", "error", "text"), [
    (lambda: mixed(0), ConstantPlace(1, WEIGHT), UnsupportedError, "Conv as a moving weight"),
    (scaled, ConstantPlace(1, WEIGHT), UnsupportedError, "Scaled as a moving weight"),
    (scaled, ConstantPlace(1, BIAS), InputError, "no bias there"),
    (scaled, ConstantPlace(0, VALUE), InputError, "no value there"),
    (scaled, ConstantPlace(1, WEIGHT, 1), InputError, "no weight there"),
    (scaled, ConstantPlace(7, VALUE), InputError, "no node 7, expected 0..1"),
])
def test_what_cannot_move_is_named(
    graph: Callable[[], Graph], place: ConstantPlace, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        lift(graph(), [place])


def test_a_constant_moves_once() -> None:
    place = ConstantPlace(1, BIAS)
    with pytest.raises(InputError, match="twice"):
        lift(Net(0).graph(), [place, place])


def test_joined_regions_hold_what_each_holds() -> None:
    box = Region((F(0), F(0)), (F(1), F(4)), (LinearRow({0: F(1), 1: F(2)}, F(5)),),
                 (Ball("l1", (0, 1), (F(0), F(1)), F(2)),), frozenset({1}))
    hot = Region((F(0), F(0)), (F(1), F(1)), one_hot=((0, 1),))
    both = joined([hot, box])
    values = [F(0), F(1, 2), F(1), F(2)]
    for point in product(values, repeat=4):
        apart = hot.contains(point[:2]) and box.contains(point[2:])
        assert both.contains(point) == apart
    assert joined([box]) == box
