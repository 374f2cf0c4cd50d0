"""What a search over gates starts from: the rows of its region and points drawn from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from verifex.engine.bounds.region_rows import Linear
from verifex.ir.exact import FloatArray
from verifex.ir.region import Region
from verifex.semantics.support.balls import FloatBall, drawn


def linear_rows(region: Region) -> Linear | None:
    """The region's linear rows as multiplier rows, then for each one-hot group that its sum is at
    most 1 and at least 1; l1 balls of few features written out are not."""
    if not region.rows and not region.one_hot:
        return None
    first = len(region.rows)
    a = np.zeros((first + 2 * len(region.one_hot), region.size))
    b = np.zeros(len(a))
    for k, row in enumerate(region.rows):
        b[k] = float(row.rhs)
        for i, c in row.coefs.items():
            a[k, i] = float(c)
    for g, group in enumerate(region.one_hot):
        for k, sign in ((first + 2 * g, 1.0), (first + 2 * g + 1, -1.0)):
            a[k, list(group)], b[k] = sign, sign
    if not region.one_hot:
        return Linear(torch.from_numpy(a), torch.from_numpy(b))
    group_of = torch.full((region.size,), -1)
    for g, group in enumerate(region.one_hot):
        if (group_of[list(group)] < 0).all():
            group_of[list(group)] = g
    return Linear(torch.from_numpy(a), torch.from_numpy(b), len(region.one_hot), group_of)


def samples(
    lo: FloatArray, hi: FloatArray, balls: Sequence[FloatBall], seed: int
) -> FloatArray:
    """Points (k, n) of a box: random corners, inner points, the centre; drawn into balls, without
    those that this takes out of the box."""
    rng = np.random.default_rng(seed)
    corners = np.where(rng.random((1024, lo.shape[0])) < 0.5, lo, hi)
    inner = lo + (hi - lo) * rng.random((1024, lo.shape[0]))
    points = drawn(balls, np.concatenate([[(lo + hi) / 2], corners, inner]))
    within: FloatArray = points[((lo <= points) & (points <= hi)).all(axis=1)]
    return within
