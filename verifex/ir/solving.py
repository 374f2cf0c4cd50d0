"""What a solver is: declared capabilities, availability with a reason, and an answer that keeps
*why it stopped* apart from *what the point is worth*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from verifex.ir.exact import Number
from verifex.ir.model import Model


class Status(Enum):
    """What a solver says about a model."""

    OPTIMAL = "optimal"  # a point and a matching bound (objective), or simply a point (no objective)
    FEASIBLE = "feasible"  # a point, not known to be optimal
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


class Stop(Enum):
    """Why a solver stopped."""

    DONE = "done"
    TIME = "time"
    MEMORY = "memory"
    CRASH = "crash"
    OUTPUT = "output"  # it printed more than it may
    LICENCE = "licence"
    UNSUPPORTED = "unsupported"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Capabilities:
    """What a solver can take. `exact`: rational arithmetic, strict rows are meant strictly.

    `reads` is "model" (a logical Model) or "problem" (the text form of a Problem).
    """

    exact: bool
    optimise: bool
    products: bool
    integers: bool = True
    reads: str = "model"


@dataclass(frozen=True)
class Availability:
    """Whether a solver can run here, its version, and the reason if it cannot (or a caveat)."""

    ok: bool
    version: str = ""
    reason: str = ""


@dataclass(frozen=True)
class SolveLimits:
    """Seconds of wall time, bytes of memory and threads a solver may use."""

    seconds: float
    memory: int = 4 << 30
    threads: int = 1


@dataclass(frozen=True)
class Answer:
    """A solver's answer. Nothing in it is believed without a check.

    `objective` is the value of `point` and `bound` the solver's bound of the optimum (an upper
    bound when maximising). `point` maps variable positions to numbers and may leave variables out.
    """

    status: Status
    stop: Stop = Stop.DONE
    objective: Number | None = None
    bound: Number | None = None
    point: Mapping[int, Number] | None = None
    seconds: float = 0.0
    note: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Solver(Protocol):
    """An adapter. `solve` runs inside a child process and must respect the limits as best it can;
    the parent kills it when it does not. It may raise; that counts as a crash."""

    name: str
    capabilities: Capabilities

    def availability(self) -> Availability: ...

    def solve(self, model: Model, limits: SolveLimits) -> Answer: ...


class ProblemSolver(Protocol):
    """An adapter with `capabilities.reads == "problem"`: takes the JSON text form of a Problem
    (see `verifex.ir.text`) and decides the claim, or optimises a form when one is given."""

    name: str
    capabilities: Capabilities

    def availability(self) -> Availability: ...

    def solve_problem(self, problem: dict[str, Any], limits: SolveLimits) -> Answer: ...
