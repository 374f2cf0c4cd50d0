"""Gurobi: linear, mixed-integer and bilinear models in floating point, within its licence."""

from __future__ import annotations

import math
from typing import Any

from verifex.ir.model.logical import Model
from verifex.ir.model.lower import FloatRow, Milp, lower, point_of
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

_INDICATOR_ABOVE = 1e5  # looser big-M rows are weaker than Gurobi's own indicators
_TOO_LARGE = 10010
_NO_LICENCE = 10009
_SEEDS = 2_000_000_000
_LIMIT = "2000 variables, 2000 rows, 200 variables with products"
_PARAMETERS: dict[str, Any] = {
    "MIPGap": 0.0,
    "MIPGapAbs": 1e-9,
    "FeasibilityTol": 1e-9,
    "OptimalityTol": 1e-9,
    "IntFeasTol": 1e-9,
    "NonConvex": 2,
    "DualReductions": 0,  # tells infeasible from unbounded
}


class Gurobi:
    """Products are quadratic rows; the licence that comes with gurobipy is small and says so."""

    name = "gurobi"
    capabilities = Capabilities(exact=False, optimise=True, products=True)

    def availability(self) -> Availability:
        """Whether gurobipy can be imported and has a licence."""
        try:
            import gurobipy
        except ImportError as e:
            return Availability(False, reason=str(e))
        version = ".".join(map(str, gurobipy.gurobi.version()))
        try:
            with _environment() as env:
                licence = env.getParam("LicenseID")
        except gurobipy.GurobiError as e:
            return Availability(False, version, f"no licence: {e}")
        return Availability(True, version, f"bundled licence: {_LIMIT}" if licence == 0 else "")

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; a point and Gurobi's bound, both proposals. Stop.LICENCE beyond the licence."""
        import gurobipy

        milp = lower(model, indicators_above=_INDICATOR_ABOVE)
        if milp.contradiction:
            return Answer(Status.INFEASIBLE)
        try:
            with _environment() as env, gurobipy.Model(env=env) as program:
                for parameter, value in _PARAMETERS.items():
                    program.setParam(parameter, value)
                program.Params.TimeLimit = limits.seconds
                program.Params.Threads = limits.threads
                program.Params.Seed = limits.seed % _SEEDS
                variables = _fill(program, model, milp)
                program.optimize()
                return _answer(program, variables, model, milp)
        except gurobipy.GurobiError as e:
            if e.errno == _TOO_LARGE:
                size = f"{len(model.variables)} variables, {len(milp.rows)} rows"
                note = f"the model ({size}) is beyond the licence of Gurobi ({_LIMIT})"
                return Answer(Status.UNKNOWN, Stop.LICENCE, note=note)
            if e.errno == _NO_LICENCE:
                return Answer(Status.UNKNOWN, Stop.LICENCE, note=str(e))
            raise


def _environment() -> Any:
    import gurobipy

    env = gurobipy.Env(empty=True)
    env.setParam("OutputFlag", 0)
    env.start()
    return env


def _fill(program: Any, model: Model, milp: Milp) -> list[Any]:
    """Put the model into `program`; its variables in our order."""
    import gurobipy

    kinds = [gurobipy.GRB.INTEGER if k else gurobipy.GRB.CONTINUOUS for k in milp.integer]
    n = len(milp.lo)
    cost = [milp.cost.get(i, 0.0) for i in range(n)]
    made = program.addVars(n, lb=milp.lo, ub=milp.hi, obj=cost, vtype=kinds)
    variables = [made[i] for i in range(n)]

    def form(row: FloatRow) -> Any:
        return gurobipy.LinExpr(row.coefs, [variables[v] for v in row.positions])

    for row in milp.rows:
        for sense, rhs in _sides(row):
            program.addLConstr(form(row), sense, rhs)
    for rule in milp.indicators:
        for sense, rhs in _sides(rule.row):
            premise = variables[rule.var]
            program.addGenConstrIndicator(premise, bool(rule.value), form(rule.row), sense, rhs)
    for p in model.products:
        product = variables[p.left] * variables[p.right]
        program.addQConstr(product, gurobipy.GRB.EQUAL, variables[p.out])
    grb = gurobipy.GRB
    program.ModelSense = grb.MAXIMIZE if model.maximise else grb.MINIMIZE
    return variables


def _sides(row: FloatRow) -> list[tuple[str, float]]:
    if row.lo == row.hi:
        return [("=", row.lo)]
    sides = ((">", row.lo), ("<", row.hi))
    return [(sense, rhs) for sense, rhs in sides if math.isfinite(rhs)]


def _answer(program: Any, variables: list[Any], model: Model, milp: Milp) -> Answer:
    import gurobipy

    grb, ended = gurobipy.GRB, program.Status
    if ended == grb.INFEASIBLE:
        return Answer(Status.INFEASIBLE, note=milp.note)
    feasible = program.SolCount > 0
    point = point_of(model, milp, [v.X for v in variables]) if feasible else None
    wanted = model.objective is not None
    objective = milp.objective(program.ObjVal) if feasible and wanted else None
    bound = None
    if wanted and ended in (grb.OPTIMAL, grb.TIME_LIMIT, grb.INTERRUPTED, grb.MEM_LIMIT):
        # The attribute is not there for every kind of model and end.
        raw = program.ObjBound if hasattr(program, "ObjBound") else math.inf
        bound = milp.objective(raw) if abs(raw) < grb.INFINITY else None
    if ended == grb.OPTIMAL and feasible:
        return Answer(Status.OPTIMAL, Stop.DONE, objective, bound, point, note=milp.note)
    stops = {grb.TIME_LIMIT: Stop.TIME, grb.MEM_LIMIT: Stop.MEMORY, grb.NUMERIC: Stop.CRASH}
    status = Status.FEASIBLE if feasible else Status.UNKNOWN
    names = {getattr(grb.Status, name): name for name in dir(grb.Status) if name.isupper()}
    note = "; ".join(n for n in (milp.note, names.get(ended, str(ended)).lower()) if n)
    return Answer(status, stops.get(ended, Stop.DONE), objective, bound, point, note=note)
