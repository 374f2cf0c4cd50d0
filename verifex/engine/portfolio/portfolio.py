"""The portfolio: time is shared out among engines until one decides the claim.

A solver's claim ends it only where no proof is wanted. Else the searches get as much time again as
it took so far, and more as long as one of them reckons to come to its end in the time that is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from verifex.engine.portfolio.engine import Engine
from verifex.engine.portfolio.searches import GatesEngine, InputsEngine
from verifex.engine.portfolio.shares import FIRST, Shares
from verifex.engine.portfolio.sizes import undecided
from verifex.engine.run import OpenPart, Run
from verifex.engine.verdict import Outcome, Verdict

_PROOF = 1.0
"""Seconds at least for a proof of what a solver claims."""

_FEWER = 0.9
"""A part is worth asking about alone that leaves at most this share of the units undecided."""


@dataclass
class Portfolio:
    """The engines that share the time of one run, and what they have had."""

    run: Run
    engines: list[Engine] = field(default_factory=list)
    shares: Shares = field(default_factory=Shares)
    proof_wanted: bool = True
    _cut_off: set[str] = field(default_factory=set)
    _claim: Verdict | None = None
    _claimed_at: float = 0.0

    @property
    def begun(self) -> bool:
        """Whether an engine has had time: then there is something to tell, even if there is none
        left."""
        return bool(self.shares.used)

    def at_root(self) -> Verdict | None:
        """A first slice of the search over gates before any point is tried, where it needs no torch
        and boxes of inputs are not searched: bounds at the root settle many claims sooner."""
        plain = [e for e in self.engines if isinstance(e, GatesEngine) and e.plain]
        if not plain or any(isinstance(e, InputsEngine) for e in self.engines):
            return None
        gates = plain[0]
        verdict = self._slice(gates, FIRST, self._remaining())
        if verdict is None:
            return None
        self._told()
        return replace(
            verdict, steps=tuple(self.run.steps), seconds=self.run.budget.elapsed)

    def decide(self) -> Verdict | None:
        """The verdict of the engine that decides the claim; None where none does in its time."""
        try:
            verdict = self._shared_out()
        finally:
            for engine in self.engines:
                engine.close()
        self._told()
        if verdict is None:
            for engine in self.engines:
                self.run.reasons += engine.reasons()
            return None
        return replace(
            verdict, steps=tuple(self.run.steps), seconds=self.run.budget.elapsed)

    def _shared_out(self) -> Verdict | None:
        budget = self.run.budget
        while not budget.spent:
            remaining = self._remaining()
            if not remaining or self._proof_is_late(remaining):
                break
            name, seconds = self.shares.next(remaining, budget.left)
            engine = next(e for e in self.engines if e.name == name)
            verdict = self._slice(engine, seconds, remaining)
            if verdict is not None and self._final(engine, verdict):
                return verdict
        return self._claim

    def _slice(
        self, engine: Engine, seconds: float, remaining: dict[str, float]
    ) -> Verdict | None:
        """What an engine comes to in a slice, which is counted and told."""
        budget = self.run.budget
        started = budget.clock()
        verdict = self._worked(engine, seconds)
        passed = budget.clock() - started
        self.shares.passed(engine.name, passed, remaining, budget.left)
        self.run.watch.slice(budget.elapsed, engine.name, passed, engine.left)
        return verdict

    def _worked(self, engine: Engine, seconds: float) -> Verdict | None:
        """What an engine comes to in a slice. One that is cut off, for want of time or memory, has
        ended: it may be in the middle of something."""
        came_back = False

        def work() -> Verdict | None:
            nonlocal came_back
            verdict = engine.go_on(seconds)
            came_back = True
            return verdict

        verdict = self.run.tried(engine.source, work)
        if not came_back:
            engine.ended = True
            self._cut_off.add(engine.name)
        return verdict

    def _remaining(self) -> dict[str, float]:
        """What every engine that can go on reckons with; with a claim, only those that prove."""
        return {
            e.name: e.remaining(self.shares.used.get(e.name, 0.0)) for e in self.engines
            if not e.ended and (self._claim is None or e.proves)}

    def _final(self, engine: Engine, verdict: Verdict) -> bool:
        """Whether a verdict ends the question: a claim that nothing proves may wait for a proof."""
        if verdict.outcome is not Outcome.CLAIMED or engine.proves or not self.proof_wanted:
            return True
        if verdict.proof is not None and not verdict.proof.proof.open:
            return True  # a search closed all of it, but for ties: the checker will tell
        self._claim, self._claimed_at = verdict, self.run.budget.elapsed
        return False

    def _proof_is_late(self, remaining: dict[str, float]) -> bool:
        if self._claim is None:
            return False
        since = self.run.budget.elapsed - self._claimed_at
        hopeless = min(remaining.values()) > self.run.budget.left
        return hopeless and since > max(_PROOF, self._claimed_at)

    def _told(self) -> None:
        """One step for each engine, with the time of all its slices."""
        for engine in self.engines:
            if engine.name in self.shares.used and engine.result():
                self.run.step(engine.stage, self.shares.used[engine.name], engine.result())

    def rest(self) -> OpenPart | None:
        """The part that is left open with the fewest undecided units, if those are worth it."""
        run = self.run
        if run.proof is not None and not run.proof.proof.open:
            return None  # all is closed but for ties
        # Sound: what an engine held when it was cut off may be missing from what it says is open.
        whole = [e for e in self.engines if e.name not in self._cut_off]
        parts = [part for e in whole if (part := e.rest()) is not None]
        if not parts:
            return None
        best = min(parts, key=lambda part: undecided(run, part.bounds))
        few = undecided(run, best.bounds) <= _FEWER * undecided(run, run.bounds)
        return best if few else None
