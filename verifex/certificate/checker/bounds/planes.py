"""The planes that replace relaxed elements, each with its argument.

A plane here is a lower bound of `c * element` that is affine in the element's arguments, for all
values of these within their bounds. The functions use sums, differences and products alone, so that
they mean the same for fractions and for the symbols of a prover: `tests/rules` has each of them
proved as a formula over all real numbers, and refuted with a sign turned.

Sound, all of them together: a sum of planes is below the sum of what they replace.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

ONE = Fraction(1)


class Line(NamedTuple):
    """slope * argument + constant."""

    slope: Fraction
    constant: Fraction


class Plane(NamedTuple):
    """first * (first argument) + second * (second argument) + constant."""

    first: Fraction
    second: Fraction
    constant: Fraction


def relu_below(c: Fraction, alpha: Fraction) -> Fraction:
    """The slope of a line through 0 below c * max(z, 0), for c >= 0 and alpha in [0, 1].

    max(z, 0) >= alpha * z: it is at least z and at least 0, and alpha * z lies between these two.
    """
    return c * alpha


def relu_chord(c: Fraction, low: Fraction, high: Fraction, inverse: Fraction) -> Line:
    """A line below c * max(z, 0) for c <= 0 and z in [low, high], low < 0 < high.

    `inverse` is 1 / (high - low). max(z, 0) is convex, so between low and high it lies below the
    chord of its values there, high * (z - low) / (high - low).
    """
    slope = c * high * inverse
    return Line(slope, -(slope * low))


def step_below(c: Fraction, tie: Fraction, inverse: Fraction) -> Fraction:
    """The factor of y = max(z, 0) in a bound below c * s, s the gate of z, for c >= 0.

    z is at most some high > 0, `inverse` is 1 / high, tie in [0, 1]. s >= tie * y / high: for z > 0
    the gate is 1 and y <= high; else y is 0 and s >= 0. As y >= z, the factor may stand with z
    instead.
    """
    return c * tie * inverse


def step_above(c: Fraction, tie: Fraction, inverse: Fraction) -> Plane:
    """Below c * s for c <= 0, affine in z (first) and y = max(z, 0) (second).

    z is at least some low < 0, `inverse` is 1 / -low, tie in [0, 1]. s <= 1 - tie * (y - z) / -low:
    y - z is max(-z, 0), which is at most -low, and 0 where the gate can be 1. As y >= 0, the term
    of y, which is not negative, may be left out.
    """
    pull = -(c * tie * inverse)
    return Plane(-pull, pull, c)


def gate_below(c: Fraction, mix: Fraction, low: Fraction, high: Fraction) -> Plane:
    """Below c * s * v for c >= 0, affine in the gate s in [0, 1] (first) and v in [low, high].

    s * (v - low) >= 0 gives s * v >= low * s, and (1 - s) * (high - v) >= 0 gives
    s * v >= v + high * s - high; mix in [0, 1] is the share of the first of them.
    """
    rest = c - c * mix
    return Plane(c * mix * low + rest * high, rest, -(rest * high))


def gate_above(c: Fraction, mix: Fraction, low: Fraction, high: Fraction) -> Plane:
    """Below c * s * v for c <= 0: s * v <= high * s and s * v <= v + low * s - low, mixed.

    As in `gate_below`, from s * (high - v) >= 0 and (1 - s) * (v - low) >= 0.
    """
    rest = c - c * mix
    return Plane(c * mix * high + rest * low, rest, -(rest * low))


def product_below(
    c: Fraction, mix: Fraction, first: tuple[Fraction, Fraction], second: tuple[Fraction, Fraction]
) -> Plane:
    """Below c * u * v for c >= 0, with u in `first` and v in `second` (low, high).

    (u - u_low) * (v - v_low) >= 0 and (u_high - u) * (v_high - v) >= 0 (McCormick 1976), mixed.
    """
    (u_low, u_high), (v_low, v_high), share = first, second, c * mix
    rest = c - share
    return Plane(
        share * v_low + rest * v_high,
        share * u_low + rest * u_high,
        -(share * u_low * v_low) - rest * u_high * v_high,
    )


def product_above(
    c: Fraction, mix: Fraction, first: tuple[Fraction, Fraction], second: tuple[Fraction, Fraction]
) -> Plane:
    """Below c * u * v for c <= 0: (u_high - u) * (v - v_low) >= 0 and
    (u - u_low) * (v_high - v) >= 0 bound the product from above; `mix` is the share of the first.
    """
    (u_low, u_high), (v_low, v_high), share = first, second, c * mix
    rest = c - share
    return Plane(
        share * v_low + rest * v_high,
        share * u_high + rest * u_low,
        -(share * u_high * v_low) - rest * u_low * v_high,
    )


def square_below(c: Fraction, touch: Fraction) -> Line:
    """Below c * v^2 for c >= 0: the tangent at `touch`, since (v - touch)^2 >= 0."""
    return Line(c * touch + c * touch, -(c * touch * touch))


def square_chord(c: Fraction, low: Fraction, high: Fraction) -> Line:
    """Below c * v^2 for c <= 0 and v in [low, high], since (v - low) * (high - v) >= 0."""
    return Line(c * (low + high), -(c * low * high))


def constraint(multiplier: Fraction, sign: int, at: Fraction) -> Line:
    """What a constraint sign * (z - at) >= 0 adds to a bound: minus the multiplier >= 0 times it,
    which is never above 0."""
    factor = multiplier if sign < 0 else -multiplier
    return Line(factor, -(factor * at))
