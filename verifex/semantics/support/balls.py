"""Least values of linear forms over a box cut by a norm ball, in floating point (batched).

A form c . x is split: the shares e of its coefficients are bounded over the ball (Hoelder:
e . x >= e . centre - radius |e|*), the others over the box. Any shares give a valid bound. Those
chosen here are the checker's (certificate/format.md, section 5) but for rounding: in the norm l1
they are optimal (a fractional knapsack); in l2 too once Newton's method has found the multiplier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.region import Region

ROUNDS = 16
_SURE = 1e-12
"""A box misses a ball by so much, relative to the sizes involved, before it is called empty."""


@dataclass(frozen=True)
class FloatBall:
    """`norm(x[index] - centre) <= radius`; the radius is rounded up and makes up for the centre."""

    norm: str
    index: NDArray[np.intp]
    centre: FloatArray
    radius: float

    def distance(self, points: FloatArray) -> FloatArray:
        """Distances (R,) of points (R, n) from the centre."""
        away = points[:, self.index] - self.centre
        out: FloatArray = np.linalg.norm(away, ord=int(self.norm[1:]), axis=1)
        return out


@dataclass(frozen=True)
class BallCut:
    """What balls do to forms over boxes, all for R rows.

    `gain` is what the best ball adds to the bound over the box (inf where the box misses a ball),
    `x` (R, n) where the form is least, `slack` the size of what was rounded.
    """

    gain: FloatArray
    x: FloatArray
    slack: FloatArray


def float_balls(region: Region) -> tuple[FloatBall, ...]:
    """A region's balls in floats, each containing the exact one."""
    out = []
    for ball in region.balls:
        if not ball.indices:  # nothing moves: it says nothing
            continue
        lo, hi = ExactArray.from_numbers(ball.center).float_bounds()
        _, (radius,) = ExactArray.from_numbers([ball.radius]).float_bounds()
        # Sound: the centre is off by at most hi - lo in each coordinate.
        radius = np.nextafter(radius + 2.0 * float((hi - lo).sum()), np.inf)
        index = np.array(ball.indices, dtype=np.intp)
        out.append(FloatBall(ball.norm, index, np.asarray(lo), float(radius)))
    return tuple(out)


def cut(balls: Sequence[FloatBall], coefs: FloatArray, lo: FloatArray, hi: FloatArray) -> BallCut:
    """How the balls raise the least values of forms (R, n) over boxes lo <= x <= hi, (R, n)."""
    # Without a ball the least value lies at a corner of the box.
    x = np.where(coefs >= 0, lo, hi)
    gain, slack = np.zeros(len(coefs)), np.zeros(len(coefs))
    for ball in balls:
        i = ball.index
        c, low, high = coefs[:, i], lo[:, i], hi[:, i]
        a, b = ball.centre - high, ball.centre - low
        x[:, i] = np.where(c == 0, np.clip(ball.centre, low, high), x[:, i])
        shares = _shares_l1 if ball.norm == "l1" else _shares_l2
        for e, t in shares(ball.radius, c, a, b):
            dual = np.abs(e).max(axis=1, initial=0.0) if ball.norm == "l1" else _norm(e)
            rest = c - e
            # What the box no longer has to pay for the shares, less what the ball asks for them.
            room = np.maximum(c * a, c * b) - np.maximum(rest * a, rest * b)
            found = room.sum(axis=1) - ball.radius * dual
            better = (found > 0) & (found >= gain)  # of equal bounds the later point is better
            gain[better] = found[better]
            x[np.ix_(better, i)] = np.clip(ball.centre - t, low, high)[better]
            far = np.maximum(np.abs(low), np.abs(high)) + np.abs(ball.centre)
            size = ((np.abs(c) + np.abs(e)) * far).sum(axis=1) + ball.radius * dual
            slack[better] = 4.0 * size[better]
    # A box without a point of the ball bounds nothing: every form is as large as one likes.
    gain[misses(balls, lo, hi)] = np.inf
    return BallCut(gain, x, slack)


def misses(balls: Sequence[FloatBall], lo: FloatArray, hi: FloatArray) -> NDArray[np.bool_]:
    """Which boxes (R, n) have no point of one of the balls, by more than rounding."""
    out = np.zeros(len(lo), dtype=bool)
    for ball in balls:
        i = ball.index
        near = ball.distance(np.clip(_put(lo, i, ball.centre), lo, hi))
        size = ball.radius + np.abs(lo[:, i]).sum(axis=1) + np.abs(hi[:, i]).sum(axis=1)
        out |= near > ball.radius + _SURE * (size + np.abs(ball.centre).sum())
    return out


def inside(balls: Sequence[FloatBall], points: FloatArray) -> NDArray[np.bool_]:
    """Which points (R, n) lie in all balls, up to rounding."""
    out = np.ones(len(points), dtype=bool)
    for ball in balls:
        out &= ball.distance(points) <= ball.radius * (1 + 1e-9)
    return out


def drawn(balls: Sequence[FloatBall], points: FloatArray) -> FloatArray:
    """The points (R, n), those outside a ball drawn toward its centre until they lie on its rim."""
    for ball in balls:
        far = np.maximum(ball.distance(points), 1e-300)
        shrink = np.minimum(1.0, ball.radius * (1 - 1e-12) / far)[:, None]
        points = _put(
            points, ball.index, ball.centre + (points[:, ball.index] - ball.centre) * shrink
        )
    return points


def tangents(balls: Sequence[FloatBall], points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients (R, balls, n) and right-hand sides (R, balls) of rows `coefs . x >= right`.

    Each holds on its ball and cuts off the point (R, n) where that lies outside.
    """
    a, b = np.zeros((len(points), len(balls), points.shape[1])), np.zeros((len(points), len(balls)))
    for k, ball in enumerate(balls):
        away = points[:, ball.index] - ball.centre
        length = np.maximum(_norm(away), 1e-300)[:, None]
        out = np.sign(away) if ball.norm == "l1" else away / length
        a[:, k, ball.index] = -out
        b[:, k] = -ball.radius - out @ ball.centre
    return a, b


def _put(points: FloatArray, places: NDArray[np.intp], values: FloatArray) -> FloatArray:
    out = points.copy()
    out[:, places] = values
    return out


def _norm(excess: FloatArray) -> FloatArray:
    out: FloatArray = np.sqrt((excess * excess).sum(axis=1))
    return out


Shares = Iterator[tuple[FloatArray, FloatArray]]
"""Pairs (e, t), (R, k) each: shares of the coefficients, and centre - x where they are attained."""


def _shares_l1(radius: float, coefs: FloatArray, sizes: FloatArray, right: FloatArray) -> Shares:
    """Coefficients cut at the level at which the radius is used up, greatest first."""
    near = np.clip(0.0, sizes, right)
    reach = np.where(coefs > 0, right, sizes)
    cost = np.abs(reach) - np.abs(near)
    order = np.argsort(-np.abs(coefs), axis=1, kind="stable")
    used = np.cumsum(np.take_along_axis(cost, order, axis=1), axis=1)
    left = radius - np.abs(near).sum(axis=1, keepdims=True)
    over = used > left
    size = np.take_along_axis(np.abs(coefs), order, axis=1)
    first = over.argmax(axis=1)[:, None]
    level = np.where(over.any(axis=1)[:, None], np.take_along_axis(size, first, axis=1), 0.0)
    e = np.clip(coefs, np.where(sizes > 0, level, -level), np.where(right < 0, -level, level))
    sorted_cost = np.take_along_axis(cost, order, axis=1)
    part = np.clip(left - (used - sorted_cost), 0.0, sorted_cost)
    share = np.zeros_like(coefs)
    np.put_along_axis(share, order, part / np.where(sorted_cost > 0, sorted_cost, 1.0), axis=1)
    yield e, near + share * (reach - near)


def _shares_l2(radius: float, coefs: FloatArray, left: FloatArray, right: FloatArray) -> Shares:
    """Newton's method for nu with |clip(nu * coefs, left, right)| = radius."""
    nu = radius / np.maximum(_norm(coefs), 1e-100)[:, None]
    for _ in range(ROUNDS):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            e = np.clip(coefs, left / nu, right / nu)
            e = np.where(np.isfinite(e), e, coefs)
        t = np.clip(nu * coefs, left, right)
        yield e, t
        kept = e == coefs
        free = np.where(kept, coefs * coefs, 0.0).sum(axis=1, keepdims=True)
        room = radius**2 - np.where(kept, 0.0, t * t).sum(axis=1, keepdims=True)
        # Where nothing is free the box alone decides, and nu may stay.
        newton = np.sqrt(np.maximum(room, 0.0) / np.where(free > 0, free, 1.0))
        step = np.where(room > 0, np.where(free > 0, newton, nu), 0.5 * nu)
        if np.array_equal(step, nu):
            return
        nu = step
