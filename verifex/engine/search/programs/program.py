"""One linear program for all domains: atoms and relaxed units, of which splits change the bounds.

HiGHS keeps its basis from one domain to the next. What it answers is a proposal: the multipliers of
a contradiction are evaluated again, points are replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Signs
from verifex.engine.search.programs.units import ColumnForms, OpenUnits, UnitMultipliers
from verifex.ir.exact import FloatArray

OPEN, ACTIVE, INACTIVE, POSITIVE, NEGATIVE = range(5)
"""What a unit is on a domain: undecided; y = z >= 0 or y = 0 >= z by a split; the same by its
bounds alone, where nothing says so about z in the program."""


_MOVED = 1e-3
"""The line above a unit is drawn again where its bounds differ by more than this share of their
width from those that it was drawn for."""


@dataclass(frozen=True)
class ProgramAnswer:
    """A point (n + K,) that fulfils the program, or multipliers that contradict each other; neither
    where HiGHS has not come to an end."""

    point: FloatArray | None = None
    contradiction: UnitMultipliers | None = None


class UnitProgram:
    """The program of some atoms over the columns of `units`.

    Rows are, in this order: y >= z of every unit, the line from corner to corner above it, the
    atoms (form >= 0), and the region's rows.
    """

    def __init__(self, units: OpenUnits, atoms: ColumnForms) -> None:
        import highspy

        self.units, self.atoms, self._highspy = units, atoms, highspy
        self._solver: Any = highspy.Highs()
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("threads", 1)
        # The multipliers of a contradiction come from the simplex method alone.
        self._solver.setOptionValue("presolve", "off")
        self._solver.setOptionValue("solver", "simplex")
        n, k = units.inputs, units.count
        self._low, self._high = units.low.copy(), units.high.copy()
        slope, chord = self._chords()
        one = np.concatenate([np.zeros((k, n)), np.eye(k)], axis=1)
        matrix = np.concatenate([
            one - units.preact.matrix, one - slope[:, None] * units.preact.matrix, atoms.matrix,
            units.region.matrix])
        self._places = [np.flatnonzero(np.abs(row) > 1e-9) for row in units.preact.matrix]
        self._first = chord
        self._kind = np.full(k, OPEN)
        self._asked = np.zeros(len(atoms.const), dtype=bool)
        self._pass(matrix)

    def _pass(self, matrix: FloatArray) -> None:
        """Hand the whole program over, with all units open and no atom asked for."""
        highspy, units = self._highspy, self.units
        lp, (m, columns) = highspy.HighsLp(), matrix.shape
        free, k = np.inf, units.count
        lp.num_col_, lp.num_row_ = columns, m
        lp.col_cost_ = np.zeros(columns)
        lp.col_lower_ = np.concatenate([units.lo, np.zeros(k)])
        lp.col_upper_ = np.concatenate([units.hi, np.full(k, free)])
        asked, region = np.full(len(self.atoms.const), -free), units.region.const
        lp.row_lower_ = np.concatenate(
            [units.preact.const, np.full(k, -free), asked, np.full(len(region), -free)])
        lp.row_upper_ = np.concatenate([np.full(k, free), self._first, -asked, region])
        row, column = np.nonzero(np.abs(matrix) > 1e-9)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = columns, m
        lp.a_matrix_.start_ = np.searchsorted(row, np.arange(m + 1)).astype(np.int32)
        lp.a_matrix_.index_ = column.astype(np.int32)
        lp.a_matrix_.value_ = matrix[row, column]
        self._solver.passModel(lp)

    def _chords(self) -> tuple[FloatArray, FloatArray]:
        """Slopes and heights of the lines above the units: y - slope z <= height, less the constant
        of z."""
        slope = self._high / (self._high - self._low)
        return slope, slope * (self.units.preact.const - self._low)

    # --- one domain -------------------------------------------------------------------------------

    def solve(
        self, signs: Signs, low: FloatArray, high: FloatArray, asked: NDArray[np.bool_],
        seconds: float,
    ) -> ProgramAnswer:
        """Whether some point of the relaxed domain, with these splits (gates,) and bounds of the
        units (K,), fulfils the atoms `asked` (A,)."""
        self._change_units(signs, low, high)
        for k in np.flatnonzero(asked != self._asked).tolist():
            least = -self.atoms.const[k] if asked[k] else -np.inf
            self._solver.changeRowBounds(2 * self.units.count + k, float(least), np.inf)
        self._asked = asked.copy()
        solver, kinds = self._solver, self._highspy.HighsModelStatus
        solver.setOptionValue("time_limit", float(solver.getRunTime() + max(seconds, 0.01)))
        solver.run()
        status = solver.getModelStatus()
        if status == kinds.kOptimal:
            return ProgramAnswer(point=np.array(solver.getSolution().col_value))
        if status == kinds.kInfeasible:
            return ProgramAnswer(contradiction=self._contradiction())
        return ProgramAnswer()

    def _change_units(self, signs: Signs, low: FloatArray, high: FloatArray) -> None:
        """Make the program that of a domain, where it is that of another one."""
        sign = signs[self.units.gate]
        kind = np.select([sign > 0, sign < 0, low >= 0, high <= 0],
                         [ACTIVE, INACTIVE, POSITIVE, NEGATIVE], OPEN)
        moved = (kind == OPEN) & (
            np.maximum(np.abs(low - self._low), np.abs(high - self._high))
            > _MOVED * (high - low))
        self._low, self._high = np.where(moved, low, self._low), np.where(moved, high, self._high)
        slope, chord = self._chords()
        first, count, free = self.units.inputs, self.units.count, np.inf
        change = self._solver
        for k in np.flatnonzero((kind != self._kind) | moved).tolist():
            const, what = float(self.units.preact.const[k]), int(kind[k])
            on, off = what in (ACTIVE, POSITIVE), what in (INACTIVE, NEGATIVE)
            change.changeRowBounds(k, -free if what == NEGATIVE else const, const if on else free)
            change.changeRowBounds(count + k, -free, float(chord[k]) if what == OPEN else free)
            change.changeColBounds(
                first + k, -free if what == POSITIVE else 0.0, 0.0 if off else free)
            for j in self._places[k].tolist() if moved[k] else ():
                change.changeCoeff(count + k, j, float(-slope[k] * self.units.preact.matrix[k, j]))
        self._kind = kind

    def _contradiction(self) -> UnitMultipliers | None:
        """The multipliers by which the rows contradict each other, if HiGHS has them."""
        found = self._solver.getDualRay()
        if len(found) != 3 or not found[1]:
            return None
        ray, count = np.array(found[2]), self.units.count
        if not np.isfinite(ray).all():
            return None
        atoms = np.maximum(ray[2 * count : 2 * count + len(self._asked)], 0.0)
        # Of a unit that is inactive, y >= z says that z <= 0.
        return UnitMultipliers(atoms, ray[:count], np.maximum(-ray[2 * count + len(atoms) :], 0.0))
