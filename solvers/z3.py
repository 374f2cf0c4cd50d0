"""z3: satisfiability and linear optimisation in exact rational arithmetic, strict rows included."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from verifex.ir.model.logical import Model
from verifex.ir.model.lower import value_of
from verifex.ir.model.smtlib import assertions, declarations, is_bool, logic, symbol
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

if TYPE_CHECKING:
    from verifex.ir.exact import Number


class Z3:
    """Models go in as SMT-LIB text. With products the objective is not optimised."""

    name = "z3"
    capabilities = Capabilities(exact=True, optimise=True, products=True)

    def availability(self) -> Availability:
        """Whether z3 can be imported, and its version."""
        try:
            import z3
        except ImportError as e:
            return Availability(False, reason=str(e))
        return Availability(True, z3.get_version_string())

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; points and bounds are exact fractions."""
        import z3

        deadline = time.monotonic() + limits.seconds
        linear = logic(model) in ("QF_LRA", "QF_LIRA")
        optimise = model.objective is not None and linear  # Optimize is not to be trusted on others
        solver = z3.Optimize() if optimise else z3.SolverFor(logic(model))
        solver.from_string("\n".join([*declarations(model), *assertions(model)]))
        goal = None
        if optimise:
            term = z3.Real("objective")
            # The text defines `objective` by an equation; here it is only named.
            goal = solver.maximize(term) if model.maximise else solver.minimize(term)
        left = deadline - time.monotonic()
        solver.set("timeout", max(int(left * 1000), 1))
        found = solver.check()
        if found == z3.unsat:
            return Answer(Status.INFEASIBLE)
        stop = Stop.DONE if found == z3.sat else _why(solver.reason_unknown())
        if found != z3.sat:
            return Answer(Status.UNKNOWN, stop, note=solver.reason_unknown())
        bound = _bound(solver, goal, maximise=model.maximise) if goal is not None else None
        return _found(model, solver.model(), goal is not None, bound)


def _found(model: Model, values: Any, optimised: bool, bound: Number | None) -> Answer:
    point, irrational = _point(model, values)
    note = f"{irrational} irrational values left out" if irrational else ""
    objective = value_of(model, point)
    if model.objective is None:
        return Answer(Status.OPTIMAL, point=point, note=note)
    if optimised and bound is not None and objective == bound:
        return Answer(Status.OPTIMAL, Stop.DONE, objective, bound, point, note=note)
    if not optimised:
        note = "z3 does not optimise over products"
    elif bound is None:
        note = "the objective is unbounded"
    else:
        note = "the bound is not attained"
    stop = Stop.DONE if optimised else Stop.UNSUPPORTED
    return Answer(Status.FEASIBLE, stop, objective, bound, point, note=note)


def _why(reason: str) -> Stop:
    if "timeout" in reason or "canceled" in reason:
        return Stop.TIME
    return Stop.MEMORY if "memory" in reason else Stop.UNSUPPORTED


def _bound(solver: Any, goal: Any, *, maximise: bool) -> Number | None:
    """The proven end of the objective: a limit `value + c * epsilon` is `value`, not attained."""
    infinite, finite, _ = goal.upper_values() if maximise else goal.lower_values()
    number = _number(finite)
    return number if _number(infinite) == 0 else None


def _point(model: Model, values: Any) -> tuple[dict[int, Number], int]:
    import z3

    point: dict[int, Number] = {}
    irrational = 0
    for i, v in enumerate(model.variables):
        kind = z3.Bool if is_bool(v) else z3.Int if v.integer else z3.Real
        number = _number(values.eval(kind(symbol(i)), model_completion=True))
        if number is None:
            irrational += 1
        else:
            point[i] = number
    return point, irrational


def _number(value: Any) -> Number | None:
    """A z3 value as an exact number; None where it is irrational or not a value."""
    import z3

    if z3.is_true(value) or z3.is_false(value):
        return int(z3.is_true(value))
    if z3.is_int_value(value):
        return int(value.as_long())
    if z3.is_rational_value(value):
        return Fraction(value.numerator_as_long(), value.denominator_as_long())
    return None
