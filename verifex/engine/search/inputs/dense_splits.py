"""Multipliers for the units that a box was split on: a small linear program per row, many at once.

On a box with halfspaces g_j(x) <= 0 a row c x + k is at least max over b >= 0 of the least value of
(c + sum b_j a_j) x + k + sum b_j h_j over the box (g_j = a_j x + h_j). Coordinate ascent with an
exact line search finds good b, not always the best: any b is sound, and the bound is evaluated
again with the rounded ones.
"""

from __future__ import annotations

import numpy as np

from verifex.ir.exact import FloatArray

_BITS = 24


def least(coefs: FloatArray, kinks: FloatArray, lo: FloatArray, hi: FloatArray) -> FloatArray:
    """The least value of `coefs . x + kinks` over boxes; the last axis is the inputs."""
    value: FloatArray = kinks + np.where(coefs >= 0, coefs * lo, coefs * hi).sum(axis=-1)
    return value


def ascend(
    coefs: FloatArray,
    kinks: FloatArray,
    left: FloatArray,
    heights: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    rounds: int = 4,
) -> FloatArray:
    """Multipliers (R, J) for rows `coefs . x + kinks`, (R, n) and (R,), and half-spaces
    `left x + heights <= 0`, (R, J, n) and (R, J)."""
    count, splits = heights.shape
    found = np.zeros((count, splits))
    row = np.arange(count)
    for _ in range(1 if splits == 1 else rounds):
        before = found.copy()
        for j in range(splits):
            part = left[:, j]
            rest_c = coefs - found[:, j, None] * part
            rest_k = kinks - found[:, j] * heights[:, j]
            steps = _steps(rest_c, rest_k, part, heights[:, j], lo, hi)
            tried = rest_c[:, None] + steps[:, :, None] * part[:, None]
            value = least(
                tried, rest_k[:, None] + steps * heights[:, j, None], lo[:, None], hi[:, None]
            )
            best = value.argmax(axis=1)
            found[:, j] = steps[row, best]
            coefs, kinks = tried[row, best], rest_k + found[:, j] * heights[:, j]
        if (found == before).all():
            break
    return shorten(found)


def _steps(
    coefs: FloatArray,
    kinks: FloatArray,
    left: FloatArray,
    heights: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
) -> FloatArray:
    """Where the concave piecewise linear function of one multiplier can have its maximum: 0, the
    breaks, and, where the halfspace misses the box, far enough to outweigh the row."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        breaks = -coefs / left
        missed = least(left, heights, lo, hi)
        far = (2.0 + 4.0 * np.abs(least(coefs, kinks, lo, hi))) / missed
    breaks = np.where(np.isfinite(breaks) & (breaks > 0), breaks, 0.0)
    far = np.where(np.isfinite(far) & (missed > 0), np.minimum(far, 1e12), 0.0)
    return np.concatenate([np.zeros((len(coefs), 1)), breaks, far[:, None]], axis=1)


def shorten(values: FloatArray) -> FloatArray:
    """The values with few bits, so that exact arithmetic on them stays cheap."""
    fraction, exponent = np.frexp(values)
    short: FloatArray = np.ldexp(np.round(fraction * 2.0**_BITS), exponent - _BITS)
    return short
