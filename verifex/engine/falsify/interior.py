"""From a solver's vertex to a point strictly inside its activation region.

An optimum of the margin sits on a corner, often exactly on a kink. With the 0/1 variables fixed as
the solver had them, one linear program moves it inside: every strict row, and the margin, gets a
slack `delta` that is maximised. What comes out is a candidate like any other.
"""

from __future__ import annotations

from fractions import Fraction

from verifex.engine.solve.pool import SolverPool
from verifex.engine.solve.steps import Steps, finish
from verifex.ir.exact import Number
from verifex.ir.model.logical import Implies, Model, Row, Variable
from verifex.ir.model.solving import Answer, SolveLimits
from verifex.semantics.claim import Question


def interior_point(
    question: Question,
    answer: Answer,
    strict: Question,
    pool: SolverPool,
    solver: str,
    limits: SolveLimits,
) -> list[Number] | None:
    """Inputs of a point inside the answer's activation region, or None.

    `strict` is the same question with its gates strictly off their kinks; 0/1 variables are
    matched by name.
    """
    return finish(look_inside(question, answer, strict, pool, solver, limits))


def look_inside(
    question: Question,
    answer: Answer,
    strict: Question,
    pool: SolverPool,
    solver: str,
    limits: SolveLimits,
) -> Steps[list[Number] | None]:
    """The same in steps, between which the solver may be paused."""
    if answer.point is None:
        return None
    chosen = {
        question.model.variables[v].name: round(Fraction(value))
        for v, value in answer.point.items()
        if question.model.variables[v].integer
    }
    model, delta = _fixed(strict, chosen)
    found = yield from pool.asking(solver, model, limits)
    if found.point is None or found.point.get(delta, 0) <= 0:
        return None
    return [found.point.get(v, strict.model.variables[v].lo or 0) for v in strict.inputs]


def _fixed(strict: Question, chosen: dict[str, int]) -> tuple[Model, int]:
    """The model with 0/1 variables fixed where known, and slack `delta` in its strict rows."""
    source = strict.model
    variables = [
        Variable(v.name, chosen[v.name], chosen[v.name], True)
        if v.integer and v.name in chosen
        else v
        for v in source.variables
    ]
    model = Model(variables, products=list(source.products), maximise=True)
    delta = model.new("delta", 0, 1)
    fixed = {i: v.lo for i, v in enumerate(variables) if v.integer and v.lo == v.hi}
    model.rows = [_with_slack(r, delta) for r in source.rows]
    for rule in source.implications:
        if rule.var in fixed:
            if fixed[rule.var] == rule.value:
                model.rows.append(_with_slack(rule.row, delta))
        else:
            slack = Fraction(rule.slack) + 1
            model.implications.append(
                Implies(rule.var, rule.value, _with_slack(rule.row, delta), slack)
            )
    if strict.margin is not None:
        model.rows.append(Row(((strict.margin, 1), (delta, -1)), ">=", 0))
    model.objective = {delta: 1}
    return model, delta


def _with_slack(row: Row, delta: int) -> Row:
    if not row.strict:
        return row
    coef = 1 if row.sense == "<=" else -1
    return Row((*row.coefs, (delta, coef)), row.sense, row.rhs)
