"""Forms over boxes cut by balls: bounds that no point undercuts, tight, and the checker's."""

from __future__ import annotations

import math
import random
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import checker_parts as checker
from verifex.engine.bounds.single_lp import LeafSolver
from verifex.ir.region import Ball, Region
from verifex.semantics.linear import concretise, minimisers
from verifex.semantics.support.balls import (
    FloatBall,
    cut,
    drawn,
    float_balls,
    inside,
    misses,
    tangents,
)

NORMS = ("l1", "l2")


def random_case(seed: int, norm: str) -> tuple[Region, list[F]]:
    """A box cut by a ball, centre inside or outside, and the coefficients of a form."""
    rng = random.Random(f"{norm} {seed}")
    n = rng.randint(1, 7)
    grid = rng.choice((8, 15, 64))

    def number(low: int = -3, high: int = 3) -> F:
        return F(rng.randint(low * grid, high * grid), grid)

    centre = [number() for _ in range(n)]
    radius = number(0, 4)
    far = rng.random() < 0.4  # boxes that do not contain the centre
    lo, hi = [], []
    for c in centre:
        ends = sorted(number() if far else c + s * number(0, 2) for s in (-1, 1))
        lo.append(max(ends[0], c - radius))
        hi.append(max(lo[-1], min(ends[1], c + radius)))
    index = tuple(sorted(rng.sample(range(n), rng.randint(1, n))))
    ball = Ball(norm, index, tuple(centre[i] for i in index), radius)
    coefs = [number() if rng.random() < 0.8 else F(0) for _ in range(n)]
    return Region(tuple(lo), tuple(hi), balls=(ball,)), coefs


def members(region: Region, rng: random.Random, count: int) -> list[list[F]]:
    """Exact points of the region: random ones and corners, drawn to the nearest point of the box
    until they lie in the ball; the rim is reached within 2**-30."""
    (ball,) = region.balls
    near = [min(max(ball.center[ball.indices.index(i)], a), b) if i in ball.indices else a
            for i, (a, b) in enumerate(zip(region.lo, region.hi, strict=True))]
    if not region.contains(near):
        return []
    out = [near]
    for _ in range(count):
        corner = rng.random() < 0.7
        x = [rng.choice((a, b)) if corner else a + (b - a) * F(rng.randint(0, 64), 64)
             for a, b in zip(region.lo, region.hi, strict=True)]
        low, high = F(0), F(1)
        if not region.contains(x):
            for _ in range(30):
                middle = (low + high) / 2
                at = [p + middle * (v - p) for p, v in zip(near, x, strict=True)]
                low, high = (middle, high) if region.contains(at) else (low, middle)
            x = [p + low * (v - p) for p, v in zip(near, x, strict=True)]
        out.append(x)
    return out


def value(coefs: list[F], x: list[F]) -> F:
    return sum((c * v for c, v in zip(coefs, x, strict=True)), F(0))


def domain(region: Region, coefs: list[F]) -> tuple[Any, list[Any], Any]:
    """The checker's domain for a region, the form in its units, and what one unit is."""
    graph = checker.NetworkGraph()
    x = graph.node("I", (), region.size, 0, "x")
    odd = math.lcm(*(v.denominator for v in (*region.lo, *region.hi)))
    odd >>= (odd & -odd).bit_length() - 1
    unit = odd << checker.E
    balls = []
    for ball in region.balls:
        at = {(x, i): c * unit for i, c in zip(ball.indices, ball.center, strict=True)}
        room = math.ceil(ball.radius * unit + sum(v % 1 for v in at.values()))
        balls.append((int(ball.norm[1:]), room, {k: v // 1 for k, v in at.items()}))
    scale = checker.Scale(graph, unit, odd, checker.E, False, {}, {}, balls)
    box = ([math.floor(v * unit) for v in region.lo], [math.ceil(v * unit) for v in region.hi])
    terms = [(x, i, math.floor(c * 2**checker.F)) for i, c in enumerate(coefs)]
    return checker.SubRegion(scale, box), terms, unit << checker.F


def checked(region: Region, coefs: list[F]) -> F | None:
    """The checker's bound of the form; None where it finds no point."""
    found, terms, unit = domain(region, coefs)
    try:
        return F(found.lower(terms, {}), unit)
    except checker.Empty:
        return None


def engine(region: Region, coefs: list[F]) -> float:
    """The engine's bound of the form; inf where it finds no point."""
    c, lo, hi = (torch.tensor([[float(v) for v in side]], dtype=torch.float64)
                 for side in (coefs, region.lo, region.hi))
    return float(concretise(c, torch.zeros(1).double(), lo, hi, float_balls(region))[0])


@pytest.mark.parametrize("norm", NORMS)
def test_no_point_lies_below_either_bound(norm: str) -> None:
    cuts = 0
    for seed in range(150):
        region, coefs = random_case(seed, norm)
        # The checker takes coefficients in multiples of 2^-64.
        coefs = [F(math.floor(c * 2**checker.F), 2**checker.F) for c in coefs]
        exact, near = checked(region, coefs), engine(region, coefs)
        points = members(region, random.Random(seed), 40)
        if exact is None:
            assert not points, seed
            continue
        box = sum((c * (a if c > 0 else b) for c, a, b in
                   zip(coefs, region.lo, region.hi, strict=True)), F(0))
        assert exact >= box - F(1, 2**40)
        cuts += exact > box + F(1, 100)
        for x in points:
            assert value(coefs, x) >= exact, seed
            assert float(value(coefs, x)) >= near - 1e-9, seed
    assert cuts > 20


@pytest.mark.parametrize("norm", NORMS)
def test_the_checker_repeats_the_engine(norm: str) -> None:
    empty = 0
    for seed in range(300, 700):
        region, coefs = random_case(seed, norm)
        exact, near = checked(region, coefs), engine(region, coefs)
        (ball,) = region.balls
        gap = _distance(region, ball) - float(ball.radius)
        if exact is None or near == math.inf or abs(gap) < 1e-9:
            empty += gap >= 1e-9  # they differ, if at all, on boxes that touch the ball
            assert abs(gap) < 1e-9 or (exact is None and near == math.inf), seed
            continue
        assert float(exact) == pytest.approx(near, abs=1e-9), seed
    assert empty > 5


def _distance(region: Region, ball: Ball) -> float:
    gaps = [float(max(region.lo[i] - c, c - region.hi[i], F(0)))
            for i, c in zip(ball.indices, ball.center, strict=True)]
    return sum(gaps) if ball.norm == "l1" else math.sqrt(sum(g * g for g in gaps))


def test_l1_bounds_are_the_exact_minima() -> None:
    """A linear program says the same: the ball as its facets."""
    solver = LeafSolver()
    for seed in range(700, 900):
        region, coefs = random_case(seed, "l1")
        (ball,) = region.balls
        k, n = len(ball.indices), region.size
        signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * k)).reshape(k, -1).T
        a = np.zeros((len(signs), n))
        a[:, ball.indices] = -signs
        b = -float(ball.radius) - signs @ np.array([float(c) for c in ball.center])
        lo, hi = (np.array([float(v) for v in side]) for side in (region.lo, region.hi))
        answer = solver.minimise(np.array([float(c) for c in coefs]), 0.0, a, b, lo, hi)
        near = engine(region, coefs)
        if answer.value is None or near == math.inf:
            assert _distance(region, ball) > float(ball.radius) - 1e-6
        else:
            assert near == pytest.approx(answer.value, abs=1e-6), seed


def test_l2_bounds_are_attained_where_the_centre_lies_in_the_box() -> None:
    tight = 0
    for seed in range(900, 1200):
        region, coefs = random_case(seed, "l2")
        balls = float_balls(region)
        lo, hi = (np.array([[float(v) for v in side]]) for side in (region.lo, region.hi))
        i = balls[0].index
        if misses(balls, lo, hi)[0] or not (
            (lo[0, i] <= balls[0].centre) & (balls[0].centre <= hi[0, i])).all():
            continue
        c = np.array([[float(v) for v in coefs]])
        x = cut(balls, c, lo, hi).x
        assert inside(balls, x)[0], seed
        assert float(c[0] @ x[0]) == pytest.approx(engine(region, coefs), abs=1e-7), seed
        tight += 1
    assert tight > 100


def test_an_l2_ball_outside_of_the_box_still_cuts() -> None:
    """[.6, .8]^2 in the unit circle: x + y is at most sqrt 2, not 1.6."""
    region = Region((F(3, 5),) * 2, (F(4, 5),) * 2,
                    balls=(Ball("l2", (0, 1), (F(0), F(0)), F(1)),))
    exact = checked(region, [F(-1), F(-1)])
    assert exact is not None
    assert float(exact) == pytest.approx(-math.sqrt(2), abs=1e-9)
    assert F(exact) ** 2 >= 2  # a bound, not a value below it


def test_the_best_of_two_balls_counts() -> None:
    balls = (Ball("l1", (0, 1), (F(0), F(0)), F(1)), Ball("l2", (0, 1), (F(0), F(0)), F(9, 10)))
    region = Region((F(-1),) * 2, (F(1),) * 2, balls=balls)
    assert engine(region, [F(1), F(1)]) == pytest.approx(-1.0)
    assert engine(region, [F(1), F(0)]) == pytest.approx(-0.9)
    assert checked(region, [F(1), F(1)]) == -1


def test_balls_of_radius_zero_are_points() -> None:
    for norm in NORMS:
        ball = Ball(norm, (0, 1), (F(1, 3), F(1)), F(0))
        region = Region((F(1, 3), F(1)), (F(1, 3), F(1)), balls=(ball,))
        assert checked(region, [F(3), F(-1)]) == 0


def test_boxes_that_miss_a_ball_have_no_points() -> None:
    ball = FloatBall("l2", np.array([0, 1]), np.zeros(2), 1.0)
    lo, hi = np.array([[0.8, 0.8], [0.7, 0.7]]), np.full((2, 2), 1.0)
    assert misses([ball], lo, hi).tolist() == [True, False]
    found = cut([ball], np.ones((2, 2)), lo, hi)
    assert found.gain.tolist() == [np.inf, 0.0]


def test_points_drawn_into_balls_and_tangents() -> None:
    rng = np.random.default_rng(0)
    balls = [FloatBall("l1", np.array([0, 2]), np.array([0.5, -1.0]), 0.75),
             FloatBall("l2", np.array([0, 1, 2]), np.array([0.5, 0.0, -1.0]), 1.0)]
    x = rng.normal(size=(200, 3)) * 2
    members_ = drawn(balls, x)
    assert inside(balls, members_).all()
    a, b = tangents(balls, x)
    assert (np.einsum("rkn,mn->rkm", a, members_) >= b[:, :, None] - 1e-9).all()
    out = ~inside(balls, x)
    assert (np.einsum("rkn,rn->rk", a, x) < b)[out].any(axis=1).all()


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_are_those_of_the_minimum(norm: str) -> None:
    rng = np.random.default_rng(1)
    ball = FloatBall(norm, np.arange(5), rng.normal(size=5), 0.8)
    lo = torch.from_numpy(np.tile(ball.centre - 0.5, (20, 1)))
    hi, zero = lo + 1.0, torch.zeros(20).double()
    c = torch.from_numpy(rng.normal(size=(20, 5))).requires_grad_()
    least = concretise(c, zero, lo, hi, [ball])
    (slope,) = torch.autograd.grad(least.sum(), c)
    assert torch.allclose(slope, minimisers(c.detach(), lo, hi, [ball]), atol=1e-8)
    step = 1e-6 * torch.from_numpy(rng.normal(size=(20, 5)))
    moved = concretise(c.detach() + step, zero, lo, hi, [ball])
    assert torch.allclose(moved, least + (slope * step).sum(dim=1), atol=1e-9)


def test_any_shares_are_sound() -> None:
    """Spoiled shares make a bound of the checker weaker, never wrong."""
    rng, original = random.Random(3), checker.shares

    def spoiled(power: int, radius: int, left: int, rows: Any) -> Any:
        for es in original(power, radius, left, rows):
            yield [e + rng.randint(-(2**66), 2**66) for e in es]

    for seed in range(200):
        region, coefs = random_case(seed, NORMS[seed % 2])
        best = checked(region, coefs)
        checker.shares = spoiled
        try:
            found = checked(region, coefs)
        finally:
            checker.shares = original
        assert (found is None) == (best is None)
        for x in members(region, random.Random(seed), 20):
            assert found is not None
            assert value(coefs, x) >= found - F(1, 2**50), seed
