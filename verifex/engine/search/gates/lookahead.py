"""Looking ahead: of the gates that promise most, the one whose two halves are bounded best.

Filtered smart branching (De Palma et al., 2021, arXiv:2104.06718): scores choose a few gates of a
domain, and both halves of each are bounded with the domain's own multipliers, without optimising.
The gate with the least sum of what the halves still lack wins. On an instance of mnist_fc with four
hidden layers that takes 591 domains instead of 11,985 (benchmarks/lookahead.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Bounder, Bounds
from verifex.engine.bounds.cost import rows_at_once
from verifex.engine.bounds.layout import Layout
from verifex.engine.search.gates.domains import RowBounds
from verifex.ir.exact import FloatArray
from verifex.semantics.linear import Rows

GATES = 8
"""Gates of a domain that are compared."""

_ROWS = 2048
"""Rows in one backward pass, about: what fits the memory."""


@dataclass(frozen=True)
class BoundedRows:
    """Rows `row` (R,) of the domains `place` (R,), which come domain by domain, as they were
    bounded: start coefficients, input boxes (R, n) each, the goals (R,) without the forms'
    constants, what was found, and the branching scores (R, gates)."""

    rows: Rows
    start: dict[int, FloatArray]
    box: tuple[FloatArray, FloatArray]
    goal: FloatArray
    found: Bounds
    place: NDArray[np.intp]
    row: NDArray[np.intp]
    score: FloatArray

    @property
    def bounds(self) -> RowBounds:
        """The lower bounds alone."""
        return RowBounds(self.place, self.row, self.found.value)


@dataclass(frozen=True)
class Asked:
    """A domain, its open rows among those that were bounded, and the scores (gates,) of its
    gates."""

    place: int
    rows: list[int]
    scores: FloatArray


def look_ahead(
    layout: Layout, bounder: Bounder, batch: BoundedRows, asked: Sequence[Asked], gates: int = GATES
) -> list[int]:
    """The gate to split each of the domains on; every domain has a gate with a positive score."""
    best = []
    most = min(_ROWS, rows_at_once(layout.graph, layout.targets))
    for part in _parts(asked, gates, most):
        tried = [_best(a.scores, gates) for a in part]
        lack = iter(_lack(layout, bounder, batch, part, tried))
        for gate in tried:
            best.append(max((next(lack), -j, g) for j, g in enumerate(gate))[2])
    return best


def _best(scores: FloatArray, gates: int) -> list[int]:
    """The gates with the greatest positive scores, these first."""
    order = np.argsort(-scores, kind="stable")[:gates]
    return [int(g) for g in order if scores[g] > 0]


def _parts(asked: Sequence[Asked], gates: int, most: int) -> Iterator[list[Asked]]:
    part: list[Asked] = []
    count = 0
    for a in asked:
        part.append(a)
        count += 2 * gates * len(a.rows)
        if count >= most:
            yield part
            part, count = [], 0
    if part:
        yield part


def _lack(
    layout: Layout, bounder: Bounder, batch: BoundedRows, asked: list[Asked], tried: list[list[int]]
) -> FloatArray:
    """What the halves of every tried gate lack together (zero at best, else negative)."""
    pairs = [(a, g) for a, gates in zip(asked, tried, strict=True) for g in gates]
    parents = [int(batch.rows.domain[a.rows[0]]) for a, _ in pairs]
    halves = _halves(layout, batch.rows, parents, [g for _, g in pairs])
    pick = np.array([r for a, _ in pairs for _ in range(2) for r in a.rows])
    lengths = np.repeat([len(a.rows) for a, _ in pairs], 2)
    halves.domain = np.repeat(np.arange(len(lengths)), lengths)
    value, _, _ = bounder.evaluate(
        halves,
        {i: v[pick] for i, v in batch.start.items()},
        {k: v[pick] for k, v in batch.found.params.items()},
        batch.box[0][pick],
        batch.box[1][pick],
    )
    short = np.minimum(value - batch.goal[pick], 0.0)
    ends = np.cumsum(lengths[::2] + lengths[1::2])
    return np.asarray(np.add.reduceat(short, np.concatenate([[0], ends[:-1]])), dtype=np.float64)


def _halves(layout: Layout, rows: Rows, parents: list[int], gates: list[int]) -> Rows:
    """The bounds of both halves of domains, z >= 0 first, two by two; only the gate itself changes:
    what follows from that is left to the real split."""
    at = np.repeat(parents, 2)
    lo, hi = ({i: v[at] for i, v in part.items()} for part in (rows.lo, rows.hi))
    for c, gate in enumerate(gates):
        z, k = layout.name(gate)
        lo[z][2 * c, k] = max(lo[z][2 * c, k], 0.0)
        hi[z][2 * c + 1, k] = min(hi[z][2 * c + 1, k], 0.0)
        for step, of in layout.steps.items():
            if of == z and step in lo:
                lo[step][2 * c, k], hi[step][2 * c + 1, k] = 1.0, 0.0
    return Rows(lo, hi, at, {z: v[at] for z, v in rows.split.items()})
