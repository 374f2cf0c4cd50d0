"""What cannot take symbols computes the formulas that are proved: the engine's rules in torch and
numpy, and the checker's products on a grid that is no power of two. Numbers are drawn so that
floats are exact.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.rules.whole_number_rules import ARGUMENT, NODE, Recorded
from verifex.certificate.checker.bounds import planes
from verifex.certificate.checker.bounds.planes import Plane
from verifex.certificate.checker.bounds.whole_numbers import choose
from verifex.certificate.checker.graph.network_graph import GATE, PRODUCT
from verifex.certificate.checker.proof.checker import Checker
from verifex.engine.bounds.root import _outward
from verifex.ir.graph import Builder, Graph
from verifex.ir.ops import Mul
from verifex.semantics.interval import Interval, interval
from verifex.semantics.linear import Rows, concretise, substitute
from verifex.semantics.parameters import Parameter, ParameterKind
from verifex.semantics.support.outward import square
from verifex.semantics.torch_backend import TorchBackend

TIMES = 200
ZERO, ONE = Fraction(0), Fraction(1)
Bounds = tuple[Fraction, Fraction]
FREE = (ParameterKind.ALPHA, ParameterKind.TIE, ParameterKind.MIX_BELOW, ParameterKind.MIX_ABOVE)


def eighth(draw: random.Random, low: int = -32, high: int = 32) -> Fraction:
    return Fraction(draw.randint(low, high), 8)


def open_bounds(draw: random.Random) -> Bounds:
    """low < 0 < high, each a power of two away from 0 and from the other: quotients are exact."""
    width = draw.choice([1, 2, 4])
    return (Fraction(-width, 2), Fraction(width, 2)) if draw.random() < .5 else (
        Fraction(-width), Fraction(width))


def bounds(draw: random.Random) -> Bounds:
    low = eighth(draw)
    return low, low + draw.choice([1, 2, 4])


def substituted(
    graph: Graph, node: int, c: Fraction, known: Mapping[int, Bounds],
    share: Fraction, beta: tuple[int, int, Fraction] | None = None,
) -> tuple[list[Fraction], Fraction]:
    """What `substitute` makes of c times a node of one element: coefficients, and a constant.

    `share` is every free fraction, `beta` a split: its node, its side, its multiplier.
    """
    def tensor(value: Any) -> torch.Tensor:
        return torch.tensor([[float(value)]], dtype=torch.float64)

    params = {Parameter(kind, i): tensor(share) for i in range(len(graph.nodes)) for kind in FREE}
    split = {}
    if beta is not None:
        z, side, weight = beta
        split[z], params[Parameter(ParameterKind.BETA, z)] = tensor(side), tensor(weight)
    rows = Rows(
        {i: tensor(low) for i, (low, _) in known.items()},
        {i: tensor(high) for i, (_, high) in known.items()},
        torch.zeros(1, dtype=torch.long), split)
    coefs, const = substitute(
        graph, rows, {node: tensor(c)}, params, TorchBackend(torch.float64, "cpu"))
    return [Fraction(v) for v in coefs[0].tolist()], Fraction(float(const[0]))


def one_input(add: Callable[[Builder, int], int]) -> tuple[Graph, int]:
    builder = Builder()
    node = add(builder, builder.input("x", (1,)))
    return builder.build({"y": node}), node


def test_the_engines_relu_is_the_proved_one() -> None:
    draw, (graph, node) = random.Random(1), one_input(Builder.relu)
    for _ in range(TIMES):
        c, alpha, (low, high) = eighth(draw), Fraction(draw.randint(0, 8), 8), open_bounds(draw)
        line = (planes.Line(planes.relu_below(c, alpha), ZERO) if c >= 0
                else planes.relu_chord(c, low, high, 1 / (high - low)))
        assert substituted(graph, node, c, {0: (low, high)}, alpha) == ([line.slope], line.constant)


@pytest.mark.parametrize("with_relu", [False, True])
def test_the_engines_gate_of_a_relu_is_the_proved_one(with_relu: bool) -> None:
    draw, builder = random.Random(2), Builder()
    z = builder.input("x", (1,))
    if with_relu:
        builder.relu(z)
    step = builder.step(z)
    graph = builder.build({"s": step})
    for _ in range(TIMES):
        c, tie, (low, high) = eighth(draw), Fraction(draw.randint(0, 8), 8), open_bounds(draw)
        known = {z: (low, high), 1: (ZERO, high), step: (ZERO, ONE)}
        found = substituted(graph, step, c, known, tie)
        if c >= 0:
            plane = Plane(ZERO, planes.step_below(c, tie, 1 / high), ZERO)
            plane = plane if with_relu else Plane(plane.second, ZERO, ZERO)
        else:
            plane = planes.step_above(c, tie, 1 / -low)
        # What is given to the relu goes on to z by the relu's own plane.
        slope = plane.first + (planes.relu_below(plane.second, tie) if with_relu else ZERO)
        assert found == ([slope], plane.constant)


@pytest.mark.parametrize("kind", [GATE, PRODUCT])
def test_the_engines_products_are_the_proved_ones(kind: str) -> None:
    draw, builder = random.Random(3), Builder()
    first, value = builder.input("u", (1,)), builder.input("v", (1,))
    gate = builder.step(first) if kind == GATE else first
    node = builder.gate(gate, value) if kind == GATE else builder.mul(first, value)
    graph = builder.build({"w": node})
    for _ in range(TIMES):
        c, mix = eighth(draw), Fraction(draw.randint(0, 8), 8)
        u, v = bounds(draw), bounds(draw)
        if kind == PRODUCT:
            below = planes.product_below if c >= 0 else planes.product_above
            found = substituted(graph, node, c, {first: u, value: v}, mix)
            plane = below(c, mix, u, v)
            assert found == ([plane.first, plane.second], plane.constant)
            continue
        low, high = open_bounds(draw)
        known = {first: (low, high), gate: (ZERO, ONE), value: v}
        plane = (planes.gate_below if c >= 0 else planes.gate_above)(c, mix, *v)
        (of_z, of_v), constant = substituted(graph, node, c, known, mix)
        tied = (planes.Line(planes.step_below(plane.first, mix, 1 / high), ZERO)
                if plane.first >= 0 else planes.step_above(plane.first, mix, 1 / -low))
        assert (of_z, of_v) == (tied[0], plane.second)
        assert constant == plane.constant + tied.constant


def test_the_engines_square_is_the_proved_one() -> None:
    draw, (graph, node) = random.Random(4), one_input(lambda b, x: b.mul(x, x))
    for _ in range(TIMES):
        c, share, (low, high) = eighth(draw), Fraction(draw.randint(0, 8), 8), bounds(draw)
        line = (planes.square_below(c, low + share * (high - low)) if c >= 0
                else planes.square_chord(c, low, high))
        assert substituted(graph, node, c, {0: (low, high)}, share) == (
            [line.slope], line.constant)


@pytest.mark.parametrize("side", [1, -1])
def test_the_engines_multipliers_of_splits_are_the_proved_ones(side: int) -> None:
    draw, (graph, node) = random.Random(5), one_input(Builder.relu)
    for _ in range(TIMES):
        c, alpha, weight = eighth(draw, 0), Fraction(draw.randint(0, 8), 8), eighth(draw, 0)
        added = planes.constraint(weight, side, ZERO)
        (slope,), constant = substituted(
            graph, node, c, {0: open_bounds(draw)}, alpha, (0, side, weight))
        assert slope == planes.relu_below(c, alpha) + added.slope
        assert constant == added.constant


def test_the_engine_takes_the_lower_end_where_a_coefficient_is_above_zero() -> None:
    draw = random.Random(6)
    for _ in range(TIMES):
        c, constant, (low, high) = eighth(draw), eighth(draw), bounds(draw)
        terms = (torch.tensor([[float(v)]], dtype=torch.float64) for v in (c, low, high))
        coefs, lo, hi = terms
        least = concretise(coefs, torch.tensor([float(constant)], dtype=torch.float64), lo, hi)
        assert Fraction(float(least[0])) == constant + min(c * low, c * high)


def test_the_engines_product_intervals_hold_the_four_products() -> None:
    draw = random.Random(7)
    for _ in range(TIMES):
        first, second = (sorted(draw.uniform(-2, 2) for _ in range(2)) for _ in range(2))
        boxes = [Interval(np.array([low]), np.array([high])) for low, high in (first, second)]
        found = interval[Mul()](Mul(), *boxes)
        ends = [Fraction(a) * Fraction(b) for a, b in product(first, second)]
        assert Fraction(found.lo[0]) <= min(ends)
        assert max(ends) <= Fraction(found.hi[0])
        low, high = map(Fraction, first)
        itself = square(boxes[0])
        least = ZERO if low <= 0 <= high else min(low * low, high * high)
        assert Fraction(itself.lo[0]) <= least
        assert max(low * low, high * high) <= Fraction(itself.hi[0])


def test_facts_of_the_engine_are_rounded_down() -> None:
    draw = random.Random(8)
    for _ in range(TIMES):
        bound = draw.uniform(-1, 1) * 10.0 ** draw.randint(-12, 12)
        assert _outward(bound) < bound


@pytest.mark.parametrize("kind", [GATE, PRODUCT, "square"])
def test_products_on_any_grid_are_below(kind: str) -> None:
    """In `whole_number_rules` the odd part of the grid is 1; here it is not."""
    draw = random.Random(9)
    for _ in range(10 * TIMES):
        odd, bits, whole = draw.choice([1, 3, 5, 15]), draw.randint(0, 3), 8
        unit, c, share = odd << bits, draw.randint(-20, 20), draw.randint(0, whole)
        v_low, v_high = sorted(draw.randint(-40, 40) for _ in range(2))
        u_low, u_high = (0, unit) if kind == GATE else sorted(
            draw.randint(-40, 40) for _ in range(2))
        if kind == "square":
            u_low, u_high = v_low, v_high
        box: Any = {ARGUMENT: (v_low, v_high)}
        code = Recorded(box, share, whole, unit)  # type: ignore[arg-type]
        code.grid.odd, code.grid.bits = odd, bits
        if kind == "square":
            code._square(NODE, ARGUMENT, [c])
            first, second = 0, code.coefficients[ARGUMENT][0]
        else:
            first, second = code._mixed(kind, c, share, (u_low, u_high, v_low, v_high))
        for u, v in product((u_low, u_high), (v_low, v_high, (v_low + v_high) // 2)):
            u = v if kind == "square" else u
            assert c * u * v >= unit * (first * u + second * v + code.constant)


def test_one_hot_groups_lose_no_point() -> None:
    """Three members, each end one of five: all boxes."""
    values = [Fraction(v, 2) for v in range(-1, 4)]
    sides = [(a, b) for a in values for b in values if a <= b]
    points = [tuple(ONE if i == k else ZERO for i in range(3)) for k in range(3)]
    for box in product(sides, repeat=3):
        low, high = [a for a, _ in box], [b for _, b in box]
        inside = [p for p in points if all(
            a <= v <= b for v, (a, b) in zip(p, box, strict=True))]
        if not choose(low, high, [[0, 1, 2]]):
            assert not inside
            continue
        for point in inside:
            assert all(a <= v <= b for a, v, b in zip(low, point, high, strict=True))


@pytest.mark.parametrize(
    ("kind", "entry", "parts"),
    [
        ("input", [1, "1/3"], [(1, 1, Fraction(1, 3)), (1, -1, Fraction(1, 3))]),
        ("whole", [1, "2"], [(1, 1, Fraction(3)), (1, -1, Fraction(2))]),
    ],
)
def test_children_of_a_split_are_those_that_cover(
    kind: str, entry: list[Any], parts: list[tuple[int, int, Fraction]]
) -> None:
    checker: Any = SimpleNamespace(claim=SimpleNamespace(size=2, region=SimpleNamespace(whole={1})))
    domain: Any = SimpleNamespace(cut=lambda *arguments: arguments)
    children: Any = Checker._children(checker, kind, entry, domain)
    assert [child() for child in children] == parts
