"""Where atoms that read one input turn: the places to split a box first.

A query whose clauses speak of ranges of inputs is taken apart by that: on every box that is left,
only the clauses that reach it are still open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.inputs.box_formula import Bools, Numbers
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form


class Thresholds:
    """T atoms that read one flat input each, in the order of inputs and places.

    Atom `atom[t]` is false where input `side[t]` is at most (`sign[t]` 1) or at least (-1) `at[t]`,
    the float next to where it turns.
    """

    def __init__(self, forms: Sequence[Form], offsets: Mapping[int, int]) -> None:
        """`offsets`: of input nodes among the flat inputs."""
        found = list[tuple[int, float, int, int]]()
        for k, form in enumerate(forms):
            if len(form.terms) == 1 and form.terms[0][0][0] in offsets:
                (node, index), c = form.terms[0]
                sign = 1 if c > 0 else -1
                found.append(
                    (offsets[node] + index, _beside(-form.const / c, -sign), sign, k))
        found.sort()
        self.side: Numbers = np.array([side for side, *_ in found], dtype=np.intp)
        self.at: FloatArray = np.array([at for _, at, *_ in found], dtype=np.float64)
        self.sign: NDArray[np.intp] = np.array([sign for *_, sign, _ in found], dtype=np.intp)
        self.atom: Numbers = np.array([k for *_, k in found], dtype=np.intp)
        self._inputs = np.unique(self.side).tolist()

    def __len__(self) -> int:
        return len(self.at)

    def false_on(self, lower: FloatArray, upper: FloatArray) -> Bools:
        """Which of the atoms (B, T) are false on which boxes (B, n), exactly."""
        below, above = upper[:, self.side] <= self.at, lower[:, self.side] >= self.at
        return np.where(self.sign > 0, below, above)

    def middle(
        self, lower: FloatArray, upper: FloatArray, open_: Bools
    ) -> tuple[NDArray[np.intp], FloatArray]:
        """For each box the input with most places of `open_` atoms (B, A) inside, and the middle
        one of those; -1 where there is none. So ranges are told apart by a balanced tree."""
        here = open_[:, self.atom] & (lower[:, self.side] < self.at) & (
            self.at < upper[:, self.side])
        chosen = np.full(len(lower), -1)
        at, most = np.zeros(len(lower)), np.zeros(len(lower), dtype=np.intp)
        for i in self._inputs:
            mine = self.side == i
            inside = here[:, mine]
            count = inside.sum(axis=1)
            better = np.flatnonzero(count > most)
            if better.size:
                rank = inside[better].cumsum(axis=1)
                place = (rank >= (count[better, None] + 1) // 2).argmax(axis=1)
                chosen[better], at[better] = i, self.at[mine][place]
                most[better] = count[better]
        return chosen, at


_GRID = Fraction(1, 1 << 50)


def _beside(exact: Fraction, sign: int) -> float:
    """A float just above (sign 1) or below (-1) a number, on the checker's grid of 2^-52 with room
    for its rounding: a split there closes the far side in exact arithmetic too."""
    step = sign * exact / _GRID
    near = float(sign * (math.floor(step) + 2) * _GRID)
    while not (near - exact) * sign > 0:  # floats are coarser than the grid there
        near = float(np.nextafter(near, sign * np.inf))
    return near
