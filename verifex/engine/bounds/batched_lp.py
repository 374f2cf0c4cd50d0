"""Many small linear programs at once: a batched dual simplex for boxes cut by a few rows.

Every variable has two finite bounds, so the slack basis is dual feasible from the start, and the
multipliers of every iterate are valid: a batch may be stopped anywhere. Ratio tests take long steps
(variables that are passed flip to their other bound; Maros, Computational Techniques of the Simplex
Method, 2003). Floating point: whoever uses the multipliers evaluates them again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import FloatArray
from verifex.limits.checkpoint import checkpoint

_TOLERANCE = 1e-9
_PIVOT = 1e-7
_FLOATS = 1 << 17
"""Numbers in the tableaus of one batch: what fits into a processor's cache."""


@dataclass(frozen=True)
class Programs:
    """Answers to B programs: multipliers (B, m) >= 0 of the rows, and points (B, n) of the box.

    `empty` marks programs without a point: their multipliers contradict each other. `done` marks
    those that came to an end.
    """

    duals: FloatArray
    x: FloatArray
    empty: NDArray[np.bool_]
    done: NDArray[np.bool_]


def minimise(
    cost: FloatArray,
    left: FloatArray,
    right: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    iterations: int = 60,
) -> Programs:
    """Minimise `cost . x` over `lo <= x <= hi` and `left x >= right`, for B programs at once.

    `cost`, `lo` and `hi` are (B, n), `left` (B, m, n), `right` (B, m).
    """
    count, m, n = left.shape
    duals, x = np.zeros((count, m)), np.where(cost >= 0, lo, hi)
    empty, done = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
    size = max(64, _FLOATS // ((m + 1) * (n + 1)))
    for at in range(0, count if m else 0, size):
        part = slice(at, at + size)
        state = _Tableaus(cost[part], left[part], right[part], lo[part], hi[part])
        for _ in range(iterations):
            checkpoint()
            if not state.step():
                break
        state.retire(np.ones(len(state.at), dtype=bool), done=False)
        duals[part], empty[part], done[part] = np.maximum(state.duals, 0.0), state.empty, state.done
        x[part] = lo[part] + (hi[part] - lo[part]) * np.clip(state.x, 0.0, 1.0)
    return Programs(duals, x, empty, done)


class _Tableaus:
    """Tableaus of the programs that still run (their numbers are `at`).

    basic_i = sum_j t[i, j] other_j + t[i, n]; the last row is the objective. Variables 0..n-1 are
    the inputs, scaled to [0, 1]; the others are the rows' slacks, >= 0.
    """

    def __init__(
        self, cost: FloatArray, left: FloatArray, right: FloatArray, lo: FloatArray, hi: FloatArray
    ) -> None:
        count, m, n = left.shape
        self.m, self.n = m, n
        width = hi - lo
        t = np.zeros((count, m + 1, n + 1))
        t[:, :m, :n] = left * width[:, None, :]
        t[:, :m, n] = (left @ lo[:, :, None])[:, :, 0] - right
        t[:, m, :n] = cost * width
        # Rows are scaled so that one tolerance fits them all; multipliers are scaled back.
        self.scale = np.abs(t[:, :m, :n]).max(axis=2, initial=0.0)
        self.scale[self.scale < 1e-12] = 1.0
        t[:, :m] /= self.scale[:, :, None]
        self.t = t
        self.basic = np.broadcast_to(np.arange(n, n + m), (count, m)).copy()
        self.other = np.broadcast_to(np.arange(n), (count, n)).copy()
        self.up = t[:, m, :n] < 0  # at its upper bound, not at zero
        self.at = np.arange(count)
        self.duals, self.x = np.zeros((count, m)), np.zeros((count, n))
        self.empty, self.done = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)

    def _values(self) -> FloatArray:
        """Values of the basic variables (B, m)."""
        m, n = self.m, self.n
        q = self.up.astype(np.float64)
        value: FloatArray = (self.t[:, :m, :n] @ q[:, :, None])[:, :, 0] + self.t[:, :m, n]
        return value

    def step(self) -> bool:
        """One pivot of every program; False when none is left."""
        if not len(self.at):
            return False
        value = self._values()
        over = np.where(self.basic < self.n, value - 1.0, -np.inf)
        broken = np.maximum(-value, over)
        finished = broken.max(axis=1) <= _TOLERANCE
        if finished.any():
            self.retire(finished, done=True)
            over, broken = over[~finished], broken[~finished]
        if not len(self.at):
            return False
        ones, row = np.arange(len(self.at)), broken.argmax(axis=1)
        worst = broken[ones, row]
        sign = np.where(over[ones, row] >= worst, -1.0, 1.0)  # -1: the basic variable must sink
        order, reach = self._ratios(row, sign, worst)
        stuck = ~reach[:, -1]
        if stuck.any():
            self._contradiction(stuck, row, sign)
            row, order, reach, sign = row[~stuck], order[~stuck], reach[~stuck], sign[~stuck]
        if len(self.at):
            position = reach.argmax(axis=1)
            rank = order.argsort(axis=1)
            self.up ^= rank < position[:, None]
            self._pivot(row, order[np.arange(len(row)), position], sign)
        return True

    def _ratios(
        self, row: NDArray[np.intp], sign: FloatArray, worst: FloatArray
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Candidates by rising ratio, and whether the row is mended once each has moved."""
        line = self.t[np.arange(len(row)), row, : self.n] * sign[:, None]
        helps = np.where(self.up, -line, line)
        fits = helps > _PIVOT
        ratio = np.abs(self.t[:, self.m, : self.n]) / np.where(fits, helps, 1.0)
        order = np.where(fits, ratio, np.inf).argsort(axis=1, kind="stable")
        gain = np.where(fits, np.where(self.other < self.n, helps, np.inf), 0.0)
        total = np.take_along_axis(gain, order, axis=1).cumsum(axis=1)
        return order, total >= worst[:, None]

    def _pivot(self, row: NDArray[np.intp], column: NDArray[np.intp], sign: FloatArray) -> None:
        ones, t = np.arange(len(self.at)), self.t
        pivot = t[ones, row, column]
        line = t[ones, row] / pivot[:, None]
        side = t[ones, :, column]
        t -= side[:, :, None] * line[:, None, :]
        t[ones, :, column] = side / pivot[:, None]
        t[ones, row] = -line
        t[ones, row, column] = 1.0 / pivot
        leaving = self.basic[ones, row]
        self.basic[ones, row] = self.other[ones, column]
        self.other[ones, column] = leaving
        self.up[ones, column] = sign < 0

    def _contradiction(
        self, stuck: NDArray[np.bool_], row: NDArray[np.intp], sign: FloatArray
    ) -> None:
        """A row that no point satisfies: its slacks' coefficients are the multipliers."""
        k = np.flatnonzero(stuck)
        duals = np.zeros((len(k), self.m + self.n))
        line = self.t[k, row[k], : self.n] * -sign[k][:, None]
        np.put_along_axis(duals, self.other[k], line, axis=1)
        duals[np.arange(len(k)), self.basic[k, row[k]]] = 1.0
        self.empty[self.at[k]] = self.done[self.at[k]] = True
        self.duals[self.at[k]] = np.maximum(duals[:, self.n :], 0.0) / self.scale[k]
        self._drop(stuck)

    def retire(self, which: NDArray[np.bool_], done: bool) -> None:
        """Keep the multipliers and points of some programs, and drop them."""
        k = np.flatnonzero(which)
        duals, x = (np.zeros((len(k), self.m + self.n)) for _ in range(2))
        np.put_along_axis(duals, self.other[k], self.t[k, self.m, : self.n], axis=1)
        np.put_along_axis(x, self.other[k], self.up[k].astype(np.float64), axis=1)
        np.put_along_axis(x, self.basic[k], self._values()[k], axis=1)
        self.duals[self.at[k]] = duals[:, self.n :] / self.scale[k]
        self.x[self.at[k]] = x[:, : self.n]
        self.done[self.at[k]] = done
        self._drop(which)

    def _drop(self, which: NDArray[np.bool_]) -> None:
        keep = ~which
        self.t, self.basic, self.other = self.t[keep], self.basic[keep], self.other[keep]
        self.up, self.at, self.scale = self.up[keep], self.at[keep], self.scale[keep]
