"""PuLP: CBC, which it ships, and every other solver that PuLP knows by name."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

from verifex.ir.model.logical import Model
from verifex.ir.model.lower import Milp, lower, point_of
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

_CBC = ("PULP_CBC_CMD", "COIN_CMD")  # PuLP 4 has the second only
_CBC_TOLERANCES = ["primalTolerance 1e-9", "dualTolerance 1e-9", "integerTolerance 1e-9"]
_SEEDS = 2**31 - 2
_PRECISION = "CBC gets 13 digits of each number and prints points with about 8"


class Pulp:
    """`pulp` is CBC; `pulp:NAME` takes another solver by PuLP's name, with or without `_CMD`."""

    name = "pulp"
    capabilities = Capabilities(exact=False, optimise=True, products=False)

    def __init__(self, solver: str = "CBC") -> None:
        self.wanted = solver

    def availability(self) -> Availability:
        """Whether PuLP can be imported and finds the solver; which one, in the version."""
        try:
            import pulp
        except ImportError as e:
            return Availability(False, reason=str(e))
        name = self._solver_name()
        if name is None:
            known = ", ".join(sorted(_quietly(pulp.listSolvers, onlyAvailable=True)))
            reason = f"PuLP {pulp.__version__} finds no {self.wanted}, it finds {known}"
            return Availability(False, pulp.__version__, reason)
        caveat = _PRECISION if name in _CBC else ""
        return Availability(True, f"{pulp.__version__} with {name}", caveat)

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; a point, and a bound where the solver says that the point is optimal."""
        name = self._solver_name()
        if name is None:
            return Answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=self.availability().reason)
        milp = lower(model)
        if milp.contradiction:
            return Answer(Status.INFEASIBLE)
        return _quietly(_run, name, model, milp, limits)  # type: ignore[no-any-return]

    def _solver_name(self) -> str | None:
        import pulp

        there = set(_quietly(pulp.listSolvers, onlyAvailable=True))
        names = _CBC if self.wanted.upper() == "CBC" else (self.wanted, f"{self.wanted}_CMD")
        return next((n for n in names if n in there), None)


def _quietly(call: Any, *args: Any, **options: Any) -> Any:
    """Call with warnings off: PuLP 3 warns about PuLP 4 wherever it can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **options)


def _run(name: str, model: Model, milp: Milp, limits: SolveLimits) -> Answer:
    import pulp

    problem, variables = _problem(model, milp)
    options: dict[str, Any] = {"msg": False, "gapRel": 0.0, "gapAbs": 1e-9}
    options |= {"timeLimit": limits.seconds, "threads": limits.threads}
    kind = type(pulp.getSolver(name, msg=False))
    # Each of PuLP's solvers takes options of its own; only those that it knows are passed on.
    taken = inspect.signature(kind.__init__).parameters
    if name in _CBC:
        # 0 would mean the time of day to CBC; without a word it takes the same seeds every time.
        seed = 1 + limits.seed % _SEEDS
        options["options"] = [*_CBC_TOLERANCES, f"randomSeed {seed}", f"randomCbcSeed {seed}"]
    solver = pulp.getSolver(name, **{k: v for k, v in options.items() if k in taken})
    try:
        problem.solve(solver)
    except pulp.PulpSolverError as e:
        return Answer(Status.UNKNOWN, Stop.CRASH, note=str(e)[:300])
    infeasible = problem.status == pulp.LpStatusInfeasible
    if infeasible and not _bounded(milp):
        # PuLP folds "infeasible or unbounded" into "infeasible": without objective they differ.
        again, _ = _problem(model, Milp(milp.lo, milp.hi, milp.integer, milp.rows))
        again.solve(solver)
        if again.status != pulp.LpStatusInfeasible:
            return Answer(Status.UNKNOWN, note="infeasible or unbounded")
    if infeasible:
        return Answer(Status.INFEASIBLE, note=milp.note)
    return _answer(problem, variables, model, milp)


def _problem(model: Model, milp: Milp) -> tuple[Any, list[Any]]:
    """The model as a PuLP problem, and its variables in our order."""
    import pulp

    sense = pulp.LpMaximize if model.maximise else pulp.LpMinimize
    problem = pulp.LpProblem("verifex", sense)
    variables = [
        problem.add_variable(
            f"x{i}",
            lowBound=None if lo == -math.inf else lo,
            upBound=None if hi == math.inf else hi,
            cat=pulp.LpInteger if integer else pulp.LpContinuous,
        )
        for i, (lo, hi, integer) in enumerate(zip(milp.lo, milp.hi, milp.integer))
    ]
    problem += pulp.LpAffineExpression([(variables[v], c) for v, c in milp.cost.items()])
    if not milp.rows:  # CBC fails on a file without rows
        problem += problem.add_variable("idle", lowBound=0, upBound=1) <= 1
    for row in milp.rows:
        terms = zip((variables[v] for v in row.positions), row.coefs)
        form = pulp.LpAffineExpression(list(terms))
        if row.lo == row.hi:
            problem += form == row.lo
            continue
        if math.isfinite(row.lo):
            problem += form >= row.lo
        if math.isfinite(row.hi):
            problem += form <= row.hi
    return problem, variables


def _bounded(milp: Milp) -> bool:
    return all(math.isfinite(milp.lo[v]) and math.isfinite(milp.hi[v]) for v in milp.cost)


def _answer(problem: Any, variables: list[Any], model: Model, milp: Milp) -> Answer:
    import pulp

    optimal = problem.sol_status == pulp.LpSolutionOptimal
    if not (optimal or problem.sol_status == pulp.LpSolutionIntegerFeasible):
        text = pulp.LpStatus.get(problem.status, "unknown").lower()
        stop = Stop.TIME if problem.status == pulp.LpStatusNotSolved else Stop.DONE
        return Answer(Status.UNKNOWN, stop, note=text)
    # A variable in no row and not in the objective has no value: any within its bounds will do.
    values = [
        float(v.varValue) if v.varValue is not None else min(max(0.0, lo), hi)
        for v, lo, hi in zip(variables, milp.lo, milp.hi)
    ]
    scaled = sum(c * values[v] for v, c in milp.cost.items())
    objective = None if model.objective is None else milp.objective(scaled)
    bound = objective if optimal else None  # PuLP hands on no bound otherwise
    end = (Status.OPTIMAL, Stop.DONE) if optimal else (Status.FEASIBLE, Stop.TIME)
    return Answer(*end, objective, bound, point_of(model, milp, values), note=milp.note)
