"""A part of the region during a search: its box, its gate signs, and the rows still open on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Packed
from verifex.engine.bounds.layout import Local
from verifex.engine.search.record import LocalFacts
from verifex.ir.exact import FloatArray
from verifex.semantics.parameters import Parameter


@dataclass
class Domain:
    """A part of the region: its box, its gate signs, and the rows still open on it.

    `kept` are bounds proven here or above, node -> (lo, hi) of shape (size,): children inherit
    them. `own` are bounds that only this domain uses, with the lines `pending` that prove them.
    `seen` are gate patterns (k, gates) of points that lie in the domain. `wait` (2, gates): for how
    many splits more the lower and the upper end of a pre-activation are not worth a program.
    `tight`: how many gates had been split on when bounds were last tightened (tighten.py);
    `starts`, by node and by 2 * element (+ 1 for the lower bound): multipliers to begin with the
    next time.
    """

    lo: FloatArray
    hi: FloatArray
    signs: NDArray[np.int8]
    rows: list[int]
    node: int
    tree: int = 0
    value: float = -np.inf
    warm: dict[Parameter, FloatArray] = field(default_factory=dict)
    gate: int = -1
    dimension: int = -1
    loss: float = 0.0
    reach: FloatArray | None = None
    state: Any = None
    kept: dict[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    own: dict[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    pending: list[LocalFacts] = field(default_factory=list)
    seen: NDArray[np.bool_] | None = None
    tight: int = 0
    starts: dict[int, dict[int, Packed]] = field(default_factory=dict)
    wait: NDArray[np.int8] | None = None

    @property
    def box(self) -> tuple[FloatArray, FloatArray, NDArray[np.int8]]:
        """Input box and signs, each with a leading axis of one."""
        return self.lo[None], self.hi[None], self.signs[None]


@dataclass(frozen=True)
class Sides:
    """Rows of one node: `sign[r] * z[element[r]]` on domain `domain[r]`, each (R,)."""

    domain: NDArray[np.intp]
    element: NDArray[np.intp]
    sign: FloatArray

    def of(self, picked: NDArray[np.intp]) -> Sides:
        """Some of the rows."""
        return Sides(self.domain[picked], self.element[picked], self.sign[picked])

    def start(self, size: int) -> torch.Tensor:
        """Their coefficients (R, size) at the node."""
        start = torch.zeros((len(self.domain), size), dtype=torch.float64)
        start[np.arange(len(start)), self.element] = torch.from_numpy(self.sign)
        return start

    def tighter(self, value: FloatArray, low: FloatArray, high: FloatArray) -> NDArray[np.bool_]:
        """Which lower bounds (R,) are worth a line beside a node's bounds (domains, size)."""
        at = self.domain, self.element
        old, width = np.where(self.sign > 0, low[at], -high[at]), high[at] - low[at]
        return np.asarray(value > old + _GAIN * width)


_GAIN = 0.02
"""A bound that is not tighter by this part of the width is not worth a line."""


def local_facts(domains: Sequence[Domain], *, own: bool = True) -> Local:
    """The domains' facts, stacked for an interval pass; without `own`, only those inherited."""
    sets = [(d.kept, d.own if own else {}) for d in domains]
    sizes = {i: v[0].shape for pair in sets for part in pair for i, v in part.items()}
    out = {}
    for i, shape in sizes.items():
        low, high = (np.full((len(domains), *shape), v) for v in (-np.inf, np.inf))
        for k, pair in enumerate(sets):
            for part in pair:
                if i in part:
                    np.maximum(low[k], part[i][0], out=low[k])
                    np.minimum(high[k], part[i][1], out=high[k])
        out[i] = low, high
    return out


def stacked_warm(
    domains: Sequence[Domain], pairs: Sequence[tuple[int, int]]
) -> dict[Parameter, torch.Tensor]:
    """The parents' parameters for pairs (domain, form); one that a parent lacks is zero there."""
    first = domains[pairs[0][0]].warm
    stacked = {}
    for key, example in first.items():
        width = example.shape[1]
        parts = []
        for k, r in pairs:
            mine = domains[k].warm.get(key)
            at = domains[k].rows.index(r)  # where the row lies among the parent's
            parts.append(mine[at] if mine is not None else np.zeros(width))
        stacked[key] = torch.from_numpy(np.stack(parts))
    return stacked
