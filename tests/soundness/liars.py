"""Solvers that lie, run in place of a worker: `python liars.py LIE`. Only for tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from verifex.engine.solve.worker import serve
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

HUGE = 10**400


def _corner(model: Model | dict[str, Any]) -> dict[int, Any]:
    """Every variable at its lower bound, whatever the rows say."""
    if isinstance(model, Model):
        return {i: v.lo for i, v in enumerate(model.variables) if v.lo is not None}
    return {i: Fraction(v) for i, v in enumerate(model["region"]["lo"])}


def _every(value: Any) -> Callable[[Any], dict[int, Any]]:
    def point(model: Model | dict[str, Any]) -> dict[int, Any]:
        size = len(model.variables) if isinstance(model, Model) else len(model["region"]["lo"])
        return dict.fromkeys(range(size), value)

    return point


_half, _zero, _far = _every(Fraction(1, 2)), _every(0), _every(10**6)

LIES: dict[str, Callable[[Any], Answer]] = {
    "infeasible": lambda m: Answer(Status.INFEASIBLE),
    "infeasible_with_point": lambda m: Answer(Status.INFEASIBLE, point=_half(m)),
    "low_bound": lambda m: Answer(Status.OPTIMAL, Stop.DONE, -5, -5, _corner(m)),
    "bound_alone": lambda m: Answer(Status.UNKNOWN, Stop.TIME, None, -5, None),
    "bound_just_below": lambda m: Answer(Status.OPTIMAL, Stop.DONE, -1e-12, -1e-12, _zero(m)),
    "high_bound": lambda m: Answer(Status.OPTIMAL, Stop.DONE, 5, 5, _corner(m)),
    "huge_bound": lambda m: Answer(Status.OPTIMAL, Stop.DONE, HUGE, HUGE, _corner(m)),
    "crossed": lambda m: Answer(Status.OPTIMAL, Stop.DONE, 5, -5, _corner(m)),
    "corner": lambda m: Answer(Status.OPTIMAL, point=_corner(m)),
    "centre": lambda m: Answer(Status.FEASIBLE, point=_half(m)),
    "on_a_kink": lambda m: Answer(Status.OPTIMAL, Stop.DONE, 1, 1, _zero(m)),
    "outside": lambda m: Answer(Status.OPTIMAL, Stop.DONE, 1, 1, _far(m)),
    "no_point": lambda m: Answer(Status.OPTIMAL, Stop.DONE, 1, 1, {}),
    "point_of_giants": lambda m: Answer(Status.OPTIMAL, point=_every(Fraction(HUGE, 3))(m)),
    "not_a_number": lambda m: Answer(Status.OPTIMAL, Stop.DONE, float("nan"), float("nan"), {}),
    "sure_of_nothing": lambda m: Answer(Status.UNKNOWN),
}


def _optimum(value: Any) -> Answer:
    return Answer(Status.OPTIMAL, Stop.DONE, value, value)


FICKLE: dict[str, Callable[[Any, int], Answer]] = {
    # The two orders of a lie and the truth, for a maximum that is 1 (of a range or a violation).
    "first_low": lambda m, seed: _optimum(0 if seed == 0 else 1),
    "first_low_then_found": lambda m, seed: (
        _optimum(0) if seed == 0 else replace(_optimum(1), point={0: Fraction(3, 10)
                                                                + Fraction(1, 2**21)})),
    "then_low": lambda m, seed: _optimum(1 if seed == 0 else 0),
    "first_negative": lambda m, seed: _optimum(-5 if seed == 0 else 1),
    "then_negative": lambda m, seed: _optimum(1 if seed == 0 else -5),
    "two_claims": lambda m, seed: _optimum(-5 if seed == 0 else -3),
    "first_infeasible": lambda m, seed: (
        Answer(Status.INFEASIBLE) if seed == 0 else _optimum(Fraction(1, 2))),
    "then_infeasible": lambda m, seed: (
        Answer(Status.INFEASIBLE) if seed else _optimum(Fraction(-1, 4))),
    "half_then_infeasible": lambda m, seed: (
        Answer(Status.INFEASIBLE) if seed else _optimum(Fraction(1, 2))),
    "once": lambda m, seed: (
        _optimum(-5) if seed == 0 else Answer(Status.UNKNOWN, Stop.TIME, note="too late")),
    "thrice": lambda m, seed: _optimum(-5 if seed < 3 else 1),
    # Half of the truth: what the sampled values, the search or nobody contradicts.
    "half": lambda m, seed: _optimum(Fraction(1, 2)),
    "zero": lambda m, seed: _optimum(0),
    "infeasible_always": lambda m, seed: Answer(Status.INFEASIBLE),
    "echo": lambda m, seed: Answer(Status.UNKNOWN, note=f"seed {seed}"),
}
"""Lies that depend on the seed, or are told whatever the seed."""


class Liar:
    """Answers every question with the same lie, whether it reads models or problems."""

    name = "liar"

    def __init__(self, lie: str, reads: str) -> None:
        self._lie = FICKLE[lie] if lie in FICKLE else lambda m, seed: LIES[lie](m)
        self.capabilities = Capabilities(True, True, True, reads=reads)

    def availability(self) -> Availability:
        return Availability(True, "0")

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        return self._lie(model, limits.seed)

    def solve_problem(self, problem: dict[str, Any], limits: SolveLimits) -> Answer:
        return self._lie(problem, limits.seed)


if __name__ == "__main__":
    serve(lambda: Liar(sys.argv[1], sys.argv[2]))
