"""Solver processes kept warm: one per solver, shared by the stages and queries of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from verifex.engine.solve import registry
from verifex.engine.solve.child import SolverProcess
from verifex.engine.solve.steps import Steps, finish
from verifex.errors import MissingSolverError
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop


class SolverPool:
    """Opens solvers on first use and closes them all at the end. Not for use by two threads.

    `replacements` maps a name to a process and its capabilities, for tests that plant a solver.
    Once `stopped` says so, a solver that works is ended, and no other is asked.
    """

    def __init__(
        self, replacements: dict[str, tuple[SolverProcess, Capabilities]] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        self._open: dict[str, SolverProcess] = {}
        self._planted = replacements or {}
        self._stopped = stopped

    def __enter__(self) -> SolverPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in (*self._open.values(), *(p for p, _ in self._planted.values())):
            process.close()
        self._open = {}

    def info(self, name: str) -> tuple[Capabilities, Availability]:
        """Capabilities and availability; MissingSolverError for an unknown name."""
        if name in self._planted:
            return self._planted[name][1], Availability(True, "planted")
        return registry.info(name)

    def solve(self, name: str, model: Model, limits: SolveLimits) -> Answer:
        """The answer to a logical model, within the limits whatever the solver does."""
        return finish(self.asking(name, model, limits))

    def solve_problem(self, name: str, problem: dict[str, Any], limits: SolveLimits) -> Answer:
        """The answer to a problem in text form, for solvers that read problems."""
        return finish(self.asking(name, problem, limits))

    def pause(self, name: str) -> None:
        """Stop a solver's process where it is, if there is one; `resume` lets it go on."""
        if (process := self._opened(name)) is not None:
            process.pause()

    def resume(self, name: str) -> None:
        """Let a process that was paused go on."""
        if (process := self._opened(name)) is not None:
            process.resume()

    def _opened(self, name: str) -> SolverProcess | None:
        return self._planted[name][0] if name in self._planted else self._open.get(name)

    def asking(
        self, name: str, question: Model | dict[str, Any], limits: SolveLimits
    ) -> Steps[Answer]:
        """The answer to a model, or to a problem in text form for solvers that read problems, in
        steps between which the solver may be paused."""
        if limits.seconds <= 0:
            return Answer(Status.UNKNOWN, Stop.TIME, note="no time left")
        started = time.monotonic()
        process = self._planted[name][0] if name in self._planted else self._process(name, limits)
        answer = yield from process.asking(question, limits, self._stopped)
        if answer.seconds:
            return answer
        return Answer(
            answer.status,
            answer.stop,
            answer.objective,
            answer.bound,
            answer.point,
            time.monotonic() - started,
            answer.note,
            answer.extra,
        )

    def _process(self, name: str, limits: SolveLimits) -> SolverProcess:
        if name not in self._open:
            _, availability = registry.info(name)
            if not availability.ok:
                raise MissingSolverError(f"solver {name}: {availability.reason}")
            self._open[name] = registry.open(name, memory=limits.memory, threads=limits.threads)
        return self._open[name]
