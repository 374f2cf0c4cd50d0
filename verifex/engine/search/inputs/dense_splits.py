"""Multipliers for what is known to hold on a box: a small linear program per row, many at once.

On a box with half-spaces g_j(x) <= 0 a row c x + k is at least max over b >= 0 of the least value
of (c + sum b_j a_j) x + k + sum b_j h_j over the box (g_j = a_j x + h_j). Any b is sound, and the
bound is evaluated again with the rounded ones.
"""

from __future__ import annotations

import numpy as np

from verifex.engine.bounds.batched_lp import minimise
from verifex.ir.exact import FloatArray

_BITS = 24

_FAR = 1e4
"""How far a contradiction between half-spaces is made to outweigh a row."""


def least(coefs: FloatArray, kinks: FloatArray, lo: FloatArray, hi: FloatArray) -> FloatArray:
    """The least value of `coefs . x + kinks` over boxes; the last axis is the inputs."""
    value: FloatArray = kinks + np.where(coefs >= 0, coefs * lo, coefs * hi).sum(axis=-1)
    return value


def best_factors(
    coefs: FloatArray,
    kinks: FloatArray,
    left: FloatArray,
    heights: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
) -> FloatArray:
    """Multipliers (R, J) for rows `coefs . x + kinks`, (R, n) and (R,), and half-spaces
    `left x + heights <= 0`, (R, J, n) and (R, J).

    Coordinate ascent would be cheaper, but stands still between the two rows of an equality.
    """
    answer = minimise(coefs, -left, heights, lo, hi)
    size = np.maximum(answer.duals.max(axis=1, initial=0.0), 1e-12)
    far = _FAR * (1.0 + np.abs(least(coefs, kinks, lo, hi))) / size
    return shorten(np.where(answer.empty[:, None], answer.duals * far[:, None], answer.duals))


def shorten(values: FloatArray) -> FloatArray:
    """The values with few bits, so that exact arithmetic on them stays cheap."""
    fraction, exponent = np.frexp(values)
    short: FloatArray = np.ldexp(np.round(fraction * 2.0**_BITS), exponent - _BITS)
    return short
