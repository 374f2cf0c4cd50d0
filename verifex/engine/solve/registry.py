"""The solvers there are: found by entry point, asked in a child, never imported here."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from verifex.engine.solve.child import SolverProcess
from verifex.errors import MissingSolverError
from verifex.ir.model.solving import Availability, Capabilities

_GROUP = "verifex.solvers"


def names() -> list[str]:
    """The registered solvers, sorted; some take an option after a colon ("pulp:HiGHS")."""
    return sorted({entry.name for entry in entry_points(group=_GROUP)})


@cache
def info(name: str) -> tuple[Capabilities, Availability]:
    """What a solver can do and whether it runs here; asked once a process.

    Raises MissingSolverError where there is no such solver or its adapter cannot be loaded.
    """
    base = name.partition(":")[0]
    if base not in names():
        raise MissingSolverError(f"no solver is called {base!r}, there are {', '.join(names())}")
    with SolverProcess(name) as child:
        capabilities, availability = child.info()
    if capabilities is None:
        raise MissingSolverError(f"solver {name}: {availability.reason}")
    return capabilities, availability


def open(name: str, *, memory: int = 4 << 30, threads: int = 1) -> SolverProcess:
    """A solver ready for use; raises MissingSolverError with the reason where it cannot run."""
    availability = info(name)[1]
    if not availability.ok:
        raise MissingSolverError(f"solver {name}: {availability.reason}")
    return SolverProcess(name, memory=memory, threads=threads)
