"""A part of the region during a search: its box, its gate signs, and the rows still open on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.proof import ParamKey
from verifex.ir.exact import FloatArray


@dataclass
class Domain:
    """A part of the region: its box, its gate signs, and the rows still open on it."""

    lo: FloatArray
    hi: FloatArray
    signs: NDArray[np.int8]
    rows: list[int]
    node: int
    tree: int = 0
    value: float = -np.inf
    warm: dict[ParamKey, FloatArray] = field(default_factory=dict)
    gate: int = -1
    dimension: int = -1
    loss: float = 0.0
    reach: FloatArray | None = None
    state: Any = None

    @property
    def box(self) -> tuple[FloatArray, FloatArray, NDArray[np.int8]]:
        """Input box and signs, each with a leading axis of one."""
        return self.lo[None], self.hi[None], self.signs[None]
