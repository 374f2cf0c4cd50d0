"""SCIP: linear, mixed-integer and bilinear models in floating point."""

from __future__ import annotations

import math
from typing import Any

from verifex.ir.model.logical import Model
from verifex.ir.model.lower import FloatRow, Milp, lower, point_of
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

_INDICATOR_ABOVE = 1e5  # looser big-M rows are weaker than SCIP's own indicators
_INFINITY = 1e20
_SEEDS = 2**31 - 1
_PARAMETERS: dict[str, Any] = {
    "limits/gap": 0.0,
    "limits/absgap": 1e-9,
    "numerics/feastol": 1e-9,
    "numerics/dualfeastol": 1e-9,
}
_STOPS = {"timelimit": Stop.TIME, "memlimit": Stop.MEMORY, "userinterrupt": Stop.INTERRUPTED}


class Scip:
    """Products are bilinear rows, decided by spatial branch and bound."""

    name = "scip"
    capabilities = Capabilities(exact=False, optimise=True, products=True)

    def availability(self) -> Availability:
        """Whether pyscipopt can be imported, and SCIP's version."""
        try:
            import pyscipopt
        except ImportError as e:
            return Availability(False, reason=f"{e}: pip install 'verifex-nn[scip]'")
        return Availability(True, str(pyscipopt.Model().version()))

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; a point and SCIP's dual bound, both proposals."""
        import pyscipopt

        milp = lower(model, indicators_above=_INDICATOR_ABOVE)
        if milp.contradiction:
            return Answer(Status.INFEASIBLE)
        solver = pyscipopt.Model()
        solver.hideOutput()
        solver.setParams(
            _PARAMETERS
            | {"limits/time": float(limits.seconds), "limits/memory": limits.memory / (1 << 20)}
            | {"randomization/randomseedshift": limits.seed % _SEEDS}
        )
        variables = _fill(solver, model, milp)
        solver.optimize()
        return _answer(solver, variables, model, milp)


def _fill(solver: Any, model: Model, milp: Milp) -> list[Any]:
    """Put the model into `solver`; its variables in our order."""
    from pyscipopt import quicksum

    variables = [
        solver.addVar(
            name=f"x{i}",
            vtype="B" if integer and (lo, hi) == (0, 1) else "I" if integer else "C",
            lb=None if lo == -math.inf else lo,
            ub=None if hi == math.inf else hi,
        )
        for i, (lo, hi, integer) in enumerate(zip(milp.lo, milp.hi, milp.integer))
    ]

    def form(row: FloatRow) -> Any:
        return quicksum(c * variables[v] for v, c in zip(row.positions, row.coefs))

    for row in milp.rows:
        for side in _sides(form(row), row):
            solver.addCons(side)
    for rule in milp.indicators:
        for side in _upper_sides(form(rule.row), rule.row):
            solver.addConsIndicator(side, variables[rule.var], activeone=bool(rule.value))
    for p in model.products:
        solver.addCons(variables[p.left] * variables[p.right] == variables[p.out])
    cost = quicksum(c * variables[v] for v, c in milp.cost.items())
    solver.setObjective(cost, "maximize" if model.maximise else "minimize")
    return variables


def _sides(form: Any, row: FloatRow) -> list[Any]:
    if row.lo == row.hi:
        return [form == row.lo]
    sides = [form >= row.lo] if math.isfinite(row.lo) else []
    return [*sides, form <= row.hi] if math.isfinite(row.hi) else sides


def _upper_sides(form: Any, row: FloatRow) -> list[Any]:
    sides = [-1 * form <= -row.lo] if math.isfinite(row.lo) else []
    return [*sides, form <= row.hi] if math.isfinite(row.hi) else sides


def _answer(solver: Any, variables: list[Any], model: Model, milp: Milp) -> Answer:
    ended = solver.getStatus()
    if ended == "infeasible":
        return Answer(Status.INFEASIBLE, note=milp.note)
    feasible = solver.getNSols() > 0 and ended not in ("inforunbd",)
    values = solver.getBestSol() if feasible else None
    found = [solver.getSolVal(values, v) for v in variables] if feasible else []
    point = point_of(model, milp, found) if feasible else None
    wanted = model.objective is not None
    objective = milp.objective(solver.getSolObjVal(values)) if feasible and wanted else None
    raw = solver.getDualbound()
    bound = milp.objective(raw) if wanted and abs(raw) < _INFINITY else None
    if ended in ("optimal", "gaplimit") and feasible:
        return Answer(Status.OPTIMAL, Stop.DONE, objective, bound, point, note=milp.note)
    status = Status.FEASIBLE if feasible else Status.UNKNOWN
    note = "; ".join(n for n in (milp.note, ended) if n)
    return Answer(status, _STOPS.get(ended, Stop.DONE), objective, bound, point, note=note)
