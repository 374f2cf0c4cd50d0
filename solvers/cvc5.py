"""cvc5: satisfiability in exact rational arithmetic, strict rows included."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from verifex.ir.model.logical import Model
from verifex.ir.model.lower import value_of
from verifex.ir.model.smtlib import assertions, declarations, logic
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

if TYPE_CHECKING:
    from verifex.ir.exact import Number


class Cvc5:
    """Models go in as SMT-LIB text. An objective is not optimised: the answer is some point."""

    name = "cvc5"
    capabilities = Capabilities(exact=True, optimise=False, products=True)

    def availability(self) -> Availability:
        """Whether cvc5 can be imported, and its version."""
        try:
            import cvc5
        except ImportError as e:
            return Availability(False, reason=f"{e}: pip install 'verifex-nn[cvc5]'")
        version = cvc5.Solver(cvc5.TermManager()).getVersion()
        return Availability(True, version.decode() if isinstance(version, bytes) else version)

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; points are exact fractions."""
        import cvc5

        deadline = time.monotonic() + limits.seconds
        solver = cvc5.Solver(cvc5.TermManager())
        solver.setOption("produce-models", "true")
        symbols = _read(solver, model)
        # Parsing a large model takes seconds, which count.
        left = deadline - time.monotonic()
        if left <= 0:
            return Answer(Status.UNKNOWN, Stop.TIME)
        solver.setOption("tlimit-per", str(max(int(left * 1000), 1)))
        result = solver.checkSat()
        if result.isUnsat():
            return Answer(Status.INFEASIBLE)
        if not result.isSat():
            reason = str(result.getUnknownExplanation())
            return Answer(Status.UNKNOWN, _why(reason), note=reason)
        return _found(model, {str(t): solver.getValue(t) for t in symbols})


def _read(solver: Any, model: Model) -> list[Any]:
    """Pass the model on as text; the terms that were declared."""
    import cvc5

    lines = [f"(set-logic {logic(model)})", *declarations(model), *assertions(model)]
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, "\n".join(lines), "model")
    symbols = parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        said = command.invoke(solver, symbols).strip()
        if said and said != "success":
            raise RuntimeError(f"cvc5: {said}")
    return list(symbols.getDeclaredTerms())


def _found(model: Model, values: dict[str, Any]) -> Answer:
    numbers = {i: _number(values[f"x{i}"]) for i in range(len(model.variables))}
    point = {i: n for i, n in numbers.items() if n is not None}
    left_out = len(numbers) - len(point)
    notes = [f"{left_out} irrational values left out"] if left_out else []
    if model.objective is None:
        return Answer(Status.OPTIMAL, point=point, note="; ".join(notes))
    notes.append("cvc5 finds points but does not optimise")
    objective = value_of(model, point)
    return Answer(Status.FEASIBLE, Stop.UNSUPPORTED, objective, None, point, note="; ".join(notes))


def _number(term: Any) -> Number | None:
    """A value as an exact number; None where it is irrational."""
    if term.isBooleanValue():
        return int(term.getBooleanValue())
    if term.isIntegerValue():
        return int(term.getIntegerValue())
    return Fraction(term.getRealValue()) if term.isRealValue() else None


def _why(reason: str) -> Stop:
    for word, stop in (("TIMEOUT", Stop.TIME), ("MEMOUT", Stop.MEMORY), ("RESOURCE", Stop.TIME)):
        if word in reason.upper():
            return stop
    return Stop.UNSUPPORTED
