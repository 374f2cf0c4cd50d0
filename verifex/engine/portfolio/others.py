"""A solver as an engine, which is paused between its slices, and the attack as one."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from verifex.engine.by_solver import steps_of
from verifex.engine.falsify.attack import Attack
from verifex.engine.findings.reasons import ATTACK, Reason, ReasonKind, replayed
from verifex.engine.portfolio.sizes import by_size, undecided
from verifex.engine.run import OpenPart, Run
from verifex.engine.solve.steps import Steps
from verifex.engine.verdict import Outcome, Verdict

_NEARER = Fraction(1, 20)
"""An attack comes nearer that takes this share off the least margin known before it."""

_FRUITLESS = 3
"""Attacks in a row that come no nearer to a violation, after which there are no more."""


_ENOUGH = 0.1
"""Of the time limit, what attacks get as long as they come no nearer."""


class SolverEngine:
    """A solver's try at the claim. Its process stands still between two slices, unless there is
    more than one thread: then it goes on beside the others.

    `rest` chooses, when the solver begins, the part that is left to be solved.
    """

    proves = False

    def __init__(self, run: Run, name: str, rest: Callable[[], OpenPart | None]) -> None:
        self.run, self.name, self.stage, self.source = run, name, name, name
        self.ended = False
        self._rest, self._verdict = rest, "open"
        self._steps: Steps[Verdict | None] | None = None
        self._beside = run.budget.threads > 1
        self._exact = run.pool.info(name)[0].exact
        self._units = undecided(run, run.bounds)
        self._used = self._began = 0.0
        self._first: float | None = None
        """Seconds that the first of two runs took, once it is known."""

    def go_on(self, seconds: float) -> Verdict | None:
        run, until = self.run, self.run.budget.clock() + seconds
        if self._steps is None:
            rest = self._rest()
            if rest is not None:
                self._units = undecided(run, rest.bounds)
            self._steps = steps_of(run, self.name, rest=rest, in_turns=self._confirm)
        self._began = run.budget.clock()
        run.pool.resume(self.name)
        try:
            while True:
                next(self._steps)
                if run.budget.spent or run.budget.clock() >= until:
                    break
        except StopIteration as end:
            self.ended = True
            verdict: Verdict | None = end.value
            self._verdict = "open" if verdict is None else verdict.outcome.value
            return verdict
        self._used += run.budget.clock() - self._began
        if not self._beside:
            run.pool.pause(self.name)
        return None

    def _confirm(self) -> None:
        """A first run has said that the claim holds, and a second one has to say so too."""
        if self._first is None:
            self._first = self._used + self.run.budget.clock() - self._began

    @property
    def left(self) -> float | None:
        return None

    def remaining(self, used: float) -> float:
        # What has taken so long will take as long again; before that, by the size of the question.
        if self._first is not None and used < 2.0 * self._first:
            return 2.0 * self._first - used  # the second run is much like the first
        again = 4.0 if self._exact else 2.0
        return max(by_size(self._units, self._exact), again * used)

    def result(self) -> str:
        return self._verdict

    def reasons(self) -> list[Reason]:
        if self.ended:
            return []  # it has told them itself
        return [Reason(ReasonKind.NO_ANSWER, self.name, "time its slices did not suffice")]

    def rest(self) -> OpenPart | None:
        return None

    def close(self) -> None:
        """Whatever it was asked is given up: its process is killed in the middle of that."""
        if self._steps is not None:
            self._steps.close()
        self.run.pool.resume(self.name)
        self.ended = True


class AttackEngine:
    """More points, and climbs along slopes, from other seeds each time one attack is at its end:
    over when several in a row come no nearer to a violation."""

    name, stage, source = "attack", "more attack", ATTACK
    proves = False

    def __init__(self, run: Run) -> None:
        self.run, self.ended = run, False
        self._attack: Attack | None = None
        self._before = run.margin_high
        self._round = self._fruitless = self._tried = 0

    def go_on(self, seconds: float) -> Verdict | None:
        run, budget = self.run, self.run.budget.part(1.0, at_most=seconds)
        while not (budget.spent or self.ended):
            if self._attack is None:
                self._round, self._before = self._round + 1, run.margin_high
                self._attack = Attack(
                    run.problem, run.bounds, seed=run.settings.seed + self._round,
                    rounds=2**self._round)
            before = self._attack.tried
            witness = self._attack.run(budget)
            self._tried += self._attack.tried - before
            if self._attack.ended:
                witness = witness or run.attained(self._attack.best_point)
                self._fruitless = 0 if self._nearer() else self._fruitless + 1
                self.ended = self._fruitless >= _FRUITLESS
                self._attack = None
            if witness is not None:
                return run.verdict(Outcome.REFUTED, evidence=replayed(ATTACK), witness=witness)
        return None

    def _nearer(self) -> bool:
        """Whether the last attack came clearly nearer to a violation."""
        now, before = self.run.margin_high, self._before
        return now is not None and (before is None or before - now > _NEARER * abs(before))

    @property
    def left(self) -> float | None:
        return None

    def remaining(self, used: float) -> float:
        enough = used > _ENOUGH * self.run.budget.seconds and self._fruitless
        return math.inf if enough else max(1.0, 4.0 * used)

    def result(self) -> str:
        return f"{self._tried} points tried"

    def reasons(self) -> list[Reason]:
        return []

    def rest(self) -> OpenPart | None:
        return None

    def close(self) -> None:
        """Nothing runs between two slices."""
