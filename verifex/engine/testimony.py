"""What solvers say, weighed: they are witnesses, not judges.

A floating-point solver has called wrong optima optimal and feasible models infeasible. So what it
says is compared with what is known at a point, and where nothing but its word stands behind a claim
it is asked again, with another seed and the model in another order: two runs must agree. What
contradicts a point, the search or another run is discarded, and named.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from verifex.engine.findings.reasons import Reason, ReasonKind
from verifex.engine.solve.steps import Steps, at_once, finish
from verifex.ir.model.lower import to_float
from verifex.ir.model.solving import Answer, Status, Stop

AGREED = 1e-6
"""Numbers agree up to this, relative to their size."""

_SMALLEST = 1e-3
"""What is smaller counts as of this size: solvers work with absolute tolerances."""

_RUNS = 3
"""At most so many runs of a solver on one question: two that agree, and one that was discarded."""


def allowance(*values: float) -> float:
    """By how much values of this size may differ and still agree."""
    return AGREED * max(_SMALLEST, *(abs(v) for v in values if math.isfinite(v)))


@dataclass(frozen=True)
class Statement:
    """What one run of a solver says: a bound of an extremum, or that a question has no answer.

    Without either it says nothing of use, and `why` tells the reason. `final`: the run ended by
    itself, so that another one must come to the same; `cut`: it ran out of time. `against` names
    what the statement contradicts: such a one is discarded.
    """

    bound: float | None = None
    infeasible: bool = False
    final: bool = False
    cut: bool = False
    against: str = ""
    why: str = ""

    def __str__(self) -> str:
        if self.bound is not None:
            return f"bound {self.bound:.9g}"
        return "answer 'infeasible'" if self.infeasible else "silence"

    def contradicted(self, name: str) -> Reason:
        """Why it is discarded, if it was `name` who said it."""
        return Reason(ReasonKind.CONTRADICTED, name, self.against, self.bound)


def heard(answer: Answer) -> Statement:
    """An answer as a statement. Raises UnsupportedError for a bound that no float holds."""
    cut = answer.stop is Stop.TIME
    if answer.status is Status.INFEASIBLE:
        return Statement(infeasible=True, final=True)
    if answer.bound is None:
        return Statement(cut=cut, why=f"{answer.stop.value} {answer.note}".strip())
    return Statement(to_float(answer.bound), final=answer.status is Status.OPTIMAL, cut=cut)


@dataclass
class Hearing:
    """A floating-point solver questioned, more than once if need be.

    `ask(k, share)` makes the k-th run, in a share of the time that is left; None ends the hearing
    (there is a witness). `decides` tells the statements that a claim would rest on. Bounds are
    upper ones if `upper`. With `reserve` time is kept for a second run. What is discarded or not
    claimed goes to `reasons`, by name.
    """

    name: str
    ask: Callable[[int, float], Statement | Steps[Statement | None] | None]
    decides: Callable[[Statement], bool]
    upper: bool
    spent: Callable[[], bool]
    reasons: list[Reason]
    reserve: bool = True

    def outcome(self) -> Statement | None:
        """What stands in the end: what no claim rests on, or what two runs say. None: nothing."""
        return finish(self.hear())

    def hear(self) -> Steps[Statement | None]:
        """The same in the steps of `ask`."""
        held: Statement | None = None
        late: Statement | None = None
        for k in range(_RUNS):
            if k and self.spent():
                break
            half = self.reserve and held is None and late is None
            said = yield from at_once(self.ask(k, 0.5 if half else 1.0))
            if said is None:
                return None
            if said.against:
                self.reasons.append(said.contradicted(self.name))
            elif held is not None:
                return self._both(held, said)
            elif self.decides(said):
                held = said
            elif not (self.reserve and said.cut) or late is not None:
                return said
            else:  # the time that was kept for a second run may find it a point
                late = said
        if held is not None:
            self._not_confirmed(held, "no time for a second run with another seed")
            return None
        return late

    def _both(self, first: Statement, second: Statement) -> Statement | None:
        """What two runs stand for together: the weaker of two bounds that may both be true."""
        both = first if second.infeasible else self._weaker(first, second)
        if first.infeasible != second.infeasible or both is None:
            word = f"says {second}" + (f" ({second.why})" if second.why else "")
            self._not_confirmed(first, f"a second run, with another seed, {word}")
            return None
        if not self.decides(both):
            self._not_confirmed(first, f"a second run came to {second} in its time")
        return both

    def _weaker(self, first: Statement, second: Statement) -> Statement | None:
        """The weaker of two bounds; None where they exclude each other, or one is missing."""
        if first.bound is None or second.bound is None:
            return None
        one, two = first.bound, second.bound
        gap = (one - two) if self.upper else (two - one)  # above 0: the second one is tighter
        # A run that ended says what the extremum is: no true bound cuts that off.
        if abs(gap) > allowance(one, two) and (first.final if gap > 0 else second.final):
            return None
        return Statement(two if gap < 0 else one, final=first.final and second.final)

    def _not_confirmed(self, said: Statement, why: str) -> None:
        self.reasons.append(Reason(ReasonKind.NOT_CONFIRMED, self.name, why, said.bound))
