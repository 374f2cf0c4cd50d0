"""Products of exact matrices, in pieces between which the clock is looked at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from verifex.ir.exact import PIECE
from verifex.limits.checkpoint import checkpoint


def in_pieces(left: Any, right: Any) -> Any:
    """The product (..., m, n) of exact matrices (..., m, k) and (..., k, n), some columns at a
    time: a large one takes minutes."""
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    rows, columns = left.shape[-2], right.shape[-1]
    out = np.zeros((*batch, rows, columns), dtype=object)
    step = max(1, PIECE // max(1, math.prod(batch) * rows * left.shape[-1]))
    for at in range(0, columns, step):
        checkpoint()
        out[..., at : at + step] = left @ right[..., at : at + step]
    return out
