"""What a search over gates starts from: the rows of its region and points drawn from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from verifex.engine.bounds.optimise import Linear
from verifex.ir.exact import FloatArray
from verifex.ir.region import Region
from verifex.semantics.support.balls import FloatBall, drawn


def linear_rows(region: Region) -> Linear | None:
    """The region's linear rows as multiplier rows; l1 balls of few features written out are not."""
    if not region.rows:
        return None
    a = np.zeros((len(region.rows), region.size))
    for k, row in enumerate(region.rows):
        for i, c in row.coefs.items():
            a[k, i] = float(c)
    right = torch.tensor([float(r.rhs) for r in region.rows], dtype=torch.float64)
    return Linear(torch.from_numpy(a), right)


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
