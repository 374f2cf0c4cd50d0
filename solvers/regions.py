"""Region enumeration: decides problems by walking every linear cell in exact rational arithmetic.

The reference that everything else is compared with: slow, obvious, exact, and independent of the
engine and of `verifex.semantics`. Meaning (DESIGN section 2):

* proved: no input and no choice of gate values violates the claim, where on a kink (a
  pre-activation of a gate that is exactly zero) a gate may be 0 or 1;
* refuted: an input violates it at which nothing that the claim reads depends on a kink's gate;
* otherwise the claim is violated on kinks only, and the answer is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from verifex.errors import UnsupportedError
from verifex.ir.exact import Number
from verifex.ir.formula import And, Atom, Cell, Form, Formula, cells
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop
from verifex.ir.problem import Objective, Problem
from verifex.solvers._cells import FREE, Cells, OutOfTime, combine, compile_cells, span
from verifex.solvers._goals import Goal, goal_of, satisfy
from verifex.solvers._pieces import Piece, pieces
from verifex.solvers._simplex import Tableau

FOREVER = float("inf")


@dataclass(frozen=True)
class _Hit:
    """A point that was found, the side of every sign there, and the piece of the region."""

    point: tuple[Fraction, ...]
    signs: dict[Cell, int]
    piece: int


class _Question:
    """A problem, its cells compiled once, walked as often as a question needs it."""

    def __init__(self, problem: Problem, seconds: float) -> None:
        self.problem, self.deadline = problem, time.monotonic() + seconds
        graph = problem.graph
        self.wanted = sorted(cells(problem.require) | cells(problem.assume))
        self.program = compile_cells(graph, self.wanted)

    def pieces(self, first: int | None = None) -> Iterator[tuple[int, Piece]]:
        """The non-empty pieces of the region, numbered; piece `first` before the others."""
        if first is not None:
            yield from (p for p in self.pieces() if p[0] == first)
        for k, piece in enumerate(pieces(self.problem.region)):
            if time.monotonic() > self.deadline:
                raise OutOfTime
            if k != first and piece is not None:
                yield k, piece

    def walk(self, piece: Piece, hint: _Hit | None, kinks: bool = False) -> Cells:
        prefer = hint.signs if hint else None
        return Cells(self.program, piece.inputs, kinks, self.deadline, prefer)

    def find(self, formula: Formula, hint: _Hit | None = None) -> _Hit | None:
        """A point where the formula holds, over closed cells."""
        for _, _, hit in self.parts(goal_of(formula, self.program), hint):
            return hit
        return None

    def parts(self, goal: Goal, hint: _Hit | None) -> Iterator[tuple[Piece, Tableau, _Hit]]:
        """The parts of closed cells where the goal holds, each with a point."""
        for k, piece in self.pieces(hint.piece if hint else None):
            walk = self.walk(piece, hint)
            for leaf in walk.leaves(piece.tableau.copy()):
                for part in satisfy(goal, walk, leaf):
                    yield piece, part, _Hit(piece.point(part), walk.signs(), k)

    def refuting(self, formula: Formula, hint: _Hit) -> _Hit | None:
        """A point where the formula holds and nothing that the claim reads depends on a kink.

        It holds there on some closed cell, so only these are walked again, with kinks as a side.
        """
        goal = goal_of(formula, self.program)
        for piece, part, hit in self.parts(goal, hint):
            # Gates on a kink are FREE here, so that what depends on one shows itself.
            inner = self.walk(piece, hit, kinks=True)
            for cell in inner.leaves(part):
                if any(inner.values[self.program.at[c]] is FREE for c in self.wanted):
                    continue
                for t in satisfy(goal, inner, cell):
                    return _Hit(piece.point(t), inner.signs(), hit.piece)
        return None

    def supremum(self, form: Form) -> tuple[Fraction, _Hit] | None:
        """The supremum of the form over the closed cells where the assumption holds."""
        assume = goal_of(self.problem.assume, self.program)
        top = goal_of(Atom(form), self.program)
        best: tuple[Fraction, _Hit] | None = None
        for k, piece in self.pieces():
            walk = self.walk(piece, None)
            for leaf in walk.leaves(piece.tableau.copy()):
                best = self._climb(walk, top, assume, leaf, piece, k, best)
        return best

    def _climb(
        self, walk: Cells, top: Goal, assume: Goal, leaf: Any, piece: Piece, number: int,
        best: tuple[Fraction, _Hit] | None,
    ) -> tuple[Fraction, _Hit] | None:
        """The better of `best` and what the form reaches on one cell; `number` is the piece's."""
        value = combine(top.den, top.terms, top.bias, walk.values, walk.width)
        if isinstance(value, str):
            raise UnsupportedError(value, key="regions")
        den, ints = value
        # The box of u bounds the form: most cells cannot beat the best and need no linear program.
        if best is not None and Fraction(span(ints)[1], den) <= best[0]:
            return best
        for t in satisfy(assume, walk, leaf):
            climbed = t.maximise(ints[:-1] + [0] * (t.columns - walk.width + 1))
            if climbed is None:
                raise ArithmeticError("a linear form is unbounded over a box")
            reached = (climbed + ints[-1]) / den
            if best is None or reached > best[0]:
                best = reached, _Hit(piece.point(t), walk.signs(), number)
        return best


def decide(problem: Problem, seconds: float = FOREVER) -> Answer:
    """Decide the claim. INFEASIBLE: proved. OPTIMAL: refuted at `point` (flat input index ->
    Fraction). UNKNOWN: violated on kinks only, out of time, or unsupported (see `note`)."""
    start = time.monotonic()

    def answer(status: Status, stop: Stop = Stop.DONE, **more: Any) -> Answer:
        return Answer(status, stop, seconds=time.monotonic() - start, **more)

    try:
        question = _Question(problem, seconds)
        violated = problem.violation()
        closed = question.find(violated)
        if closed is None:
            return answer(Status.INFEASIBLE)
        hit = question.refuting(violated, closed)
        if hit is None:
            return answer(Status.UNKNOWN, note="violated only on a kink")
        return answer(Status.OPTIMAL, point=_point(hit))
    except UnsupportedError as error:
        return answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=str(error))
    except OutOfTime:
        return answer(Status.UNKNOWN, Stop.TIME)


def optimum(problem: Problem, objective: Objective, seconds: float = FOREVER) -> Answer:
    """The exact worst case of a form where region and assumption hold, gates closed as in a proof.

    OPTIMAL with `objective == bound`, `point` where it is reached, and extra: "kink" (it is
    reached on a kink only) and "attained" (False: a supremum that a strict assumption leaves out;
    the point is then a limit). INFEASIBLE: nothing satisfies region and assumption.
    """
    start = time.monotonic()

    def answer(status: Status, stop: Stop = Stop.DONE, **more: Any) -> Answer:
        return Answer(status, stop, seconds=time.monotonic() - start, **more)

    try:
        form = objective.form if objective.maximise else -objective.form
        question = _Question(replace(problem, require=Atom(form)), seconds)
        found = question.supremum(form)
        if found is None:
            return answer(Status.INFEASIBLE)
        value, hit = found
        reach = And((problem.assume, Atom(Form(form.terms, form.const - value))))
        # First a point off the kinks, which is a witness; then any, which tells that it is
        # attained.
        smooth = question.refuting(reach, hit)
        attained = smooth or question.find(reach, hit)
        worst = value if objective.maximise else -value
        return answer(
            Status.OPTIMAL, objective=worst, bound=worst, point=_point(smooth or attained or hit),
            extra={"kink": smooth is None, "attained": attained is not None},
        )
    except UnsupportedError as error:
        return answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=str(error))
    except OutOfTime:
        return answer(Status.UNKNOWN, Stop.TIME)


def _point(hit: _Hit) -> dict[int, Number]:
    return dict(enumerate(hit.point))


class Regions:
    """The adapter: reads the text form of a problem."""

    name = "regions"
    capabilities = Capabilities(exact=True, optimise=True, products=False, reads="problem")

    def availability(self) -> Availability:
        return Availability(True, "1")

    def solve_problem(self, problem: dict[str, Any], limits: SolveLimits) -> Answer:
        """Decide the problem, or optimise its objective where it has one."""
        from verifex.ir.text.document import problem_from_json

        read, objective = problem_from_json(problem)
        if objective is None:
            return decide(read, limits.seconds)
        return optimum(read, objective, limits.seconds)
