"""The interface of solvers: capabilities, availability with a reason, limits and answers.

An answer keeps *why the solver stopped* apart from *what its point is worth*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from verifex.ir.model.logical import Model, number_from_json, number_to_json

if TYPE_CHECKING:
    from verifex.ir.exact import Number


class Status(Enum):
    """What a solver says about a model."""

    OPTIMAL = "optimal"  # a point and a matching bound; without an objective simply a point
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
    """What a solver may use: seconds of wall time, bytes of memory, threads.

    `seed` (not negative) fixes what it does at random, where it takes a seed.
    """

    seconds: float
    memory: int = 4 << 30
    threads: int = 1
    seed: int = 0


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
    """An adapter to a solver that reads logical models.

    `solve` runs inside a child process and must respect the limits as best it can; the parent kills
    it when it does not. It may raise; that counts as a crash.
    """

    name: str
    capabilities: Capabilities

    def availability(self) -> Availability: ...

    def solve(self, model: Model, limits: SolveLimits) -> Answer: ...


class ProblemSolver(Protocol):
    """An adapter to a solver that reads problems (`capabilities.reads == "problem"`).

    It takes the JSON text form of a Problem (see `verifex.ir.text.document`) and decides the claim,
    or optimises a form if one is given.
    """

    name: str
    capabilities: Capabilities

    def availability(self) -> Availability: ...

    def solve_problem(self, problem: dict[str, Any], limits: SolveLimits) -> Answer: ...


# --- text form (what goes to and comes from a solver's process) --------------------------------


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """The answer as JSON data; numbers keep their exact value, NaN and infinity become null."""
    point = answer.point
    return {
        "status": answer.status.value,
        "stop": answer.stop.value,
        "objective": _finite_to_json(answer.objective),
        "bound": _finite_to_json(answer.bound),
        "point": None if point is None else [[i, number_to_json(n)] for i, n in point.items()],
        "seconds": answer.seconds,
        "note": answer.note,
        "extra": dict(answer.extra),
    }


def answer_from_json(data: Any) -> Answer:
    """The inverse of `answer_to_json`; raises ValueError on anything that is not an answer."""
    try:
        entries, note, extra = data["point"], data["note"], data["extra"]
        if not isinstance(note, str) or not isinstance(extra, dict):
            raise ValueError("note or extra of the wrong type")
        return Answer(
            Status(data["status"]),
            Stop(data["stop"]),
            number_from_json(data["objective"]),
            number_from_json(data["bound"]),
            None if entries is None else _point_from_json(entries),
            float(data["seconds"]),
            note,
            extra,
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as e:
        raise ValueError(f"not an answer: {type(e).__name__} {e}") from e


def _finite_to_json(number: Number | None) -> Any:
    return (
        None if isinstance(number, float) and not math.isfinite(number) else number_to_json(number)
    )


def _point_from_json(entries: Any) -> dict[int, Number]:
    point: dict[int, Number] = {}
    # From another process: each entry is checked, a bool is no position.
    for position, value in entries:
        number = number_from_json(value)
        if type(position) is not int or position < 0 or number is None:
            raise ValueError("a point maps positions to numbers")
        point[position] = number
    return point
