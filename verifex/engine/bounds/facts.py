"""Multipliers as they are kept, and the facts about elements of nodes that they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import FloatArray
from verifex.semantics.parameters import Parameter

BITS = 7
"""Fractions are kept in units of 2**-BITS."""

Packed = dict[Parameter, NDArray[np.uint8] | Mapping[int, float | Fraction]]
"""Fractions as bytes in units of 2**-BITS; multipliers as their nonzero entries, which are rational
where a leaf is closed in exact arithmetic."""


def pack(params: dict[Parameter, FloatArray]) -> Packed:
    """Multipliers of one row in the form that is kept (they are short dyadics already)."""
    out: Packed = {}
    for key, values in params.items():
        if key.is_multiplier:
            kept = np.flatnonzero(values)
            if kept.size:
                out[key] = {int(k): float(values[k]) for k in kept}
        else:
            out[key] = np.round(values * 2**BITS).astype(np.uint8)
    return out


@dataclass(frozen=True)
class Fact:
    """`sign * value(node)[index] >= bound` on the region, by these multipliers (one row each)."""

    node: int
    index: int
    sign: int
    bound: float
    params: dict[Parameter, FloatArray]
