"""Leaves: with every gate that matters decided, a form is affine on a polytope and an LP ends it.

HiGHS runs in process on these (a few dozen rows, well under a millisecond each). Its answer is a
proposal: the duals become split multipliers whose bound is evaluated again, the point is replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verifex.ir.exact import FloatArray

_PIVOTS = 20_000
"""Pivots of one program. Its time limit is looked at between pivots, which do not always come."""

_LARGEST = 1e15
"""Entries from which on HiGHS takes a number for infinite, or does not come to an end."""


def _fit(*arrays: FloatArray) -> bool:
    """Whether these are numbers that HiGHS computes with."""
    return all(bool((np.abs(a) < _LARGEST).all()) for a in arrays)  # false of what is no number


@dataclass(frozen=True)
class LeafAnswer:
    """The least value of `cost . x + const` on {lo <= x <= hi, rows}: None where it is empty.

    `duals` >= 0 are multipliers of the rows (of a contradiction where the leaf is empty).
    """

    value: float | None
    x: FloatArray | None
    duals: FloatArray
    solved: bool = True


class LeafSolver:
    """Small LPs by HiGHS; one instance is reused, models are replaced. `tolerance`: by how much a
    row may be missed, where HiGHS's own 1e-7 will not do."""

    def __init__(self, tolerance: float | None = None) -> None:
        import highspy

        self._highspy = highspy
        self._solver = highspy.Highs()
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("threads", 1)
        self._solver.setOptionValue("simplex_iteration_limit", _PIVOTS)
        self._solver.setOptionValue("presolve", "off")  # rays of infeasible models come from it
        if tolerance is not None:
            self._solver.setOptionValue("primal_feasibility_tolerance", tolerance)

    def minimise(
        self,
        cost: FloatArray,
        const: float,
        left: FloatArray,
        right: FloatArray,
        lo: FloatArray,
        hi: FloatArray,
        seconds: float = 5.0,
    ) -> LeafAnswer:
        """Minimise over `{lo <= x <= hi, left x >= right}`; `left` is (m, n).

        Not `solved` where HiGHS has no answer within so many seconds and `_PIVOTS`, or where the
        numbers are none for floats.
        """
        if not _fit(cost, left, right, lo, hi):
            return LeafAnswer(None, None, np.zeros(len(right)), solved=False)
        highspy, solver = self._highspy, self._solver
        lp = highspy.HighsLp()
        m, n = left.shape
        # The tolerance of the duals is absolute: costs of 1e-8 would all count as zero.
        unit = float(np.exp2(np.floor(np.log2(top)))) if (top := np.abs(cost).max(initial=0)) else 1
        lp.num_col_, lp.num_row_ = n, m
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost / unit, lo, hi
        lp.row_lower_, lp.row_upper_ = right, np.full(m, np.inf)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = n, m
        lp.a_matrix_.start_ = np.arange(0, (m + 1) * n, n, dtype=np.int32)[: m + 1]
        lp.a_matrix_.index_ = np.tile(np.arange(n, dtype=np.int32), m)
        lp.a_matrix_.value_ = np.where(np.abs(left) <= 1e-9, 0.0, left).ravel()
        solver.setOptionValue("time_limit", float(solver.getRunTime() + seconds))
        solver.passModel(lp)
        solver.run()
        status, kinds = solver.getModelStatus(), highspy.HighsModelStatus
        if status == kinds.kOptimal:
            solution = solver.getSolution()
            x = np.clip(np.array(solution.col_value), lo, hi)
            duals = np.maximum(np.array(solution.row_dual), 0.0) * unit if m else np.zeros(0)
            return LeafAnswer(float(cost @ x) + const, x, duals)
        if status == kinds.kInfeasible:
            return LeafAnswer(None, None, self._ray(m))
        return LeafAnswer(None, None, np.zeros(m), solved=False)

    def _ray(self, rows: int) -> FloatArray:
        """Row multipliers that contradict each other, zero where HiGHS gives none."""
        out: Any = self._solver.getDualRay()
        if len(out) == 3 and out[1]:
            ray = np.maximum(np.array(out[2]), 0.0)
            return ray if ray.shape == (rows,) else np.zeros(rows)
        return np.zeros(rows)
