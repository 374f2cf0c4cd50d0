"""HiGHS, the embedded default: linear and mixed-integer models in floating point."""

from __future__ import annotations

import math
from typing import Any

from verifex.errors import UnsupportedError
from verifex.ir.model.logical import Model
from verifex.ir.model.lower import Milp, lower, point_of
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

_OPTIONS: dict[str, Any] = {"output_flag": False, "mip_rel_gap": 0.0, "mip_abs_gap": 1e-9}
_TOLERANCES = (
    "primal_feasibility_tolerance", "dual_feasibility_tolerance", "mip_feasibility_tolerance",
)
_SEEDS = 2**31 - 1


class Highs:
    """Implications are big-M rows; strict rows are taken as non-strict.

    `highs` keeps HiGHS's own tolerances: with tighter ones it errs no less
    (docs/solver-honesty.md). `highs:TOLERANCE`, such as `highs:1e-9`, sets all three of them.
    """

    name = "highs"
    capabilities = Capabilities(exact=False, optimise=True, products=False)

    def __init__(self, tolerance: str = "") -> None:
        self.tolerances = dict.fromkeys(_TOLERANCES, _tolerance(tolerance)) if tolerance else {}

    def availability(self) -> Availability:
        """Whether highspy can be imported, and HiGHS's version."""
        try:
            import highspy
        except ImportError as e:
            return Availability(False, reason=str(e))
        return Availability(True, highspy.Highs().version())

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; a point and HiGHS's dual bound, both proposals."""
        import highspy

        milp = lower(model)
        if milp.contradiction:
            return Answer(Status.INFEASIBLE)
        solver = highspy.Highs()
        options = _OPTIONS | self.tolerances | {
            "time_limit": float(limits.seconds),
            "threads": limits.threads,
            "random_seed": limits.seed % _SEEDS,
        }
        for option, value in options.items():
            _must(solver.setOptionValue(option, value), f"option {option}")
        _must(solver.passModel(_program(milp, maximise=model.maximise)), "reading the model")
        _must(solver.run(), "solving")
        return _answer(solver, model, milp)


def _tolerance(text: str) -> float:
    """A tolerance that HiGHS takes; UnsupportedError where the text is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1e-10 <= value <= 1e-2:
        raise UnsupportedError(
            f"highs:{text}", expected="a tolerance from 1e-10 to 1e-2, such as highs:1e-9"
        )
    return value


def _must(status: Any, what: str) -> None:
    """HiGHS reports trouble by a return value only; a warning means it changed what we said."""
    import highspy

    warned = status == highspy.HighsStatus.kWarning and what != "solving"
    if status == highspy.HighsStatus.kError or warned:
        raise RuntimeError(f"HiGHS refused: {what} ({status})")


def _program(milp: Milp, *, maximise: bool) -> Any:
    import highspy
    import numpy as np

    lp = highspy.HighsLp()
    n = len(milp.lo)
    lp.num_col_, lp.num_row_ = n, len(milp.rows)
    lp.col_lower_, lp.col_upper_ = np.array(milp.lo), np.array(milp.hi)
    cost = np.zeros(n)
    for v, c in milp.cost.items():
        cost[v] = c
    lp.col_cost_ = cost
    lp.row_lower_ = np.array([r.lo for r in milp.rows])
    lp.row_upper_ = np.array([r.hi for r in milp.rows])
    lp.sense_ = highspy.ObjSense.kMaximize if maximise else highspy.ObjSense.kMinimize
    if any(milp.integer):
        kinds = highspy.HighsVarType
        lp.integrality_ = [kinds.kInteger if k else kinds.kContinuous for k in milp.integer]
    # Compressed rows: where each begins, then columns and coefficients in one stretch.
    starts = np.cumsum([0, *(len(r.positions) for r in milp.rows)])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = n, len(milp.rows)
    lp.a_matrix_.start_ = starts.astype(np.int32)
    lp.a_matrix_.index_ = np.array([v for r in milp.rows for v in r.positions], dtype=np.int32)
    lp.a_matrix_.value_ = np.array([c for r in milp.rows for c in r.coefs], dtype=np.float64)
    return lp


def _answer(solver: Any, model: Model, milp: Milp) -> Answer:
    import highspy

    info, ended = solver.getInfo(), solver.getModelStatus()
    kinds = highspy.HighsModelStatus
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    point = point_of(model, milp, solver.getSolution().col_value) if feasible else None
    wanted = model.objective is not None
    objective = milp.objective(info.objective_function_value) if feasible and wanted else None
    text = solver.modelStatusToString(ended)
    stop = _STOPS.get(text, Stop.DONE)
    note = "; ".join(p for p in (milp.note, "" if ended == kinds.kOptimal else text) if p)
    if ended == kinds.kInfeasible:
        return Answer(Status.INFEASIBLE, note=milp.note)
    # The bound stands while HiGHS stopped in an orderly way, whether or not it has a point.
    bound = None
    if wanted and any(milp.integer):
        bound = milp.objective(info.mip_dual_bound) if stop != Stop.CRASH else None
    elif wanted and ended == kinds.kOptimal:
        bound = objective
    if bound is not None and not math.isfinite(bound):
        bound = None
    if ended == kinds.kOptimal and feasible:
        return Answer(Status.OPTIMAL, Stop.DONE, objective, bound, point, note=note)
    status = Status.FEASIBLE if feasible else Status.UNKNOWN
    return Answer(status, stop, objective, bound, point, note=note)


_STOPS = {
    "Time limit reached": Stop.TIME,
    "Memory limit reached": Stop.MEMORY,
    "Solve error": Stop.CRASH,
    "Unknown": Stop.CRASH,
}
